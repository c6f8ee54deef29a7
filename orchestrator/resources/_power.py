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
    SCHEDULED_WAKE,
    TAG_HIBERNATION,
)

TAG_HIBERNATED: Final = "hibernated"
TAG_HELD: Final = "held"
TAG_ON: Final = "on"


def parse_power(tags: Mapping[str, Value], *, is_running: bool) -> str:
    """Return the power of a resource from its tags.

    One that somebody else has stopped is POWER_ON and unhealthy: plans leave it alone, and a wake starts it.
    """
    if tags.get(TAG_HIBERNATION) != TAG_HIBERNATED:
        return POWER_ON
    return POWER_RESTARTED if is_running else POWER_HIBERNATED


def describe_exceptions(tags: Mapping[str, Value], *, is_running: bool) -> Mapping[str, bool]:
    """Return what only hibernation and its schedule need to know: who holds the resource awake, or has stopped it."""
    return {
        "is_held": is_running and tags.get(TAG_HIBERNATION) == TAG_HELD,
        "is_stopped": not is_running and tags.get(TAG_HIBERNATION) != TAG_HIBERNATED,
    }


def tag_after(spec: Mapping[str, Value]) -> Mapping[str, str]:
    """Return the tag that records the power that ``spec`` wants."""
    if spec["power"] == POWER_HIBERNATED:
        return {TAG_HIBERNATION: TAG_HIBERNATED}
    return {TAG_HIBERNATION: TAG_ON if SCHEDULED_WAKE in spec else TAG_HELD}
