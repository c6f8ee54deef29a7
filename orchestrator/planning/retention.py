"""Retain resources that the desired state does not declare: those that hold data, and those still in use.  Pure.

A rollback leaves a release that may have added a bucket or a database: its data stays, and the rest goes back.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from orchestrator import resources
from orchestrator.planning.snapshot import Snapshot
from orchestrator.vocabulary import DesiredState, DiscoveredResource, LiveResource

Orphans = Mapping[str, tuple[DiscoveredResource, LiveResource]]
SERVING_PREFIXES = ("containerservice.", "cdn.")
"""Components of which only the resources with data are retained: the others would go on serving users."""


class OrphanRetention(Struct, frozen=True):
    """Undeclared resources that a plan does not delete: ``retained`` ones, and what ``in_use`` names the users of."""

    retained: tuple[str, ...]
    in_use: Mapping[str, tuple[str, ...]]

    def __contains__(self, address: str) -> bool:
        return address in self.retained or address in self.in_use

    def describe(self, orphans: Orphans) -> tuple[str, ...]:
        """Return the notes that say what is kept, and why."""
        return (*describe_retained(self.retained, orphans), *describe_in_use(self.in_use, orphans))


def choose_retention(desired: DesiredState, snapshot: Snapshot, *, destroying: bool) -> OrphanRetention:
    """Return which orphans this plan does not delete."""
    retained = () if destroying else select_retained(desired, snapshot.orphans)
    return OrphanRetention(retained, select_in_use(desired, snapshot))


def select_retained(desired: DesiredState, orphans: Orphans) -> tuple[str, ...]:
    """Return the addresses of the orphans to retain: those retained before, and on a rollback all that hold data.

    What belongs to the same component is retained with them: a database needs its security group.
    """
    if not desired.retains_data:
        return tuple(address for address in orphans if address in desired.retained)
    stateful = {address for address, (item, _) in orphans.items() if resources.load(item.type).STATEFUL}
    components = {
        component
        for address in stateful
        if (component := orphans[address][1].component) and not component.startswith(SERVING_PREFIXES)
    }
    return tuple(
        address
        for address, (_, live) in orphans.items()
        if address in stateful or address in desired.retained or live.component in components
    )


def select_in_use(desired: DesiredState, snapshot: Snapshot) -> Mapping[str, tuple[str, ...]]:
    """Return the orphans that something goes on using after this plan, with the names of what uses them.

    What this plan deletes, or changes at once, stops using them.
    """
    released = {(item.type, item.physical.lower()) for item, _ in snapshot.orphans.values()} | {
        (resource.type, resource.physical.lower())
        for resource in desired.resources
        if (live := snapshot.live.get(resource.address)) is not None
        and not resources.is_deferred(resource.type, resource.spec, live)
    }
    in_use = {
        address: tuple(name for kind, name in resources.users(item.type, live) if (kind, name.lower()) not in released)
        for address, (item, live) in snapshot.orphans.items()
    }
    return {address: names for address, names in in_use.items() if names}


def describe_in_use(in_use: Mapping[str, tuple[str, ...]], orphans: Orphans) -> tuple[str, ...]:
    """Return one note for each undeclared resource that is still in use."""
    return tuple(
        f"{orphans[address][0].physical} is kept: {' and '.join(names)} still {'use' if len(names) > 1 else 'uses'} "
        "it. It is deleted by the first apply after it is no longer in use."
        for address, names in sorted(in_use.items())
    )


def describe_retained(retained: tuple[str, ...], orphans: Orphans) -> tuple[str, ...]:
    """Return one note about the retained resources, with how to delete them; none if there are none."""
    stateful = [orphans[address][0].physical for address in retained if _is_stateful(address, orphans)]
    if not stateful:
        return ()
    note = (
        f"Retained: {', '.join(sorted(stateful))}. The manifests do not declare it, but a release that was rolled back "
        "added it, and it may contain data. To delete it, declare it again with `deletionPolicy: delete`, deploy the "
        "change, then remove it."
    )
    return (note,)


def _is_stateful(address: str, orphans: Orphans) -> bool:
    return resources.load(orphans[address][0].type).STATEFUL
