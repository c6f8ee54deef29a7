"""The payloads that GitHub starts a run with: ours, made whole and held against what is published of webhooks.

``event_payloads.json`` is cut from ``schema.json`` of npm's ``@octokit/webhooks-schemas`` (MIT), by
``python -m tests.github.event_payloads FILE VERSION``: the definitions of EVENTS without their prose.  A member that
GitHub does not send is refused; one that it always sends and a test does not speak of is made up, so that none is
missed.

The clock's event is no webhook.  All that the documentation says of it ("Events that trigger workflows", schedule) is
that ``github.event.schedule`` holds the line of cron, so a run by the clock gets that and nothing else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

SCHEMA_FILE = Path(__file__).with_name("event_payloads.json")
EVENTS = ("pull_request$opened", "pull_request$synchronize", "push$event", "workflow_dispatch$event")
_SCHEDULE_SCHEMA = {
    "type": "object",
    "required": ["schedule"],
    "properties": {"schedule": {"type": "string"}},
    "additionalProperties": False,
}
_PROSE_KEYS = {"$schema", "description", "title", "tsAdditionalProperties"}
_FORMAT_SAMPLES: Mapping[str, Any] = {
    "uri": "https://github.com/shop/shop",
    "uri-template": "https://api.github.com/repos/shop/shop{/sha}",
    "date-time": "2026-11-24T10:00:00Z",
}


def complete_payload(event: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """``said`` with all else that GitHub always sends.  Raises AssertionError where GitHub would not say it."""
    payload: dict[str, Any] = _complete(_find_schema(event), fields)
    assert list(find_violations(event, payload)) == []
    return payload


def find_violations(event: str, payload: Any) -> Iterator[str]:
    """What of a payload is not as it is published; ``event`` is one of EVENTS, or ``schedule``."""
    for error in _make_validator(event).iter_errors(payload):
        yield f"{event}: {'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"


@cache
def _load_definitions() -> dict[str, Any]:
    definitions: dict[str, Any] = json.loads(SCHEMA_FILE.read_text())["definitions"]
    return definitions


@cache
def _make_validator(event: str) -> Any:
    return jsonschema.Draft7Validator({**_find_schema(event), "definitions": _load_definitions()})


def _find_schema(event: str) -> Any:
    return _SCHEDULE_SCHEMA if event == "schedule" else _load_definitions()[event]


def _resolve(schema: Any) -> Any:
    """A schema without references at its top, and of several forms the first, the others' members beside it."""
    while "$ref" in schema:
        schema = _load_definitions()[schema["$ref"].rpartition("/")[2]]
    if "allOf" in schema:
        parts = [_resolve(item) for item in schema["allOf"]]
        properties = {name: item for part in parts for name, item in part.get("properties", {}).items()}
        required = [name for part in parts for name in part.get("required", ())]
        return {"type": "object", "properties": properties, "required": required}
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return _resolve(schema[key][0])
    return schema


def _complete(schema: Any, value: Any) -> Any:
    """``said`` with what the schema requires beside it, at every depth."""
    schema = _resolve(schema)
    if isinstance(value, Mapping) and "properties" in schema:
        properties = schema["properties"]
        completed = {name: _complete(properties.get(name, {}), item) for name, item in value.items()}
        return completed | {
            name: _sample_value(properties.get(name, {})) for name in schema.get("required", ()) if name not in value
        }
    return value


def _sample_value(schema: Any) -> Any:
    """Something that fits."""
    schema = _resolve(schema)
    if "enum" in schema:
        return schema["enum"][0]
    type_names = schema.get("type", "null")
    match "null" if "null" in type_names else type_names if isinstance(type_names, str) else type_names[0]:
        case "object":
            return _complete(schema, {})
        case "array":
            return []
        case "string":
            return _FORMAT_SAMPLES.get(schema.get("format", ""), "text")
        case "integer" | "number":
            return 1
        case "boolean":
            return False
        case _:
            return None


def extract_definitions(document: Mapping[str, Any], version: str) -> dict[str, Any]:
    """The definitions that EVENTS need, of all."""
    definitions: dict[str, Any] = {}
    missing = set(EVENTS)
    while missing:
        definitions |= {name: _strip_prose(document["definitions"][name]) for name in missing}
        missing = {name for item in definitions.values() for name in _iter_references(item)} - definitions.keys()
    return {"source": f"@octokit/webhooks-schemas {version}, MIT", "definitions": definitions}


def _strip_prose(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strip_prose(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _strip_prose(item) for name, item in value.items()} if key == "properties" else _strip_prose(value)
        for key, value in schema.items()
        if key not in _PROSE_KEYS
    }


def _iter_references(schema: Any) -> Iterator[str]:
    children = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    if isinstance(schema, dict) and isinstance(schema.get("$ref"), str):
        yield schema["$ref"].rpartition("/")[2]
    for item in children:
        yield from _iter_references(item)


if __name__ == "__main__":
    extracted = extract_definitions(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2])
    SCHEMA_FILE.write_text(json.dumps(extracted, separators=(",", ":"), sort_keys=True) + "\n")
