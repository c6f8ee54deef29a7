"""One secret with a JSON document: generated values, plain ones, and what refers to other components.  Pure.

A database's password exists here only: the Secret that names it has it generated, and hands it to the database.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.components import Grant, Stack
from orchestrator.ownership_tags import claim
from orchestrator.values import Ref, Text, Value
from orchestrator.vocabulary import Component, Resource, Scope

PASSWORD = "password"  # noqa: S105 - the name of an export
PASSWORD_LENGTH = 32
MOST_GENERATED = 30
"""Each generated value is declared by a tag, and AWS allows 50 tags."""

_WITH_PASSWORD = re.compile(r"\$\{\s*(database\.[a-z][a-z0-9-]*)\.(?:connectionString|url|password)\s*\}")
_LIKE_AN_ARN = re.compile(r".*-[A-Za-z0-9]{6}")

Siblings = Mapping[str, Component]
Finding = tuple[tuple[str | int, ...], str, str | None]


def exports(component: Component, scope: Scope) -> Mapping[str, Value]:
    """Its name, its ARN, and a hash that changes when its declaration does."""
    return {
        "name": _physical(component, scope),
        "arn": Ref(f"secretsmanager_secret.{component.name}", "arn"),
        "fingerprint": Ref(f"secretsmanager_value.{component.name}", "fingerprint"),
    }


def access(component: Component, scope: Scope) -> Iterator[Mapping[str, Any]]:
    """Reading it; AWS adds six characters of its own to the name, which the pattern stands for."""
    arn = f"arn:aws:secretsmanager:{scope.region}:{scope.account}:secret:{_physical(component, scope)}-??????"
    actions = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
    yield {"Effect": "Allow", "Action": actions, "Resource": [arn]}
    if "kmsKey" in component.spec:
        yield {"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": [component.spec["kmsKey"]]}


def grants(component: Component, scope: Scope) -> Iterator[Grant]:
    """The password of each database that it names."""
    secret = Ref(f"secretsmanager_secret.{component.name}", "arn")
    for handle in _databases(component):
        yield Grant(handle, component.handle, "credentials", {"secret": secret, "key": _part(handle, "Password")})


def check(component: Component, siblings: Siblings) -> Iterator[Finding]:
    """Keys that fall together, names AWS advises against, and two secrets for one password."""
    data = component.spec["data"]
    names: dict[str, str] = {}
    taken = tuple(_part(handle, "") for handle in _databases(component))
    for key in data:
        other = names.setdefault(key.replace(":", "__"), key)
        if other != key:
            yield ("spec", "data", key), f"{key} and {other} are one and the same environment variable", None
        if key.startswith(taken):
            yield ("spec", "data", key), f"{key} is written by itself: the secret holds the database's password", None
    generated = sum(1 for value in data.values() if _is_generated(value))
    if generated > MOST_GENERATED:
        yield ("spec", "data"), f"{generated} values are to be generated; a secret has {MOST_GENERATED} at most", None
    if _LIKE_AN_ARN.fullmatch(str(component.spec.get("name", ""))) and "${" not in component.spec["name"]:
        sentence = "a name that ends with a hyphen and six characters is taken by AWS for a part of the ARN"
        yield ("spec", "name"), sentence, "add or drop a character at the end"
    yield from _rivals(component, siblings)


def expand(component: Component, stack: Stack) -> list[Resource]:
    """The container with the generated values, and then the document inside of it."""
    physical = _physical(component, stack.scope)
    where, adopt = component.where, component.adopt
    name, handle = component.name, component.handle
    template: dict[str, Value]
    container, template = _container(component, stack), {"template": _template(component, stack)}
    if (version := stack.artefacts.secrets.get(handle)) is not None:
        template["version"] = version
    secret = Resource("secretsmanager_secret", name, physical, container, handle, where, adopt=adopt)
    after = frozenset({secret.address})
    return [secret, Resource("secretsmanager_value", name, physical, template, handle, where, after, adopt)]


def _container(component: Component, stack: Stack) -> Mapping[str, Value]:
    wanted = component.spec
    lengths = {key: value["generate"]["length"] for key, value in wanted["data"].items() if _is_generated(value)}
    passwords = {_part(handle, "Password"): PASSWORD_LENGTH for handle in _databases(component)}
    return {
        "description": wanted["description"],
        "generate": {**lengths, **passwords},
        "tags": claim(stack.scope, component.handle, deletable=wanted["deletionPolicy"] == "delete"),
        **({"kms_key": wanted["kmsKey"]} if "kmsKey" in wanted else {}),
    }


def _template(component: Component, stack: Stack) -> Mapping[str, Value]:
    template = {
        key: _placeholder(key) if _is_generated(value) else _without_passwords(value)
        for key, value in component.spec["data"].items()
    }
    for handle in _databases(component):
        parts = {part: stack.export(handle, part.lower()) for part in ("Host", "Port", "Database", "Username")}
        template |= {_part(handle, part): _without_passwords(value) for part, value in parts.items()}
        template[_part(handle, "Password")] = _placeholder(_part(handle, "Password"))
    return template


def _without_passwords(value: Value) -> Value:
    """A value as text; where a database's password belongs, what stands for it."""
    match value:
        case Ref() if _is_password(value):
            return _placeholder(_part(value.address, "Password"))
        case Text(parts):
            return Text(tuple(_without_passwords(part) for part in parts))
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            return value


def _is_password(ref: Ref) -> bool:
    return ref.output == PASSWORD and ref.address.startswith("database.")


def _placeholder(key: str) -> str:
    return f"{{{{generated {key}}}}}"


def _databases(component: Component) -> list[str]:
    """Handles of the databases whose password it holds, before or after references were resolved."""
    found = {handle for value in component.spec["data"].values() for handle in _named(value)}
    return sorted(found)


def _named(value: Value) -> Iterator[str]:
    match value:
        case str():
            yield from _WITH_PASSWORD.findall(value)
        case Ref() if _is_password(value):
            yield value.address
        case Text(parts):
            for part in parts:
                if isinstance(part, Ref):
                    yield from _named(part)


def _part(handle: str, part: str) -> str:
    """``database.main`` and ``Password``: ``Database:main:Password``."""
    return f"Database:{handle.partition('.')[2]}:{part}"


def _is_generated(value: Value) -> bool:
    return isinstance(value, Mapping) and "generate" in value


def _physical(component: Component, scope: Scope) -> str:
    return str(component.spec.get("name") or f"{scope.prefix}-{component.name}")


def _rivals(component: Component, siblings: Siblings) -> Iterator[Finding]:
    for other in siblings.values():
        if other.kind != component.kind or other.handle >= component.handle:  # said once, by the later one
            continue
        for handle in sorted(set(_databases(component)) & set(_databases(other))):
            sentence = f"the password of {handle} is kept by {other.handle} already; one secret keeps it"
            yield ("spec", "data"), sentence, f"use {other.handle} instead, or {handle}.host and a user of its own"
