"""What differs between desired and live.  Pure; compares only what the desired side says.

Mappings are compared member by member, everything else (lists too) as one value: both sides come normalised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.values import ABSENT, Value, WriteOnly, is_known, plain
from orchestrator.vocabulary import FieldChange


def diff(desired: Value, live: Value) -> tuple[FieldChange, ...]:
    """Field changes that turn ``live`` into ``desired``; what ``desired`` leaves unsaid is left alone.

    A desired ABSENT means "must not be there".  An Unknown on the desired side always differs, a
    WriteOnly never does.
    """
    return tuple(_compare((), desired, live))


def _compare(path: tuple[str, ...], desired: Value, live: Value) -> Iterator[FieldChange]:
    if isinstance(desired, Mapping) and isinstance(live, Mapping):
        for key, value in desired.items():
            yield from _compare((*path, str(key)), value, live.get(key, ABSENT))
    elif isinstance(desired, WriteOnly):
        return
    elif not is_known(desired) or _plain_pair(desired, live):
        yield FieldChange(path, _shown(live), _shown(desired))


def _plain_pair(desired: Value, live: Value) -> bool:
    if desired is ABSENT or live is ABSENT:
        return desired is not live
    return (type(desired) is not type(live) and not _numbers(desired, live)) or bool(desired != live)


def _numbers(desired: Value, live: Value) -> bool:
    numeric = (int, float)
    return (
        isinstance(desired, numeric)
        and isinstance(live, numeric)
        and isinstance(desired, bool) == isinstance(live, bool)
    )


def _shown(value: Value) -> Value:
    return plain(value)
