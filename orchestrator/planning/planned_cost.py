"""Estimate the monthly cost before and after a plan."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Protocol

from msgspec.structs import replace

from orchestrator import cost
from orchestrator.cost import project_prices
from orchestrator.cost.declared_usage import UsageByComponent
from orchestrator.problems import Position
from orchestrator.vocabulary import DiscoveredResource, LiveResource, Resource


class Task(Protocol):
    """The part of a change's task that an estimate reads."""

    @property
    def resource(self) -> Resource | None: ...

    @property
    def live(self) -> LiveResource | None: ...

    @property
    def discovered(self) -> DiscoveredResource | None: ...


def estimate_change(
    tasks: Mapping[str, Task],
    changed_addresses: Collection[str],
    region: str,
    on: date,
    usage: UsageByComponent | None = None,
    *,
    as_awake: bool = False,
) -> tuple[cost.Estimate, cost.Estimate]:
    """Return the monthly costs before and after the changes of ``changed_addresses``, by the declared ``usage``.

    ``as_awake``: as if nothing were hibernated or stopped.

    Raises Problems if the project's price file is invalid.
    """
    prices = project_prices.load()
    before, after = list_before(tasks.values()), list_after(tasks.values(), changed_addresses)
    if as_awake:
        before, after = list(map(_as_awake, before)), list(map(_as_awake, after))
    return (
        cost.estimate(before, region, prices, on=on, usage=usage),
        cost.estimate(after, region, prices, on=on, usage=usage),
    )


def list_before(tasks: Iterable[Task]) -> list[Resource]:
    """Return what exists in AWS now, also what the plan deletes."""
    return [live for task in tasks if (live := _live_resource(task) or _removed_resource(task)) is not None]


def list_after(tasks: Iterable[Task], changed_addresses: Collection[str]) -> list[Resource]:
    """Return what exists after the plan: unchanged resources as they are in AWS, changed ones as declared."""
    resources: list[Resource] = []
    for task in tasks:
        if task.resource is None:
            continue
        if task.resource.address in changed_addresses:
            resources.append(task.resource)
        elif (live := _live_resource(task)) is not None:
            resources.append(live)
    return resources


def _as_awake(resource: Resource) -> Resource:
    return replace(resource, spec={key: value for key, value in resource.spec.items() if key != "power"})


def _live_resource(task: Task) -> Resource | None:
    """Return the declared resource of ``task`` as it is in AWS now; None if it does not exist."""
    if task.resource is None or task.live is None:
        return None
    return replace(task.resource, spec={**task.resource.spec, **task.live.spec})


def _removed_resource(task: Task) -> Resource | None:
    """Return the live resource that ``task`` deletes, under its physical name; None if it deletes none."""
    if task.resource is not None or task.discovered is None or task.live is None:
        return None
    name = task.discovered.physical
    return Resource(task.discovered.type, name, name, task.live.spec, task.live.component or "", Position(""))
