"""Retain resources that hold data and that the desired state does not declare.  Pure.

A rollback leaves a release that may have added a bucket or a database: its data stays, and the rest goes back.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator import resources
from orchestrator.vocabulary import DesiredState, DiscoveredResource, LiveResource

Orphans = Mapping[str, tuple[DiscoveredResource, LiveResource]]
SERVING_PREFIXES = ("containerservice.", "cdn.")
"""Components of which only the resources with data are retained: the others would go on serving users."""


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


def describe_retained(retained: tuple[str, ...], orphans: Orphans) -> tuple[str, ...]:
    """Return one note about the retained resources, with how to delete them; none if there are none."""
    stateful = [orphans[address][0].physical for address in retained if _is_stateful(address, orphans)]
    if not stateful:
        return ()
    note = (
        f"Retained: {', '.join(sorted(stateful))}. The manifests do not declare it, but a release that was rolled back "
        "added it, and it may hold data. To delete it, declare it again with `deletionPolicy: delete`, deploy that, "
        "then remove it."
    )
    return (note,)


def _is_stateful(address: str, orphans: Orphans) -> bool:
    return resources.load(orphans[address][0].type).STATEFUL
