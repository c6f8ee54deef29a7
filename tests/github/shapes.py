"""What GitHub publishes of its REST API, for the requests that the product makes: a check of both sides of the fakes.

``shapes.json`` is cut from ``generated/api.github.com.deref.json`` of npm's ``@octokit/openapi`` (MIT), by
``python -m tests.github.shapes FILE``.  Of requests all is kept that is checked; of answers the names and types of
members, two deep, because a fake need not have them all but may invent none.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

FILE = Path(__file__).with_name("shapes.json")
ROOT = "/repos/{owner}/{repo}"
DEEP = 2
USED = """
GET
GET /issues/{issue_number}/comments
POST /issues/{issue_number}/comments
PATCH /issues/comments/{comment_id}
DELETE /issues/comments/{comment_id}
GET /commits/{ref}/statuses
POST /statuses/{sha}
GET /pulls
POST /pulls
GET /pulls/{pull_number}
PATCH /pulls/{pull_number}
GET /commits/{commit_sha}/pulls
GET /compare/{basehead}
GET /deployments
POST /deployments
GET /deployments/{deployment_id}/statuses
POST /deployments/{deployment_id}/statuses
GET /issues
POST /issues
PATCH /issues/{issue_number}
GET /git/ref/{ref}
POST /git/refs
PATCH /git/refs/{ref}
GET /git/commits/{commit_sha}
POST /git/trees
POST /git/commits
GET /actions/variables/{name}
POST /actions/variables
DELETE /actions/variables/{name}
GET /environments/{environment_name}
PUT /environments/{environment_name}
GET /environments/{environment_name}/deployment-branch-policies
POST /environments/{environment_name}/deployment-branch-policies
GET /environments/{environment_name}/variables/{name}
POST /environments/{environment_name}/variables
DELETE /environments/{environment_name}/variables/{name}
"""


def complaints(request: tuple[str, str, Mapping[str, str], Any], status: int, answer: Any) -> Iterator[str]:
    """What of one exchange GitHub would not know; ``request`` is method, path below the repository, query, body."""
    method, path, query, body = request
    found = _operation(method, path)
    if found is None:
        yield f"{method} {path}: nothing is published of it"
        return
    yield from (f"{method} {path}: there is no parameter {name}" for name in query if name not in found["query"])
    if found["body"] is not None:
        yield from _errors(f"{method} {path}", body, found["body"])
    if str(status) not in found["answers"]:
        if status < 400:
            yield f"{method} {path}: it does not answer {status}"
    elif status < 300:
        yield from _errors(f"the answer to {method} {path}", answer, found["answers"][str(status)])


def _errors(what: str, value: Any, schema: Any) -> Iterator[str]:
    if schema is not None:
        for error in jsonschema.Draft202012Validator(schema).iter_errors(value):
            yield f"{what}: {'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"


@cache
def _published() -> list[tuple[str, re.Pattern[str], Any]]:
    operations = json.loads(FILE.read_text())["operations"]
    return [(name.partition(" ")[0], _pattern(name.partition(" ")[2]), shape) for name, shape in operations.items()]


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+\})", path)
    long = {"{basehead}": ".+", "{ref}": ".+"}
    return re.compile("".join(long.get(part, "[^/]+") if part.startswith("{") else re.escape(part) for part in parts))


def _operation(method: str, path: str) -> Any | None:
    return next((shape for how, pattern, shape in _published() if how == method and pattern.fullmatch(path)), None)


def cut(document: Mapping[str, Any]) -> dict[str, Any]:
    """The operations that are used, of the whole description."""
    made = {}
    for line in USED.strip().splitlines():
        method, _, path = line.partition(" ")
        found = document["paths"][ROOT + path][method.lower()]
        body = found.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        answers = {
            status: _names(answer.get("content", {}).get("application/json", {}).get("schema"), DEEP)
            for status, answer in found["responses"].items()
            if status < "400"
        }
        query = [one["name"] for one in found.get("parameters", []) if one["in"] == "query"]
        made[line] = {"query": query, "body": _whole(body), "answers": answers}
    return {"source": f"@octokit/openapi {document['info']['version']}, MIT", "operations": made}


def _whole(schema: Any) -> Any:
    """A schema without its prose; members that it does not know are refused, as GitHub may come to do."""
    if isinstance(schema, list):
        return [_whole(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    prose = {"description", "example", "examples", "title", "nullable", "deprecated", "externalDocs", "readOnly"}
    made = {
        key: {name: _whole(each) for name, each in value.items()} if key == "properties" else _whole(value)
        for key, value in schema.items()
        if key not in prose or (key != "nullable" and isinstance(value, dict))
    }
    if "properties" in made and not {"oneOf", "anyOf", "allOf"} & made.keys():
        made.setdefault("additionalProperties", False)
    if schema.get("nullable") and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made


def _names(schema: Any, deep: int) -> Any:
    """Names and types of members; below ``deep`` anything goes."""
    if not isinstance(schema, dict) or deep == 0:
        return None if schema is None else {}
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return {
                "anyOf": [
                    *(_names(each, deep) for each in schema[key]),
                    *([{"type": "null"}] if schema.get("nullable") else []),
                ]
            }
    if "allOf" in schema:
        return {}
    kind = schema.get("type")
    made: dict[str, Any] = {} if kind is None else {"type": [kind, "null"] if schema.get("nullable") else kind}
    if "enum" in schema:
        made["enum"] = [*schema["enum"], *([None] if schema.get("nullable") else [])]
    if "properties" in schema:
        made["properties"] = {name: _names(each, deep - 1) for name, each in schema["properties"].items()}
        made["additionalProperties"] = False
    if "items" in schema:
        made["items"] = _names(schema["items"], deep)
    return made


if __name__ == "__main__":
    FILE.write_text(
        json.dumps(cut(json.loads(Path(sys.argv[1]).read_text())), separators=(",", ":"), sort_keys=True) + "\n"
    )
