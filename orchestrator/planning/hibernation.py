"""Build the desired state that hibernates an environment or wakes it, and changes nothing else.  Pure.

Services are paused before the databases that they use stop, and databases start before services resume.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.planning.snapshot import Snapshot
from orchestrator.problems import Problem, Problems
from orchestrator.values import WriteOnly
from orchestrator.vocabulary import (
    POWER_HELD,
    POWER_HIBERNATED,
    POWER_ON,
    POWER_RESTARTED,
    POWER_STOPPED,
    SCHEDULED_WAKE,
    DesiredState,
    LiveResource,
    Resource,
)

SERVICE_TYPE, DATABASE_TYPE = "apprunner_service", "rds_instance"
HIBERNATABLE_TYPES = (SERVICE_TYPE, DATABASE_TYPE)
ALWAYS_ON_TYPE = "ecs_express_service"


class PowerGoal(Struct, frozen=True):
    """What a run wants: ``POWER_HIBERNATED`` or ``POWER_ON``.

    ``is_scheduled``: the schedule asks, so a later run of the schedule may change it again.
    """

    power: str
    is_scheduled: bool = False


def build_desired(desired: DesiredState, snapshot: Snapshot, goal: PowerGoal) -> tuple[DesiredState, Snapshot]:
    """Return the desired state and the snapshot of a plan that only hibernates or wakes.

    Raises Problems if the environment has a service that cannot be paused.
    """
    if goal.power == POWER_HIBERNATED:
        _refuse_always_on(desired)
    live = _mark_exceptions(snapshot.live, desired, is_scheduled=goal.is_scheduled)
    switched = {
        item.address: item
        for item in desired.resources
        if item.type in HIBERNATABLE_TYPES and item.address in live and not _has_never_run(live[item.address])
    }
    databases = frozenset(address for address, item in switched.items() if item.type == DATABASE_TYPE)
    services = frozenset(switched) - databases
    hibernates = goal.power == POWER_HIBERNATED
    extra = {SCHEDULED_WAKE: WriteOnly(True)} if goal.is_scheduled and not hibernates else {}

    def switch(item: Resource) -> Resource:
        after = services if hibernates and item.type == DATABASE_TYPE else frozenset[str]()
        after = databases if not hibernates and item.type == SERVICE_TYPE else after
        spec = {**live[item.address].spec, "power": goal.power, **extra}
        return replace(item, spec=spec, depends_on=after)

    resources = tuple(switch(item) if item.address in switched else item for item in desired.resources)
    ordered = sorted(resources, key=lambda item: (item.address in switched, hibernates == (item.type == DATABASE_TYPE)))
    unchanged = frozenset(item.address for item in desired.resources) - frozenset(switched)
    notes = tuple(_iter_notes(goal, databases))
    unread = {address: item for address, item in snapshot.unread.items() if address.startswith(HIBERNATABLE_TYPES)}
    return (
        replace(desired, resources=tuple(ordered), unchanged=unchanged, notes=notes, waivers=()),
        Snapshot(snapshot.account, live, unread),
    )


def keep_power(desired: DesiredState, snapshot: Snapshot) -> DesiredState:
    """Return the desired state in which what was hibernated stays so, for a check that must not call it drift."""

    def keep(item: Resource) -> Resource:
        live = snapshot.live.get(item.address)
        is_hibernated = live is not None and live.spec.get("power") in (POWER_HIBERNATED, POWER_RESTARTED)
        return replace(item, spec={**item.spec, "power": POWER_HIBERNATED}) if is_hibernated else item

    return replace(desired, resources=tuple(map(keep, desired.resources)))


def count_hibernated(live: Mapping[str, LiveResource]) -> int:
    """Return how many live resources are hibernated."""
    return sum(item.spec.get("power") == POWER_HIBERNATED for item in live.values())


def is_held_awake(live: Mapping[str, LiveResource]) -> bool:
    """Return whether somebody woke the environment, by hand or by a deploy, since its schedule woke it last."""
    return any(item.private.get("is_held") is True for item in live.values())


def _mark_exceptions(
    live: Mapping[str, LiveResource], desired: DesiredState, *, is_scheduled: bool
) -> dict[str, LiveResource]:
    """Return the live resources in which what somebody has stopped differs from POWER_ON.

    For a schedule so does what is held awake, so that the schedule takes it over.
    """
    addresses = {item.address for item in desired.resources if item.type in HIBERNATABLE_TYPES}

    def mark(address: str, item: LiveResource) -> LiveResource:
        if address not in addresses or item.spec.get("power") != POWER_ON:
            return item
        if item.private.get("is_stopped") is True:
            return replace(item, spec={**item.spec, "power": POWER_STOPPED})
        is_held = is_scheduled and item.private.get("is_held") is True
        return replace(item, spec={**item.spec, "power": POWER_HELD}) if is_held else item

    return {address: mark(address, item) for address, item in live.items()}


def _has_never_run(live: LiveResource) -> bool:
    """Return whether a service exists only as a creation that failed: it can be neither paused nor resumed."""
    return live.spec.get("usable") is False


def _refuse_always_on(desired: DesiredState) -> None:
    problems = [
        Problem(
            f"{item.component} cannot be paused: ECS Express Mode keeps at least one task running",
            item.where,
            "set `runtime: app-runner` if the account can use it, or destroy the environment while it is not needed",
        )
        for item in desired.resources
        if item.type == ALWAYS_ON_TYPE
    ]
    if problems:
        raise Problems([*problems, Problem("nothing was hibernated")])


def _iter_notes(goal: PowerGoal, databases: frozenset[str]) -> Iterator[str]:
    if goal.power != POWER_HIBERNATED:
        return
    yield "Static sites stay reachable; requests to a paused service fail. `orchestrator wake` or a deploy wakes it."
    if databases:
        yield (
            "AWS starts a stopped database after 7 days. `orchestrator hibernate --scheduled`, which the workflow "
            "hibernate.yml runs, stops it again."
        )
