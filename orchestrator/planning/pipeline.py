"""The one pipeline: load, check, expand, snapshot, plan, apply.  Verbs are its beginnings and endings.

Each stage is imported where it is used: ``validate`` must start without AWS's libraries.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.aws import Clients
    from orchestrator.manifest.check import Manifest
    from orchestrator.planning.events import OnEvent
    from orchestrator.planning.plan import Planned
    from orchestrator.vocabulary import Desired, Outcome


def validate(folder: Path, environment: str | None = None) -> Manifest:
    """Load and check, offline.

    Raises Problems with everything that was found.
    """
    from orchestrator.manifest import check, load

    return check.check(load.load(folder), environment)


def desired(folder: Path, environment: str | None = None, *, shipping: bool = True) -> Desired:
    """Load, check, look at what the checkout would ship (unless nothing is), and expand.

    Raises Problems.
    """
    return expanded(validate(folder, environment), shipping=shipping)


def expanded(manifest: Manifest, *, shipping: bool = True) -> Desired:
    """The same, of manifests that were checked already."""
    from orchestrator.artefacts.collect import gather, nothing
    from orchestrator.manifest import expand

    look = gather if shipping else nothing
    return expand.expand(manifest, look(expand.stack_of(manifest).components.values()))


def plan(
    wanted: Desired,
    *,
    targets: Iterable[str] = (),
    allow: str = "",
    destroying: bool = False,
    clients: Clients | None = None,
) -> Planned:
    """Read AWS and compare.  Makes no call that is not on the read list.

    ``destroying`` plans for no resources at all.  Raises Problems when AWS cannot be asked, or a target is unknown.
    """
    from datetime import UTC, datetime

    from msgspec.structs import replace

    from orchestrator.aws import Clients, Reader
    from orchestrator.planning import plan as planning
    from orchestrator.planning import snapshot

    clients = clients or Clients(wanted.scope.region)
    if destroying:
        wanted = replace(wanted, resources=(), notes=(), waivers=())
    configured = reach(clients)
    seen = snapshot.take(Reader(clients), wanted)
    return planning.build(
        wanted,
        seen,
        targets=frozenset(targets),
        allow=allow,
        destroying=destroying,
        configured_region=configured,
        today=datetime.now(UTC).date().isoformat(),
    )


def reach(clients: Clients) -> str | None:
    """See that AWS can be asked at all; the region that the surroundings name.

    Raises Problems within seconds where there is no network, not after all tries of a call.
    """
    from orchestrator.aws import AwsError
    from orchestrator.planning import snapshot

    try:
        configured = clients.configured_region()
        clients.reach("sts", "get_caller_identity")
    except AwsError as error:
        raise snapshot.hopeless(error) from None
    return configured


def apply(
    planned: Planned, on_event: OnEvent, *, parallelism: int = 16, clients: Clients | None = None
) -> tuple[Outcome, ...]:
    """Carry a plan out.

    Raises Problems (exit code 3) without having done anything when the plan is vetoed.
    """
    from orchestrator.aws import Actuator, Clients
    from orchestrator.planning import apply as applying
    from orchestrator.problems import Exit, Problem, Problems

    if planned.plan.is_vetoed:
        vetoes = [*planned.plan.vetoes, *(veto for change in planned.plan.changes for veto in change.vetoes)]
        raise Problems([Problem(f"{veto.name}: {veto.sentence}") for veto in vetoes], Exit.VETOED)
    actuator = Actuator(clients or Clients(planned.scope.region))
    return applying.apply(planned, actuator.perform, on_event, workers=parallelism)
