"""Represent values that are not plain JSON: references, templates, values known only after apply, and secrets.

A desired spec is JSON in which any leaf may be one of these.  A plan resolves them with what is known so far; an apply
resolves them again with AWS's responses.  Pure; knows nothing of AWS or of manifests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NoReturn, TypeAlias

from msgspec import Struct

Value: TypeAlias = Any
"""JSON with Ref, TemplateString, Unknown, Sensitive or WriteOnly at any depth."""


class Absent(Enum):
    """The sentinel for an absent value, which is different from null."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT


class Ref(Struct, frozen=True):
    """One output of another resource, e.g. ``Ref("rds_instance.main", "host")``."""

    address: str
    output: str

    def __str__(self) -> str:
        return f"${{{self.address}.{self.output}}}"


class TemplateString(Struct, frozen=True):
    """Text with references: the parts are joined in order once all are known."""

    parts: tuple[str | Ref | Unknown | Sensitive, ...]

    def __str__(self) -> str:
        return "".join(map(str, self.parts))


class UnknownValueError(TypeError):
    """Code inspected a value that is known only after apply."""


class Unknown:
    """A value that is known only after apply.  It may be passed on and indexed, but not inspected.

    Truth tests, comparison, iteration and conversion raise UnknownValueError: a plan must not depend on a guess.
    """

    __slots__ = ("label",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, label: str) -> None:
        self.label = label

    def __getitem__(self, key: object) -> Unknown:
        return Unknown(f"{self.label}.{key}")

    def get(self, key: object, _default: object = None) -> Unknown:
        """Return one member, as an Unknown; the counterpart of ``dict.get``."""
        return self[key]

    def _raise_unknown(self, *_: object) -> NoReturn:
        message = f"{self.label} is known only after apply"
        raise UnknownValueError(message)

    __bool__ = __eq__ = __ne__ = __lt__ = __gt__ = __iter__ = __len__ = __contains__ = __int__ = __float__ = (
        _raise_unknown
    )

    def __str__(self) -> str:
        return self._raise_unknown()

    def __repr__(self) -> str:
        return f"Unknown({self.label!r})"


@dataclass(frozen=True, slots=True, repr=False)
class Sensitive:
    """A secret that one call passes to another; ``str`` and ``repr`` never show it."""

    secret: Any

    def __repr__(self) -> str:
        return "(secret)"

    __str__ = __repr__


class WriteOnly(Struct, frozen=True):
    """A value that AWS accepts but never returns.  It is not compared; another field shows when it has changed."""

    value: Any


def resolve(value: Value, lookup: Callable[[Ref], Value]) -> Value:
    """Replace every Ref in ``value`` with ``lookup(ref)`` and join every TemplateString; may leave Unknowns."""
    match value:
        case Ref():
            return lookup(value)
        case TemplateString(parts):
            return join_parts([resolve(part, lookup) for part in parts])
        case WriteOnly(inner):
            return WriteOnly(resolve(inner, lookup))
        case Mapping():
            return {key: resolve(item, lookup) for key, item in value.items()}
        case list() | tuple():
            return [resolve(item, lookup) for item in value]
        case _:
            return value


def join_parts(parts: list[Value]) -> Value:
    """Concatenate parts; the result is Unknown or Sensitive if one of them is, otherwise text."""
    if any(isinstance(part, Unknown) for part in parts):
        return Unknown("".join(describe(part) for part in parts))
    if any(isinstance(part, Sensitive) for part in parts):
        return Sensitive("".join(str(reveal(part)) for part in parts))
    return "".join(map(str, parts))


def iter_references(value: Value) -> Iterator[Ref]:
    """Yield every Ref inside ``value``, in order of appearance."""
    match value:
        case Ref():
            yield value
        case TemplateString(parts):
            yield from (part for part in parts if isinstance(part, Ref))
        case WriteOnly(inner):
            yield from iter_references(inner)
        case Mapping():
            for item in value.values():
                yield from iter_references(item)
        case list() | tuple():
            for item in value:
                yield from iter_references(item)


def is_known(value: Value) -> bool:
    """Return whether nothing inside ``value`` is known only after apply."""
    match value:
        case Unknown() | Ref() | TemplateString():
            return False
        case WriteOnly(inner):
            return is_known(inner)
        case Mapping():
            return all(is_known(item) for item in value.values())
        case list() | tuple():
            return all(is_known(item) for item in value)
        case _:
            return True


def describe(value: Value) -> str:
    """Return one leaf as text for people: an Unknown as its reference, a secret as ``(secret)``."""
    if isinstance(value, Unknown):
        return value.label if "${" in value.label else f"${{{value.label}}}"
    return str(value)


def to_plain(value: Value) -> Value:
    """Return ``value`` as plain JSON for plans and logs: Unknowns as references, secrets as ``(secret)``."""
    match value:
        case Unknown() | Ref() | TemplateString() | Sensitive():
            return describe(value)
        case WriteOnly(inner):
            return to_plain(inner)
        case Mapping():
            return {str(key): to_plain(item) for key, item in value.items()}
        case list() | tuple():
            return [to_plain(item) for item in value]
        case set() | frozenset():
            return sorted(to_plain(item) for item in value)
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return f"({len(value)} bytes)"
        case _:
            return None if value is ABSENT else str(value)


def reveal(value: Value) -> Value:
    """Return ``value`` with every secret unwrapped; only code that sends it to AWS may call this."""
    match value:
        case Sensitive(secret):
            return secret
        case WriteOnly(inner):
            return reveal(inner)
        case Mapping():
            return {key: reveal(item) for key, item in value.items()}
        case list() | tuple():
            return [reveal(item) for item in value]
        case _:
            return value


def to_json(value: Value) -> Value:
    """Return ``value`` as compact JSON text with sorted keys, or Unknown if a part of it is."""
    if not is_known(value):
        return Unknown(json.dumps(to_plain(value), sort_keys=True))
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def sort_canonically(items: list[Value]) -> list[Value]:
    """Return a list whose order has no meaning in a canonical order."""
    return sorted(items, key=lambda item: json.dumps(to_plain(item), sort_keys=True))
