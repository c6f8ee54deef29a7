"""Tell whether a resource that can be paused runs, was hibernated, or was stopped by somebody else.

A tag says what was last done on purpose, because AWS starts a stopped database by itself after seven days
("Stopping an Amazon RDS DB instance temporarily", RDS user guide).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orchestrator.values import Value
from orchestrator.vocabulary import (
    POWER_HIBERNATED,
    POWER_ON,
    POWER_RESTARTED,
    POWER_STOPPED,
    SCHEDULED_WAKE,
    TAG_HIBERNATION,
)

TAG_HIBERNATED: Final = "hibernated"
TAG_HELD: Final = "held"
TAG_ON: Final = "on"


def parse_power(tags: Mapping[str, Value], *, is_running: bool) -> str:
    """Return the power of a resource from its tags; a running one that is held awake is POWER_ON."""
    if is_running:
        return POWER_RESTARTED if tags.get(TAG_HIBERNATION) == TAG_HIBERNATED else POWER_ON
    return POWER_HIBERNATED if tags.get(TAG_HIBERNATION) == TAG_HIBERNATED else POWER_STOPPED


def tag_after(spec: Mapping[str, Value]) -> Mapping[str, str]:
    """Return the tag that records the power that ``spec`` wants."""
    if spec["power"] == POWER_HIBERNATED:
        return {TAG_HIBERNATION: TAG_HIBERNATED}
    return {TAG_HIBERNATION: TAG_ON if SCHEDULED_WAKE in spec else TAG_HELD}
