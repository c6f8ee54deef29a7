"""Check the use that a component declares under ``usage:``.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.values import Value

Finding = tuple[tuple[str | int, ...], str, str | None]


def check(spec: Mapping[str, Value]) -> Iterator[Finding]:
    """Yield measures whose levels are not in the order low, expected, high."""
    measures = spec.get("usage")
    for name, levels in measures.items() if isinstance(measures, Mapping) else ():
        expected = levels["expected"]
        if levels.get("low", expected) > expected:
            yield ("usage", name, "low"), f"`low` is above `expected`, which is {expected:g}", "lower it"
        if levels.get("high", expected) < expected:
            yield ("usage", name, "high"), f"`high` is below `expected`, which is {expected:g}", "raise it"
