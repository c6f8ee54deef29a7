"""Deploy or roll back: lock the environment, plan, ask for approval, apply, verify, record and report.

The command line, GitHub's workflows and the demo call the same functions, with different ``Notifier`` objects.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator.problems import ExitCode, Problem, Problems
from orchestrator.quantities import format_count
from orchestrator.runs import reporter
from orchestrator.runs.apply import MAX_PARALLEL_CHANGES
from orchestrator.runs.approval import Approval, review_plan
from orchestrator.runs.notifier import Notifier
from orchestrator.runs.release_session import ReleaseSession, open_session
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.result import DeployRun
from orchestrator.runs.settings import Settings
from orchestrator.runs.site_builds import build_sites
from orchestrator.secret_rotation import Rotation

if TYPE_CHECKING:
    from orchestrator.artefacts.images.built_image import BuiltImages
    from orchestrator.aws import Clients
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.release.checkout import ReleaseCandidate
    from orchestrator.release.promotion import PromotionRequest
    from orchestrator.release.rollback import RollbackTarget


MAX_LISTED_PATHS = 5


REBUILD_FORMAT = "%Y%m%dT%H%M%SZ"
"""Name of a run that builds images again: later runs have to sort after earlier ones."""


class DeployOptions(Struct, frozen=True):
    """Options of ``deploy``.

    ``targets`` are addresses or components, all if empty; ``allow`` is the token that lifts a plan's vetoes;
    ``description`` describes the deployment on GitHub; ``clients`` are used instead of new ones; ``built_images`` were
    built by another job; ``promotion`` asks for a release of another environment. ``rotations`` are the Secrets whose
    values are generated again, by handle; the deploy is then refused if it would change anything else, and a failed one
    names ``retry_command``.
    """

    approval: Approval = field(default_factory=Approval)
    targets: tuple[str, ...] = ()
    allow: str = ""
    parallelism: int = MAX_PARALLEL_CHANGES
    should_build_sites: bool = True
    should_rebuild_images: bool = False
    run: RunOptions = field(default_factory=RunOptions)
    description: str = "deploy"
    clients: Clients | None = None
    built_images: BuiltImages | None = None
    promotion: PromotionRequest | None = None
    rotations: Mapping[str, Rotation] = field(default_factory=dict)
    retry_command: tuple[str, ...] = ("deploy",)


class RollbackOptions(Struct, frozen=True):
    """Options of ``rollback``.

    ``release_number`` None is the last release that was verified healthy; ``parts`` are comma-separated, all if empty.
    ``clients`` are used instead of new ones.
    """

    release_number: int | None = None
    parts: str = ""
    reason: str = ""
    approval: Approval = field(default_factory=Approval)
    allow: str = ""
    parallelism: int = MAX_PARALLEL_CHANGES
    run: RunOptions = field(default_factory=RunOptions)
    clients: Clients | None = None


def deploy(settings: Settings, options: DeployOptions, notifier: Notifier | None = None) -> DeployRun:
    """Deploy the checked-out commit.

    Raises Problems if the manifests are invalid, nobody approves the plan, or the environment is locked.
    """
    from orchestrator.planning import pipeline
    from orchestrator.state.client.run_reporter import RunSuperseded

    notifier = notifier or Notifier()
    session = _check_committed(open_session(settings, options.approval, clients=options.clients), notifier)
    notifier.start_deployment(options.description)
    with reporter.interrupt_on_termination():
        build_sites(session.manifest, settings, should_run=options.should_build_sites, request=options.promotion)
    try:
        with session.acquire_lock("deploy", _with_pull_request(options.run, notifier)) as locked:
            if commit := notifier.commit_of_newer_run:
                locked.record.report_superseded(commit)
            candidate = _load_candidate(locked, options)
            candidate.pin_resolution.raise_if_undecided()
            planned = pipeline.plan(
                candidate.desired, targets=options.targets, allow=options.allow, clients=locked.clients
            )
            if not review_plan(planned, settings, locked.record, locked.approval):
                return DeployRun(ExitCode.VETOED, planned.plan)
            if not notifier.is_plan_approved(settings, locked.manifest, planned.plan, candidate.ledger):
                reporter.record_unreviewed(locked.record)
                return DeployRun(ExitCode.UNREVIEWED, planned.plan)
            locked.confirm(planned, "Promote" if options.promotion else "Deploy")
            run = locked.execute(
                planned,
                lambda deployment, on_failure: deployment.deploy(planned, candidate, on_failure),
                options.parallelism,
                _retry_command(settings, options),
            )
            notifier.report_run(run)
            return run
    except RunSuperseded as superseded:
        settings.terminal.print_out(f"Superseded: run {superseded.run_id} deploys a newer commit. Nothing was changed.")
        notifier.report_superseded(superseded.run_id)
        return DeployRun(ExitCode.OK)


def plan_promotion(settings: Settings, options: DeployOptions) -> PreparedPlan:
    """Plan a promotion, and print and return the plan without applying it.

    Raises Problems if there is no release to promote.
    """
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout

    session = open_session(settings, options.approval, clients=options.clients)
    candidate = checkout.from_manifest(session.manifest, session.clients, request=options.promotion)
    planned = pipeline.plan(candidate.desired, allow=options.allow, clients=session.clients)
    review_plan(planned, settings, session.record, session.approval)
    return planned


def _retry_command(settings: Settings, options: DeployOptions) -> str:
    if options.promotion is None:
        return settings.command_line(*options.retry_command, *(["--rebuild"] if options.should_rebuild_images else []))
    source, number = options.promotion.source, options.promotion.release
    words = [*(["--from", source] if source else []), *(["--release", str(number)] if number is not None else [])]
    return settings.command_line("promote", *words)


def _load_candidate(session: ReleaseSession, options: DeployOptions) -> ReleaseCandidate:
    """Return what the checkout ships.  Raises Problems if it is invalid, or a rotation would ship something else."""
    from orchestrator.release import checkout

    if options.rotations:
        _require_no_other_changes(session)
    return checkout.from_manifest(
        session.manifest,
        session.clients,
        time.strftime(REBUILD_FORMAT, time.gmtime()) if options.should_rebuild_images else "",
        options.built_images,
        request=options.promotion,
        is_promoting=not options.rotations,
        rotations=options.rotations,
    )


def _require_no_other_changes(session: ReleaseSession) -> None:
    """Raise Problems if a deploy of the checkout would change anything: a rotation ships and undoes nothing else."""
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout

    candidate = checkout.from_manifest(session.manifest, session.clients, is_promoting=False)
    plan = pipeline.plan(candidate.desired, clients=session.clients).plan
    if plan.pending_changes or plan.unread:
        addresses = [*(change.address for change in plan.pending_changes), *(item.address for item in plan.unread)]
        shown = ", ".join(addresses[:MAX_LISTED_PATHS])
        raise Problems.from_message(
            f"the checkout differs from what is deployed: a deploy would change {shown}",
            hint=f"run {session.settings.command_line('deploy')} first, then rotate; nothing was changed",
        )


def _check_committed(session: ReleaseSession, notifier: Notifier) -> ReleaseSession:
    """Return ``session`` with a hash of what the checkout has beyond its commit, and say that there is something.

    Raises Problems if files that git tracks were changed and the notifier does not allow it.
    """
    from orchestrator.release import ledger_entry

    changes = ledger_entry.find_uncommitted_changes(session.settings.manifests)
    if changes.tracked_paths and not notifier.allows_uncommitted_changes:
        shown_paths = ", ".join(changes.tracked_paths[:MAX_LISTED_PATHS])
        raise Problems.from_message(
            f"the checkout differs from its commit in {format_count(len(changes.tracked_paths), 'file')}, "
            f"such as {shown_paths}",
            hint="workflows deploy only commits: commit the changes, or remove the step that makes them",
        )
    if changes.digest:
        session.settings.terminal.print_out(
            f"The checkout has uncommitted changes. The release is marked with -dirty.{changes.digest[:8]}."
        )
    return replace(session, uncommitted=changes.digest)


def rollback(settings: Settings, options: RollbackOptions, notifier: Notifier | None = None) -> DeployRun:
    """Roll back to an earlier release, all of it or parts.

    Raises Problems if there is no such release, it cannot be restored, nobody approves, or the environment is locked.
    """
    from orchestrator.release.rollback import NoDifferenceError

    notifier = notifier or Notifier()
    session = open_session(settings, options.approval, clients=options.clients)
    notifier.start_deployment("rollback")
    # A rollback must work while the state service is down.
    run_options = replace(options.run, is_service_required=False, reason=options.reason)
    with session.acquire_lock("rollback", run_options) as locked:
        try:
            target, planned = _plan_rollback(locked, options, should_save_pointers=True)
        except NoDifferenceError:
            if options.release_number is None:
                raise
            settings.terminal.print_out(f"Release {options.release_number} is already current. Nothing was changed.")
            notifier.report_already_current(options.release_number)
            return DeployRun(ExitCode.OK)
        if not review_plan(planned, settings, locked.record, locked.approval):
            return DeployRun(ExitCode.VETOED, planned.plan)
        locked.confirm(planned, f"Roll back to release {target.release.number}")
        part_arguments = ["--only", options.parts] if options.parts else []
        run = locked.execute(
            planned,
            lambda deployment, on_failure: deployment.rollback(planned, target, options.reason, on_failure),
            options.parallelism,
            settings.command_line("rollback", "--to", str(target.release.number), *part_arguments),
        )
        notifier.report_run(run)
        return run


def plan_rollback(settings: Settings, options: RollbackOptions) -> tuple[RollbackTarget, PreparedPlan]:
    """Plan a rollback, and print and return the plan without applying it.

    Raises Problems if there is no such release, or it cannot be restored.
    """
    session = open_session(settings, options.approval, clients=options.clients)
    target, planned = _plan_rollback(session, options, should_save_pointers=False)
    review_plan(planned, settings, session.record, session.approval)
    return target, planned


def describe_rollback(target: RollbackTarget) -> str:
    """Return one line about what a rollback does."""
    release = target.release
    parts = ", ".join(sorted(target.parts))
    scope = f"everything that differs ({parts})" if target.is_full else parts
    numbers = f"from release {target.current_release.number} to release {release.number}"
    return f"Rollback of {scope} {numbers} ({release.at})."


def _plan_rollback(
    session: ReleaseSession, options: RollbackOptions, *, should_save_pointers: bool
) -> tuple[RollbackTarget, PreparedPlan]:
    from orchestrator.planning import pipeline
    from orchestrator.release import rollback

    target = _find_rollback_target(session, options, should_save_pointers=should_save_pointers)
    planned = pipeline.plan(target.candidate.desired, allow=options.allow, clients=session.clients)
    target = rollback.observe(target, planned)
    session.settings.terminal.print_out(describe_rollback(target))
    return target, planned


def _find_rollback_target(
    session: ReleaseSession, options: RollbackOptions, *, should_save_pointers: bool
) -> RollbackTarget:
    """Return the release to roll back to, and the changes that it needs.

    Also rolls back a model that was uploaded since the last release; ``should_save_pointers`` stores the current
    model pointers, so that the model can be restored.

    Raises Problems if there is no such release, or it cannot be restored.
    """
    from orchestrator.aws import Reader
    from orchestrator.model_registry import model_rollback
    from orchestrator.release import rollback

    reader = Reader(session.clients)
    number, parts = options.release_number, [part.strip() for part in options.parts.split(",") if part.strip()]
    ledger, pointers = session.store.read(), model_rollback.read_pointers(session.manifest, session.clients)
    updated_ledger = model_rollback.with_uploaded_models(ledger, pointers)
    if number is None and parts and model_rollback.is_models_only(parts) and ledger.current_release is not None:
        release = model_rollback.find_previous_release(ledger, pointers)
    elif number is None:
        release, skipped = rollback.choose_restorable(updated_ledger, session.store, reader, parts)
        for reason in skipped:
            session.settings.terminal.print_out(f"Skipped: {reason}.")
    else:
        release = rollback.choose_release(ledger, number)
    if obstacles := rollback.find_obstacles(updated_ledger, release, session.store, reader, parts):
        hint = f"list the releases that can be restored: {session.settings.command_line('releases')}"
        message = f"release {release.number} cannot be restored: "
        raise Problems([Problem(message + item.message, hint=item.hint or hint) for item in obstacles])
    if should_save_pointers:
        model_rollback.save_pointers(pointers, session.store)
    return rollback.prepare(updated_ledger, release, parts, session.store)


def _with_pull_request(options: RunOptions, notifier: Notifier) -> RunOptions:
    """Add the pull request that merged the commit, if a state service records it."""
    if not reporter.is_configured():
        return options
    return replace(options, pull_request=notifier.find_merged_pull_request())
