"""Differences that a manifest lets be until a day (``metadata.drift.ignore``).  Pure.

What is let be is taken from AWS into the desired spec, so that an update of another field of the same resource cannot
overwrite it by the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.values import ABSENT, Value
from orchestrator.vocabulary import FieldChange, Waived, Waiver


def match_waivers(
    address: str, fields: Iterable[FieldChange], waivers: Iterable[Waiver], today: str
) -> tuple[Waived, ...]:
    """The ``fields`` of one resource that some waiver speaks of; ``today`` is a day, "" before all days."""
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
    """``spec`` with what ``live`` has wherever a difference is let be."""
    for item in waived:
        if not item.past:
            spec = _copy_live_value(spec, live, item.field.path)
    return spec


def describe_waivers(waived: Iterable[Waived], waivers: Iterable[Waiver], today: str) -> Iterator[str]:
    """What a reader of the plan should know: what is let be, what no longer is, and which entries can go."""
    waived = tuple(waived)
    for item in waived:
        name = f"{item.address}: {'.'.join(item.field.path)}"
        if item.past:
            yield f"{name} was let be until {item.until} ({item.owner}: {item.reason}). That day is past: it is drift."
        else:
            yield f"{name} differs and is let be until {item.until} ({item.owner}: {item.reason})."
    for waiver in waivers:
        is_used = any(item.address in waiver.addresses and _matches_field(waiver, item.field) for item in waived)
        if waiver.until < today and not is_used:
            entry = f"`{waiver.field}`, let be until {waiver.until}"
            yield f"{waiver.component}: nothing differs in {entry}; the entry in `drift.ignore` can go."


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
