"""Expand a Secret into one Secrets Manager secret that holds a JSON document.  Pure.

The document has generated values, plain values and references to other components.  A database's password exists only
here: the Secret that refers to it generates the password and passes it to the database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.components import Grant, Stack
from orchestrator.ownership_tags import build_ownership_tags
from orchestrator.secret_rotation import find_rotation, has_previous_key, list_keys, previous_key
from orchestrator.values import Ref, TemplateString, Value, WriteOnly
from orchestrator.vocabulary import Component, Resource, Scope

PASSWORD_EXPORT = "password"  # noqa: S105 - the name of an export
PASSWORD_LENGTH = 32
MAX_SECRET_BYTES = 65_536
"""Size of a secret's value (Secrets Manager User Guide, "Quotas")."""
MAX_GENERATED_VALUES = 30
"""Each generated or external value needs a tag, and AWS allows 50 tags."""

_PASSWORD_REFERENCE_PATTERN = re.compile(r"\$\{\s*(database\.[a-z][a-z0-9-]*)\.(?:connectionString|url|password)\s*\}")
_ARN_SUFFIX_PATTERN = re.compile(r".*-[A-Za-z0-9]{6}")

Siblings = Mapping[str, Component]
Finding = tuple[tuple[str | int, ...], str, str | None]


def exports(component: Component, scope: Scope) -> Mapping[str, Value]:
    """Return its name, its ARN, and a hash that changes with its declaration."""
    return {
        "name": _physical_name(component, scope),
        "arn": Ref(f"secretsmanager_secret.{component.name}", "arn"),
        "fingerprint": Ref(f"secretsmanager_value.{component.name}", "fingerprint"),
    }


def access(component: Component, scope: Scope) -> Iterator[Mapping[str, Any]]:
    """Yield the permissions to read it; the pattern matches the six characters that AWS appends to the name."""
    arn = f"arn:aws:secretsmanager:{scope.region}:{scope.account}:secret:{_physical_name(component, scope)}-??????"
    actions = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
    yield {"Effect": "Allow", "Action": actions, "Resource": [arn]}
    if "kmsKey" in component.spec:
        yield {"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": [component.spec["kmsKey"]]}


def grants(component: Component, scope: Scope) -> Iterator[Grant]:
    """Yield a credentials grant for each database whose password it refers to."""
    secret = Ref(f"secretsmanager_secret.{component.name}", "arn")
    for handle in _list_databases(component):
        yield Grant(
            handle, component.handle, "credentials", {"secret": secret, "key": _database_key(handle, "Password")}
        )


def check(component: Component, siblings: Siblings) -> Iterator[Finding]:
    """Yield conflicting keys, names that AWS advises against, and passwords that two Secrets hold."""
    data = component.spec["data"]
    keys_by_variable: dict[str, str] = {}
    reserved_prefixes = tuple(_database_key(_aws_handle(name, siblings), "") for name in _list_databases(component))
    for key in list_keys(data):
        first_key = keys_by_variable.setdefault(key.replace(":", "__"), key)
        if first_key != key:
            yield ("spec", "data", key), f"{key} and {first_key} become the same environment variable", None
        if key.startswith(reserved_prefixes):
            yield (
                ("spec", "data", key),
                f"{key} is reserved: the orchestrator writes the database's credentials there",
                None,
            )
    tagged_count = sum(1 + has_previous_key(value) for value in data.values() if isinstance(value, Mapping))
    if tagged_count > MAX_GENERATED_VALUES:
        yield (
            ("spec", "data"),
            f"too many generated and external values: {tagged_count}; a Secret can have at most {MAX_GENERATED_VALUES}",
            "use several Secrets",
        )
    size = _measure(data)
    if size > MAX_SECRET_BYTES:
        message = (
            f"the values have at least {size} bytes; Secrets Manager stores at most {MAX_SECRET_BYTES} bytes per secret"
        )
        yield ("spec", "data"), message, "use several Secrets"
    for key, value in data.items():
        yield from _check_source(key, value)
    if _ARN_SUFFIX_PATTERN.fullmatch(str(component.spec.get("name", ""))) and "${" not in component.spec["name"]:
        message = "this name ends with a hyphen and six characters, which AWS mistakes for the suffix of an ARN"
        yield ("spec", "name"), message, "add or remove a character at the end"
    yield from _check_shared_passwords(component, siblings)


def _measure(data: Mapping[str, Value]) -> int:
    """Return the least size in bytes of the JSON document: what is generated has its length, what is external none."""
    texts = {key: value if isinstance(value, str) else "" for key, value in data.items()}
    generated = sum(int(value["generate"]["length"]) for value in data.values() if _is_generated(value))
    return len(json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()) + generated


def _check_source(key: str, value: Value) -> Iterator[Finding]:
    """Yield what is wrong with an object that says where a value comes from."""
    if not isinstance(value, Mapping):
        return
    path = ("spec", "data", key)
    if ("generate" in value) == ("external" in value):
        yield path, f"{key} requires either `generate` or `external: true`", None
    for field in sorted({"description", "pattern"} & value.keys()):
        if "external" not in value:
            yield (*path, field), f"`{field}` is only allowed for external values", "add `external: true`"
    try:
        re.compile(value.get("pattern", ""))
    except re.error as error:
        yield (*path, "pattern"), f"the pattern is not a valid regular expression: {error}", None


def external_keys(component: Component) -> Mapping[str, Mapping[str, Any]]:
    """Return the values that come from outside, by key, with their ``description`` and ``pattern``."""
    return {key: value for key, value in component.spec["data"].items() if _is_external(value)}


