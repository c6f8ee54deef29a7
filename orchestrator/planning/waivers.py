"""Differences that a manifest lets be until a day (``metadata.drift.ignore``).  Pure.

What is let be is taken from AWS into the desired spec, so that an update of another field of the same resource cannot
overwrite it by the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.values import ABSENT, Value
from orchestrator.vocabulary import FieldChange, Waived, Waiver


def waived(address: str, fields: Iterable[FieldChange], waivers: Iterable[Waiver], today: str) -> tuple[Waived, ...]:
    """The ``fields`` of one resource that some waiver speaks of; ``today`` is a day, "" before all days."""
    mine = [waiver for waiver in waivers if address in waiver.addresses]
    found = []
    for field in fields if mine else ():
        fitting = [waiver for waiver in mine if _covers(waiver, field)]
        if fitting:
            last = max(fitting, key=lambda waiver: waiver.until)
            found.append(Waived(address, field, last.until, last.owner, last.reason, last.until < today))
    return tuple(found)


def leave(spec: Mapping[str, Value], live: Mapping[str, Value], told: Iterable[Waived]) -> Mapping[str, Value]:
    """``spec`` with what ``live`` has wherever a difference is let be."""
    for one in told:
        if not one.past:
            spec = _with(spec, live, one.field.path)
    return spec


def notes(told: Iterable[Waived], waivers: Iterable[Waiver], today: str) -> Iterator[str]:
    """What a reader of the plan should know: what is let be, what no longer is, and which entries can go."""
    told = tuple(told)
    for one in told:
        name = f"{one.address}: {'.'.join(one.field.path)}"
        if one.past:
            yield f"{name} was let be until {one.until} ({one.owner}: {one.reason}). That day is past: it is drift."
        else:
            yield f"{name} differs and is let be until {one.until} ({one.owner}: {one.reason})."
    for waiver in waivers:
        spoken = any(one.address in waiver.addresses and _covers(waiver, one.field) for one in told)
        if waiver.until < today and not spoken:
            entry = f"`{waiver.field}`, let be until {waiver.until}"
            yield f"{waiver.component}: nothing differs in {entry}; the entry in `drift.ignore` can go."


def _covers(waiver: Waiver, field: FieldChange) -> bool:
    name = ".".join(field.path)
    return name == waiver.field or name.startswith(f"{waiver.field}.")


def _with(spec: Mapping[str, Value], live: Mapping[str, Value], path: tuple[str, ...]) -> Mapping[str, Value]:
    head, *rest = path
    value: Any = live.get(head, ABSENT)
    if rest and isinstance(value, Mapping):
        return {**spec, head: _with(spec[head], value, tuple(rest))}
    if value is ABSENT:
        return {key: item for key, item in spec.items() if key != head}
    return {**spec, head: value}
