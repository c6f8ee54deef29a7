"""What GitHub publishes of its REST API, for the requests that the product makes: a check of both sides of the fakes.

``api_schema.json`` is cut from ``generated/api.github.com.deref.json`` of npm's ``@octokit/openapi`` (MIT), by
``python -m tests.github.api_schema FILE``.  Of requests all is kept that is checked; of answers the names and types of
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

SCHEMA_FILE = Path(__file__).with_name("api_schema.json")
REPOSITORY_PATH = "/repos/{owner}/{repo}"
MAX_DEPTH = 2
USED_OPERATIONS = """
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
GET /commits
GET /activity
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
GET /pulls/{pull_number}/files
GET /pulls/{pull_number}/reviews
GET /collaborators/{username}/permission
GET /issues/{issue_number}/events
GET /contents/{path}
GET /actions/workflows/{workflow_id}/runs
GET /actions/runs/{run_id}/artifacts
GET /actions/oidc/customization/sub
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


def find_violations(request: tuple[str, str, Mapping[str, str], Any], status: int, response: Any) -> Iterator[str]:
    """What of one exchange GitHub would not know; ``request`` is method, path below the repository, query, body."""
    method, path, query, body = request
    operation = _find_operation(method, path)
    if operation is None:
        yield f"{method} {path}: nothing is published of it"
        return
    yield from (f"{method} {path}: there is no parameter {name}" for name in query if name not in operation["query"])
    if operation["body"] is not None:
        yield from _validation_errors(f"{method} {path}", body, operation["body"])
    if str(status) not in operation["answers"]:
        if status < 400:
            yield f"{method} {path}: it does not answer {status}"
    elif status < 300:
        yield from _validation_errors(f"the answer to {method} {path}", response, operation["answers"][str(status)])


def _validation_errors(subject: str, value: Any, schema: Any) -> Iterator[str]:
    if schema is not None:
        for error in jsonschema.Draft202012Validator(schema).iter_errors(value):
            yield f"{subject}: {'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"


@cache
def _load_operations() -> list[tuple[str, re.Pattern[str], Any]]:
    operations = json.loads(SCHEMA_FILE.read_text())["operations"]
    return [
        (name.partition(" ")[0], _compile_pattern(name.partition(" ")[2]), shape) for name, shape in operations.items()
    ]


def _compile_pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+\})", path)
    wildcards = {"{basehead}": ".+", "{ref}": ".+", "{path}": ".+"}
    return re.compile(
        "".join(wildcards.get(part, "[^/]+") if part.startswith("{") else re.escape(part) for part in parts)
    )


def _find_operation(method: str, path: str) -> Any | None:
    return next(
        (
            shape
            for operation_method, pattern, shape in _load_operations()
            if operation_method == method and pattern.fullmatch(path)
        ),
        None,
    )


def extract_operations(document: Mapping[str, Any]) -> dict[str, Any]:
    """The operations that are used, of the whole description."""
    operations = {}
    for operation_name in USED_OPERATIONS.strip().splitlines():
        method, _, path = operation_name.partition(" ")
        operation = document["paths"][REPOSITORY_PATH + path][method.lower()]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        responses = {
            status: _summarise(response.get("content", {}).get("application/json", {}).get("schema"), MAX_DEPTH)
            for status, response in operation["responses"].items()
            if status < "400"
        }
        query = [parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"]
        operations[operation_name] = {"query": query, "body": _strip_prose(body), "answers": responses}
    return {"source": f"@octokit/openapi {document['info']['version']}, MIT", "operations": operations}


def _strip_prose(schema: Any) -> Any:
    """A schema without its prose; members that it does not know are refused, as GitHub may come to do."""
    if isinstance(schema, list):
        return [_strip_prose(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    prose_keys = {"description", "example", "examples", "title", "nullable", "deprecated", "externalDocs", "readOnly"}
    stripped = {
        key: {name: _strip_prose(item) for name, item in value.items()} if key == "properties" else _strip_prose(value)
        for key, value in schema.items()
        if key not in prose_keys or (key != "nullable" and isinstance(value, dict))
    }
    if "properties" in stripped and not {"oneOf", "anyOf", "allOf"} & stripped.keys():
        stripped.setdefault("additionalProperties", False)
    if schema.get("nullable") and isinstance(stripped.get("type"), str):
        stripped["type"] = [stripped["type"], "null"]
    return stripped


def _summarise(schema: Any, depth: int) -> Any:
    """Names and types of members; below ``deep`` anything goes."""
    if not isinstance(schema, dict) or depth == 0:
        return None if schema is None else {}
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return {
                "anyOf": [
                    *(_summarise(item, depth) for item in schema[key]),
                    *([{"type": "null"}] if schema.get("nullable") else []),
                ]
            }
    if "allOf" in schema:
        return {}
    type_name = schema.get("type")
    summary: dict[str, Any] = (
        {} if type_name is None else {"type": [type_name, "null"] if schema.get("nullable") else type_name}
    )
    if "enum" in schema:
        summary["enum"] = [*schema["enum"], *([None] if schema.get("nullable") else [])]
    if "properties" in schema:
        summary["properties"] = {name: _summarise(item, depth - 1) for name, item in schema["properties"].items()}
        summary["additionalProperties"] = False
    if "items" in schema:
        summary["items"] = _summarise(schema["items"], depth)
    return summary


if __name__ == "__main__":
    SCHEMA_FILE.write_text(
        json.dumps(extract_operations(json.loads(Path(sys.argv[1]).read_text())), separators=(",", ":"), sort_keys=True)
        + "\n"
    )