def expand(component: Component, stack: Stack) -> list[Resource]:
    """Return the secret, whose tags declare the generated values, and then its document."""
    physical = _physical_name(component, stack.scope)
    where, adopt = component.where, component.adopt
    name, handle = component.name, component.handle
    value_spec: dict[str, Value]
    secret_spec, value_spec = _secret_spec(component, stack), {"template": _build_template(component, stack)}
    version = stack.artefacts.secrets.get(handle)
    value_spec["rotation"] = (
        Ref(f"secretsmanager_secret.{name}", "rotation") if version is None else find_rotation(version)
    )
    if component.spec["unknownKeys"] == "remove":
        value_spec["remove_unknown_keys"] = True
    if version is not None:
        value_spec["version"] = version
    secret = Resource("secretsmanager_secret", name, physical, secret_spec, handle, where, adopt=adopt)
    after = frozenset({secret.address})
    return [secret, Resource("secretsmanager_value", name, physical, value_spec, handle, where, after, adopt)]


def _secret_spec(component: Component, stack: Stack) -> Mapping[str, Value]:
    spec = component.spec
    lengths = {key: value["generate"]["length"] for key, value in spec["data"].items() if _is_generated(value)}
    lengths |= {previous_key(key): lengths[key] for key, value in spec["data"].items() if has_previous_key(value)}
    passwords = {_database_key(handle, "Password"): PASSWORD_LENGTH for handle in _list_databases(component)}
    return {
        "description": spec["description"],
        "generate": {**lengths, **passwords},
        "external": sorted(external_keys(component)),
        "tags": build_ownership_tags(stack.scope, component.handle, deletable=spec["deletionPolicy"] == "delete"),
        **({"kms_key": spec["kmsKey"]} if "kmsKey" in spec else {}),
        **_rotation_spec(component, stack),
    }


def _rotation_spec(component: Component, stack: Stack) -> Mapping[str, Value]:
    """Return the rotation to be made, if any, and by rotated key the one that keeps its value before."""
    rotation = stack.artefacts.rotations.get(component.handle)
    if rotation is None:
        return {}
    data = component.spec["data"]
    previous = {key: previous_key(key) for key in rotation.keys if has_previous_key(data.get(key))}
    return {
        "rotation": rotation.id,
        "rotated_keys": WriteOnly(list(rotation.keys)),
        "previous_keys": WriteOnly(previous),
    }


def list_rotatable_keys(component: Component) -> tuple[str, ...]:
    """Return the keys whose values are generated: those of the manifest, and the passwords of databases."""
    generated = (key for key, value in component.spec["data"].items() if _is_generated(value))
    return (*generated, *(_database_key(handle, "Password") for handle in _list_databases(component)))


def _build_template(component: Component, stack: Stack) -> Mapping[str, Value]:
    template = {
        key: _placeholder(key, "external" if _is_external(value) else "generated")
        if isinstance(value, Mapping)
        else _replace_passwords(value)
        for key, value in component.spec["data"].items()
    }
    template |= {
        previous_key(key): _placeholder(previous_key(key))
        for key, value in component.spec["data"].items()
        if has_previous_key(value)
    }
    for handle in _list_databases(component):
        connection_parts = {
            part: stack.get_export(handle, part.lower()) for part in ("Host", "Port", "Database", "Username")
        }
        template |= {_database_key(handle, part): _replace_passwords(value) for part, value in connection_parts.items()}
        template[_database_key(handle, "Password")] = _placeholder(_database_key(handle, "Password"))
    return template


def _replace_passwords(value: Value) -> Value:
    """Return a value as text, with placeholders for database passwords."""
    match value:
        case Ref() if _is_password(value):
            return _placeholder(_database_key(value.address, "Password"))
        case TemplateString(parts):
            return TemplateString(tuple(_replace_passwords(part) for part in parts))
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            return value


def _is_password(ref: Ref) -> bool:
    return ref.output == PASSWORD_EXPORT and ref.address.startswith("database.")


def _placeholder(key: str, source: str = "generated") -> str:
    return f"{{{{{source} {key}}}}}"


def _list_databases(component: Component) -> list[str]:
    """Return the handles of the databases whose password it holds, before or after references are resolved."""
    handles = {handle for value in component.spec["data"].values() for handle in _referenced_databases(value)}
    return sorted(handles)


def _referenced_databases(value: Value) -> Iterator[str]:
    match value:
        case str():
            yield from _PASSWORD_REFERENCE_PATTERN.findall(value)
        case Ref() if _is_password(value):
            yield value.address
        case TemplateString(parts):
            for part in parts:
                if isinstance(part, Ref):
                    yield from _referenced_databases(part)


def _aws_handle(handle: str, siblings: Siblings) -> str:
    return siblings[handle].aws_handle if handle in siblings else handle


def _database_key(handle: str, suffix: str) -> str:
    """Return the document key: ``Database:main:Password`` for ``database.main`` and ``Password``."""
    return f"Database:{handle.partition('.')[2]}:{suffix}"


def _is_generated(value: Value) -> bool:
    return isinstance(value, Mapping) and "generate" in value


def _is_external(value: Value) -> bool:
    return isinstance(value, Mapping) and "external" in value


def _physical_name(component: Component, scope: Scope) -> str:
    return str(component.spec.get("name") or scope.name_of(component))


def _check_shared_passwords(component: Component, siblings: Siblings) -> Iterator[Finding]:
    databases = set(_list_databases(component))
    for sibling in siblings.values() if databases else ():
        if sibling.kind != component.kind or sibling.handle >= component.handle:  # Report each pair once.
            continue
        for handle in sorted(databases & set(_list_databases(sibling))):
            message = f"{sibling.handle} already contains the password of {handle}; only one Secret can contain it"
            yield ("spec", "data"), message, f"use {sibling.handle} instead, or use {handle}.host with a separate user"
