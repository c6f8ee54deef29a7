"""Read the use that manifests declare under ``usage:``, in three levels.  Pure; changes nothing in AWS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from orchestrator.vocabulary import Component

LEVELS: Final = ("low", "expected", "high")

Amounts: TypeAlias = tuple[float, float, float]
"""Amounts of a quiet, a usual and a busy month."""

UsageByComponent: TypeAlias = Mapping[str, Mapping[str, Amounts]]
"""Amounts by component handle (``bucket.files``) and measure (``storageGb``)."""


def collect(components: Iterable[Component]) -> UsageByComponent:
    """Return what ``components`` declare, without those that declare nothing."""
    usage = {component.handle: _parse(component.spec.get("usage") or {}) for component in components}
    return {handle: amounts for handle, amounts in usage.items() if amounts}


def _parse(measures: Mapping[str, Any]) -> dict[str, Amounts]:
    return {
        name: (
            float(levels.get("low", levels["expected"])),
            float(levels["expected"]),
            float(levels.get("high", levels["expected"])),
        )
        for name, levels in measures.items()
    }
