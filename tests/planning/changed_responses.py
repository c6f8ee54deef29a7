"""Change one value in a recorded response, by its path, to another one that AWS's service model allows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from botocore.model import Shape

PAST = datetime(2020, 1, 1, tzinfo=UTC)
STATEMENT = {
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::999999999999:root"},
    "Action": "s3:*",
    "Resource": "*",
}
MAX_DEPTH = 4


def change(shape: Shape, value: Any, path: str, new_value: Any = None) -> Any:
    """``value``, a response of ``shape``, with another value at ``path`` in every item of the lists on the way."""
    if not path:
        return _another(shape, value) if new_value is None else new_value
    name, _, rest = path.partition(".")
    if name.startswith("[]"):
        return _change_items(shape, value, f"{name[2:]}.{rest}".strip("."), new_value)
    name, brackets, inner = name.partition("[]")
    rest = f"[]{inner}.{rest}".rstrip(".") if brackets else rest
    if shape.type_name == "map":
        return {**(value or {}), name: change(shape.value, (value or {}).get(name), rest, new_value)}
    member = shape.members[name]
    changed = change(member, (value or {}).get(name), rest, new_value)
    return {**(value or {}), name: changed}


def _change_items(shape: Shape, value: Any, path: str, new_value: Any) -> Any:
    if shape.type_name == "structure":  # CloudFront's form of a list
        items = _change_items(shape.members["Items"], (value or {}).get("Items"), path, new_value)
        return {**(value or {}), "Quantity": len(items), "Items": items}
    items = value or [example(shape.member)]
    return [item if _is_owners_tag(item) else change(shape.member, item, path, new_value) for item in items]


def _is_owners_tag(item: Any) -> bool:
    """Whether it says whose the resource is: without it, it would be somebody else's."""
    return isinstance(item, dict) and str(item.get("Key") or item.get("key")).startswith("orchestrator:")


def _another(shape: Shape, value: Any) -> Any:
    """Another value than ``value``."""
    match shape.type_name:
        case "boolean":
            return not value
        case "integer" | "long" | "float" | "double":
            return (value or 0) + 1
        case "timestamp":
            return PAST
        case "list":
            return [*(value or []), example(shape.member)]
        case "map":
            return {**(value or {}), "other": example(shape.value)}
        case "structure":
            return _another_structure(shape, value or {})
        case _:
            return _another_text(shape, value)


def _another_structure(shape: Shape, value: dict[str, Any]) -> dict[str, Any]:
    if set(shape.members) == {"Quantity", "Items"}:
        items = _another(shape.members["Items"], value.get("Items"))
        return {"Quantity": len(items), "Items": items}
    return example(shape)  # type: ignore[no-any-return]


def _another_text(shape: Shape, value: Any) -> Any:
    if hasattr(value, "read") or shape.type_name == "blob":
        return b"// another\n"
    if isinstance(value, dict):  # botocore decodes the documents of IAM
        return {**value, "Statement": [*value["Statement"], STATEMENT]}
    if isinstance(value, str) and value.startswith("{"):
        document = json.loads(value)
        if "Statement" in document:
            return json.dumps({**document, "Statement": [*document["Statement"], STATEMENT]})
        return json.dumps({**document, "rules": [*document["rules"], document["rules"][0]]})
    if shape.enum:
        return next((item for item in reversed(shape.enum) if item != value), value)
    if value is None:
        return json.dumps({"Statement": [STATEMENT]}) if "olicy" in shape.name else "other"
    try:
        return str(float(value) + 1) if "." in value else str(int(value) + 1)
    except ValueError:
        return f"{value}-other"


def example(shape: Shape, depth: int = 0) -> Any:
    """A value of a shape, with all members."""
    if depth > MAX_DEPTH:
        return {} if shape.type_name == "structure" else [] if shape.type_name == "list" else "other"
    if shape.type_name == "structure" and set(shape.members) == {"Quantity", "Items"}:
        return {"Quantity": 1, "Items": [example(shape.members["Items"].member, depth + 1)]}
    if shape.type_name == "structure":
        return {name: example(member, depth + 1) for name, member in shape.members.items()}
    if shape.type_name == "list":
        return [example(shape.member, depth + 1)]
    return {} if shape.type_name == "map" else _another(shape, None)
