"""Run the pipeline that all commands share: load, check, expand, snapshot, plan, apply.

Each stage is imported where it is used, because ``validate`` must start without the AWS libraries.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from orchestrator.aws import Clients, Reader
    from orchestrator.manifest.check import Manifest
    from orchestrator.planning.events import OnEvent
    from orchestrator.planning.hibernation import PowerGoal
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.vocabulary import DesiredState, Outcome


def validate(folder: Path, environment: str | None = None) -> Manifest:
    """Load and check the manifests, offline.

    Raises Problems with all errors that were found.
    """
    from orchestrator.manifest import check, load, promotion_source
    from orchestrator.problems import Problems

    manifest = check.check(load.load(folder), environment)
    if problems := list(promotion_source.find_problems(manifest)):
        raise Problems(problems)
    return manifest


def validate_all(folder: Path) -> dict[str, Manifest]:
    """Load and check the manifests of every environment, offline; return them by environment.

    Raises Problems with all errors that were found, also with the names in AWS that two environments share.
    """
    from orchestrator.manifest import check, environment_names, load, overlay, promotion_source
    from orchestrator.problems import Problem, Problems

    sources = load.load(folder)
    manifests: dict[str, Manifest] = {}
    problems: list[Problem] = []
    for name in overlay.environment_names(sources):
        try:
            manifests[name] = check.check(sources, name)
        except Problems as error:
            problems += (problem for problem in error.problems if problem not in problems)
    problems += (problem for manifest in manifests.values() for problem in promotion_source.find_problems(manifest))
    if problems:
        raise Problems(problems)
    states = [expand_manifest(manifest, include_artefacts=False) for manifest in manifests.values()]
    if problems := list(environment_names.find_collisions(states)):
        raise Problems(problems)
    return manifests


def load_desired(folder: Path, environment: str | None = None, *, include_artefacts: bool = True) -> DesiredState:
    """Load, check and expand the manifests, with the artefacts of the checkout unless ``include_artefacts`` is false.

    Raises Problems if the manifests or the artefacts are invalid.
    """
    return expand_manifest(validate(folder, environment), include_artefacts=include_artefacts)


def expand_manifest(manifest: Manifest, *, include_artefacts: bool = True) -> DesiredState:
    """Expand checked manifests into the desired state, without artefacts with that of the promotion's source.

    Raises Problems if the artefacts are invalid.
    """
    from msgspec.structs import replace

    from orchestrator.artefacts.collect import collect_artefacts, placeholder_artefacts
    from orchestrator.manifest import expand, promotion_source

    collect = collect_artefacts if include_artefacts else placeholder_artefacts
    desired = expand.expand(manifest, collect(expand.build_stack(manifest).components.values()))
    promotion = None if include_artefacts else manifest.project.spec.get("promotion")
    if not promotion:
        return desired
    source = promotion_source.check_source(manifest, str(promotion["from"]))
    artefacts = placeholder_artefacts(expand.build_stack(source).components.values())
    return replace(desired, promotion_source=expand.expand(source, artefacts))


def plan(
    desired_state: DesiredState,
    *,
    targets: Iterable[str] = (),
    allow: str = "",
    destroying: bool = False,
    clients: Clients | None = None,
    power: PowerGoal | None = None,
    preserves_power: bool = False,
) -> PreparedPlan:
    """Read AWS and return the plan.  Makes only read calls.

    ``destroying`` plans for no resources at all.  ``power`` plans only to hibernate or wake; with ``preserves_power``
    what is hibernated stays so, while any other plan wakes it.  Raises Problems if AWS cannot be queried or a target
    is unknown.
    """
    from datetime import UTC, datetime

    from msgspec.structs import replace

    from orchestrator.aws import Clients, Reader
    from orchestrator.planning import hibernation, snapshot
    from orchestrator.planning import plan as planning

    clients = clients or Clients.for_scope(desired_state.scope)
    if destroying:
        desired_state = replace(desired_state, resources=(), notes=(), waivers=())
    configured_region = check_connection(clients)
    live_snapshot = snapshot.take(reader := Reader(clients), desired_state)
    if power is not None:
        desired_state, live_snapshot = hibernation.build_desired(desired_state, live_snapshot, power)
    elif preserves_power:
        desired_state = hibernation.keep_power(desired_state, live_snapshot)
    today = datetime.now(UTC).date()
    prepared = planning.build(
        desired_state,
        live_snapshot,
        targets=frozenset(targets),
        allow=allow,
        destroying=destroying,
        configured_region=configured_region,
        today=today.isoformat(),
    )
    can_create = not destroying and power is None
    return _check_account(prepared, reader, desired_state, today, allow) if can_create else prepared


def _check_account(
    prepared: PreparedPlan, reader: Reader, desired: DesiredState, today: date, allow: str
) -> PreparedPlan:
    """Return the plan with what AWS would refuse to the account, and what another region or name has left behind."""
    from orchestrator.planning import account_refusals

    return _note_left_behind(account_refusals.add_vetoes(prepared, reader, allow), reader, desired, today)


def _note_left_behind(prepared: PreparedPlan, reader: Reader, desired: DesiredState, today: date) -> PreparedPlan:
    """Return the plan with notes about what another region or name has left behind."""
    from msgspec.structs import replace

    from orchestrator.aws import Clients, Reader
    from orchestrator.planning import left_behind

    owner = desired.scope.owner
    is_first = not any(task.live is not None and task.live.owner == owner for task in prepared.tasks.values())
    notes = left_behind.describe(
        reader, desired, lambda scope: Reader(Clients.for_scope(scope)), today, is_first=is_first
    )
    return replace(prepared, plan=replace(prepared.plan, notes=(*prepared.plan.notes, *notes)))


def check_connection(clients: Clients) -> str | None:
    """Check that AWS can be queried and return the configured region (environment or profile), or None.

    Raises Problems within seconds if there is no network, not after all retries of a call.
    """
    from orchestrator.aws import AwsError
    from orchestrator.planning import snapshot

    try:
        configured_region = clients.configured_region()
        clients.check_reachable("sts", "get_caller_identity")
    except AwsError as error:
        raise snapshot.connection_problem(error) from None
    return configured_region


def apply(
    prepared: PreparedPlan, on_event: OnEvent, *, parallelism: int = 16, clients: Clients | None = None
) -> tuple[Outcome, ...]:
    """Apply a plan and return the outcomes.

    Raises Problems (exit code 3), without applying anything, if the plan is vetoed.
    """
    from orchestrator.aws import Clients, StepExecutor
    from orchestrator.interruption import InterruptibleClock
    from orchestrator.planning import apply as applying
    from orchestrator.problems import ExitCode, Problem, Problems

    if prepared.plan.is_vetoed:
        vetoes = prepared.plan.all_vetoes
        raise Problems([Problem(f"{veto.name}: {veto.sentence}") for veto in vetoes], ExitCode.VETOED)
    clock = InterruptibleClock()
    executor = StepExecutor(clients or Clients.for_scope(prepared.scope), clock)
    return applying.apply(
        prepared, executor.perform, on_event, workers=parallelism, stop_requested=clock.stop_requested
    )
