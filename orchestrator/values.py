"""Values that are not plain JSON yet: references, text around them, what AWS alone can tell, and secrets.

A desired spec is JSON in which any leaf may be one of these.  Planning resolves them with what is known now;
applying resolves them again with what AWS answered.  Pure; knows nothing of AWS or of manifests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NoReturn, TypeAlias

from msgspec import Struct

Value: TypeAlias = Any
"""JSON, or Ref, Text, Unknown, Sensitive, WriteOnly at any depth."""


class Absent(Enum):
    """The sentinel for 'not there', which is not the same as null."""

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
    """Text with references inside: the parts, in order, are joined once all are known."""

    parts: tuple[str | Ref | Unknown | Sensitive, ...]

    def __str__(self) -> str:
        return "".join(map(str, self.parts))


class UnknownValueError(TypeError):
    """Code asked a question about a value that only AWS can tell."""


class Unknown:
    """A value that is known after apply.  It may be passed on and picked apart, never asked.

    Asking (truth, comparison, iteration, conversion) raises UnknownError: a plan must not depend on a guess.
    """

    __slots__ = ("label",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, label: str) -> None:
        self.label = label

    def __getitem__(self, key: object) -> Unknown:
        return Unknown(f"{self.label}.{key}")

    def get(self, key: object, _default: object = None) -> Unknown:
        """Pick one member, as ``dict.get`` does."""
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
    """A secret on its way from one call to another; its text form never shows it."""

    secret: Any

    def __repr__(self) -> str:
        return "(secret)"

    __str__ = __repr__


class WriteOnly(Struct, frozen=True):
    """What a call is given but AWS never gives back.  It is not compared; another field tells when it has changed."""

    value: Any


def resolve(value: Value, lookup: Callable[[Ref], Value]) -> Value:
    """Replace every Ref in ``value`` by ``lookup(ref)`` and join every Text; what stays unknown is an Unknown."""
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
    """Concatenate parts: Unknown if one of them is, Sensitive if one of them is, text otherwise."""
    if any(isinstance(part, Unknown) for part in parts):
        return Unknown("".join(describe(part) for part in parts))
    if any(isinstance(part, Sensitive) for part in parts):
        return Sensitive("".join(str(reveal(part)) for part in parts))
    return "".join(map(str, parts))


def iter_references(value: Value) -> Iterator[Ref]:
    """Every Ref inside ``value``, in order of appearance."""
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
    """Whether nothing inside ``value`` waits for AWS."""
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
    """One leaf as text for people: an unknown reads as the reference it stands for, a secret as ``(secret)``."""
    if isinstance(value, Unknown):
        return value.label if "${" in value.label else f"${{{value.label}}}"
    return str(value)


def to_plain(value: Value) -> Value:
    """``value`` as plain JSON for plans and logs: unknowns by their reference, secrets never."""
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
    """``value`` with every secret unwrapped; only the edge that talks to AWS may ask for this."""
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
    """``value`` as compact JSON text with sorted keys, or Unknown while a part of it is."""
    if not is_known(value):
        return Unknown(json.dumps(to_plain(value), sort_keys=True))
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def sort_canonically(items: list[Value]) -> list[Value]:
    """A list whose order means nothing, in one order for every spelling of it."""
    return sorted(items, key=lambda item: json.dumps(to_plain(item), sort_keys=True))
