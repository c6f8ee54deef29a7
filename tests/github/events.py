"""The payloads that GitHub starts a run with: ours, made whole and held against what is published of webhooks.

``events.json`` is cut from ``schema.json`` of npm's ``@octokit/webhooks-schemas`` (MIT), by
``python -m tests.github.events FILE VERSION``: the definitions of EVENTS without their prose.  A member that GitHub
does not send is refused; one that it always sends and a test does not speak of is made up, so that none is missed.

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

FILE = Path(__file__).with_name("events.json")
EVENTS = ("pull_request$opened", "pull_request$synchronize", "push$event", "workflow_dispatch$event")
_CLOCK = {
    "type": "object",
    "required": ["schedule"],
    "properties": {"schedule": {"type": "string"}},
    "additionalProperties": False,
}
_PROSE = {"$schema", "description", "title", "tsAdditionalProperties"}
_SAMPLES: Mapping[str, Any] = {
    "uri": "https://github.com/shop/shop",
    "uri-template": "https://api.github.com/repos/shop/shop{/sha}",
    "date-time": "2026-11-24T10:00:00Z",
}


def whole(event: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """``said`` with all else that GitHub always sends.  Raises AssertionError where GitHub would not say it."""
    made: dict[str, Any] = _completed(_schema(event), said)
    assert list(complaints(event, made)) == []
    return made


def complaints(event: str, payload: Any) -> Iterator[str]:
    """What of a payload is not as it is published; ``event`` is one of EVENTS, or ``schedule``."""
    for error in _validator(event).iter_errors(payload):
        yield f"{event}: {'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"


@cache
def _definitions() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())["definitions"]
    return found


@cache
def _validator(event: str) -> Any:
    return jsonschema.Draft7Validator({**_schema(event), "definitions": _definitions()})


def _schema(event: str) -> Any:
    return _CLOCK if event == "schedule" else _definitions()[event]


def _resolved(schema: Any) -> Any:
    """A schema without references at its top, and of several forms the first, the others' members beside it."""
    while "$ref" in schema:
        schema = _definitions()[schema["$ref"].rpartition("/")[2]]
    if "allOf" in schema:
        parts = [_resolved(each) for each in schema["allOf"]]
        properties = {name: each for part in parts for name, each in part.get("properties", {}).items()}
        required = [name for part in parts for name in part.get("required", ())]
        return {"type": "object", "properties": properties, "required": required}
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return _resolved(schema[key][0])
    return schema


def _completed(schema: Any, said: Any) -> Any:
    """``said`` with what the schema requires beside it, at every depth."""
    schema = _resolved(schema)
    if isinstance(said, Mapping) and "properties" in schema:
        known = schema["properties"]
        made = {name: _completed(known.get(name, {}), each) for name, each in said.items()}
        return made | {name: _sample(known.get(name, {})) for name in schema.get("required", ()) if name not in said}
    return said


def _sample(schema: Any) -> Any:
    """Something that fits."""
    schema = _resolved(schema)
    if "enum" in schema:
        return schema["enum"][0]
    kinds = schema.get("type", "null")
    match "null" if "null" in kinds else kinds if isinstance(kinds, str) else kinds[0]:
        case "object":
            return _completed(schema, {})
        case "array":
            return []
        case "string":
            return _SAMPLES.get(schema.get("format", ""), "text")
        case "integer" | "number":
            return 1
        case "boolean":
            return False
        case _:
            return None


def cut(document: Mapping[str, Any], version: str) -> dict[str, Any]:
    """The definitions that EVENTS need, of all."""
    kept: dict[str, Any] = {}
    missing = set(EVENTS)
    while missing:
        kept |= {name: _plain(document["definitions"][name]) for name in missing}
        missing = {name for each in kept.values() for name in _named(each)} - kept.keys()
    return {"source": f"@octokit/webhooks-schemas {version}, MIT", "definitions": kept}


def _plain(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _plain(each) for name, each in value.items()} if key == "properties" else _plain(value)
        for key, value in schema.items()
        if key not in _PROSE
    }


def _named(schema: Any) -> Iterator[str]:
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    if isinstance(schema, dict) and isinstance(schema.get("$ref"), str):
        yield schema["$ref"].rpartition("/")[2]
    for each in inner:
        yield from _named(each)


if __name__ == "__main__":
    made = cut(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2])
    FILE.write_text(json.dumps(made, separators=(",", ":"), sort_keys=True) + "\n")
