"""Compare a desired spec with a live one.  Pure; compares only fields that the desired spec sets.

Mappings are compared field by field, everything else (including lists) as one value: both sides are normalised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.values import ABSENT, Value, WriteOnly, is_known, to_plain
from orchestrator.vocabulary import FieldChange


def diff(desired: Value, live: Value) -> tuple[FieldChange, ...]:
    """Return the field changes that turn ``live`` into ``desired``; fields that ``desired`` omits are ignored.

    A desired ABSENT means that the field must not exist.  A desired Unknown always differs, a WriteOnly never does.
    """
    return tuple(_iter_changes((), desired, live))


def _iter_changes(path: tuple[str, ...], desired: Value, live: Value) -> Iterator[FieldChange]:
    if isinstance(desired, Mapping) and isinstance(live, Mapping):
        for key, value in desired.items():
            yield from _iter_changes((*path, str(key)), value, live.get(key, ABSENT))
    elif isinstance(desired, WriteOnly):
        return
    elif not is_known(desired) or _values_differ(desired, live):
        yield FieldChange(path, _to_display_value(live), _to_display_value(desired))


def _values_differ(desired: Value, live: Value) -> bool:
    if desired is ABSENT or live is ABSENT:
        return desired is not live
    return (type(desired) is not type(live) and not _are_numbers(desired, live)) or bool(desired != live)


def _are_numbers(desired: Value, live: Value) -> bool:
    number_types = (int, float)
    return (
        isinstance(desired, number_types)
        and isinstance(live, number_types)
        and isinstance(desired, bool) == isinstance(live, bool)
    )


def _to_display_value(value: Value) -> Value:
    return to_plain(value)
