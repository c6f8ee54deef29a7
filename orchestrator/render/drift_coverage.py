"""Count the settings that AWS lets one set on an environment's resources, and those that drift reports see.  Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from msgspec import Struct

from orchestrator import resources
from orchestrator.vocabulary import Action, Change, Plan


class DriftCoverage(Struct, frozen=True):
    """How much of what AWS lets one set was looked at.

    ``not_looked_at`` has, by resource type, the reasons, each with the settings that nothing reads.
    """

    checked: int
    total: int
    not_looked_at: Mapping[str, Mapping[str, tuple[str, ...]]] = {}

    @property
    def percentage(self) -> float:
        """Percentage of the settings, rounded down: 100 means all of them."""
        return math.floor(1000 * self.checked / self.total) / 10 if self.total else 100.0

    @property
    def sentence(self) -> str:
        return f"{self.checked} of {self.total} configurable settings were checked"


def measure_coverage(plan: Plan) -> DriftCoverage:
    """Count the settings of all resources of a plan that exist in AWS."""
    unread = {item.address for item in plan.unread}
    counts = [_count_change(change) for change in plan.changes if change.address not in unread]
    counts += [(0, _count_settings(address)) for address in unread]
    types = sorted({_type_of(change.address) for change in plan.changes if change.action is not Action.CREATE})
    listed = {name: properties.not_looked_at for name in types if (properties := resources.load_properties(name))}
    not_looked_at = {
        name: {reason: tuple(settings) for reason, settings in reasons.items()}
        for name, reasons in listed.items()
        if reasons
    }
    return DriftCoverage(sum(checked for checked, _ in counts), sum(total for _, total in counts), not_looked_at)


def describe_not_looked_at(coverage: DriftCoverage) -> Iterator[tuple[str, str, str]]:
    """Yield resource type, settings separated by commas, and the reason."""
    for resource_type, reasons in coverage.not_looked_at.items():
        for reason, settings in reasons.items():
            yield resource_type, ", ".join(settings), reason


def _count_change(change: Change) -> tuple[int, int]:
    """Return how many settings of a resource were seen, and how many it has; a missing resource has none."""
    properties = resources.load_properties(_type_of(change.address))
    if change.action is Action.CREATE:
        return 0, 0
    if properties is None:
        return 1, 1
    unread = {setting.partition(" (")[0] for setting in change.unwatched}
    unread_count = sum(max(1, list(properties.watched.values()).count(setting)) for setting in unread)
    return max(0, properties.checked_count - unread_count), _count_settings(change.address)


def _count_settings(address: str) -> int:
    properties = resources.load_properties(_type_of(address))
    return 1 if properties is None else properties.checked_count + len(properties.unchecked)


def _type_of(address: str) -> str:
    return address.partition(".")[0]
