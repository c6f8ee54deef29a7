"""Ignore differences until a day (``metadata.drift.ignore``).  Pure.

The live value of an ignored field is copied into the desired spec, so that an update of another field of the same
resource cannot overwrite it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.values import ABSENT, Value
from orchestrator.vocabulary import FieldChange, Waived, Waiver


def match_waivers(
    address: str, fields: Iterable[FieldChange], waivers: Iterable[Waiver], today: str
) -> tuple[Waived, ...]:
    """Return the ``fields`` of one resource that a waiver covers; ``today`` as YYYY-MM-DD, or "" for no expiry."""
    applicable = [waiver for waiver in waivers if address in waiver.addresses]
    waived_fields = []
    for field in fields if applicable else ():
        matching = [waiver for waiver in applicable if _matches_field(waiver, field)]
        if matching:
            latest = max(matching, key=lambda waiver: waiver.until)
            waived_fields.append(
                Waived(address, field, latest.until, latest.owner, latest.reason, latest.until < today)
            )
    return tuple(waived_fields)


def apply_waivers(
    spec: Mapping[str, Value], live: Mapping[str, Value], waived: Iterable[Waived]
) -> Mapping[str, Value]:
    """Return ``spec`` with the values of ``live`` wherever a waiver ignores a difference."""
    for item in waived:
        if not item.past:
            spec = _copy_live_value(spec, live, item.field.path)
    return spec


def describe_waivers(waived: Iterable[Waived], waivers: Iterable[Waiver], today: str) -> Iterator[str]:
    """Yield the notes of a plan: ignored differences, expired waivers, and waivers that can be removed."""
    waived = tuple(waived)
    for item in waived:
        name = f"{item.address}: {'.'.join(item.field.path)}"
        period = f"{item.until} ({item.owner}: {item.reason})"
        if item.past:
            yield f"{name} was ignored until {period}. The waiver has expired, so the difference is drift."
        else:
            yield f"{name} differs and is ignored until {period}."
    for waiver in waivers:
        is_used = any(item.address in waiver.addresses and _matches_field(waiver, item.field) for item in waived)
        if waiver.until < today and not is_used:
            expired = f"the waiver for `{waiver.field}` expired on {waiver.until}, and the field does not differ"
            yield f"{waiver.component}: {expired}. Remove the entry from `drift.ignore`."


def _matches_field(waiver: Waiver, field: FieldChange) -> bool:
    name = ".".join(field.path)
    return name == waiver.field or name.startswith(f"{waiver.field}.")


def _copy_live_value(
    spec: Mapping[str, Value], live: Mapping[str, Value], path: tuple[str, ...]
) -> Mapping[str, Value]:
    head, *rest = path
    value: Any = live.get(head, ABSENT)
    if rest and isinstance(value, Mapping):
        return {**spec, head: _copy_live_value(spec[head], value, tuple(rest))}
    if value is ABSENT:
        return {key: item for key, item in spec.items() if key != head}
    return {**spec, head: value}
