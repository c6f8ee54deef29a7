"""Restore a database: plan, ask for approval, restore beside, verify, swap, probe the services, report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from orchestrator.problems import ExitCode, Problems
from orchestrator.runs.apply import MAX_PARALLEL_CHANGES, apply_with_progress
from orchestrator.runs.approval import review_plan
from orchestrator.runs.database_tunnel import VIA_DIRECT, open_route
from orchestrator.runs.lock import WriteLock, write_lock
from orchestrator.runs.reporter import record_refusal
from orchestrator.runs.restore_options import DatabaseRestoreOptions
from orchestrator.runs.settings import Settings
from orchestrator.state.client.run_reporter import RunReporter

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.manifest.check import Manifest
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.postgresql.connection import Route
    from orchestrator.recovery.database_backups import DatabaseBackups
    from orchestrator.resources.rds_instance.restore import RestorePoint
    from orchestrator.vocabulary import DesiredState, Resource

RESTART_TIMEOUT_SECONDS = 1200.0


class RestoreOptions(DatabaseRestoreOptions, frozen=True, kw_only=True):
    """Options of ``restore database``; one of ``to``, ``snapshot``, ``latest`` and ``undo`` says what to restore."""

    latest: bool = False
    undo: bool = False


class _PlannedRestore(Struct, frozen=True):
    planned: PreparedPlan
    desired: DesiredState
    database: Resource
    backups: DatabaseBackups
    point: RestorePoint


def restore_database(settings: Settings, name: str, options: RestoreOptions) -> int:
    """Restore the Database ``name``, and return the exit code.

    Raises Problems if there is no such backup, nobody approves the plan, or the environment is locked.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.recovery import database_restore
    from orchestrator.release import checkout

    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = Clients.for_scope(manifest.scope)
    if options.plan_only:
        restore = _plan_restore(manifest, clients, name, options, None)
        review_plan(restore.planned, settings, RunReporter(), options.approval)
        settings.terminal.print_out(f"To restore this backup, run: {_repeat_command(settings, name, restore, options)}")
        return ExitCode.VETOED if restore.planned.plan.is_vetoed else ExitCode.OK
    store = checkout.find_store(manifest, clients)
    desired = pipeline.expand_manifest(manifest, include_artefacts=False)
    database = database_restore.find_database(desired, name)
    with (
        write_lock(settings, manifest.scope, "restore", options.run, clients, store) as lock,
        open_route(desired, database, options.via, lock.clients, settings.terminal.print_err) as route,
    ):
        restore = _plan_restore(manifest, lock.clients, name, options, route)
        return _execute(settings, lock, manifest, restore, options)


def _plan_restore(
    manifest: Manifest, clients: Clients, name: str, options: RestoreOptions, route: Route | None
) -> _PlannedRestore:
    """Read the backups, choose, and plan. Raises Problems."""
    from orchestrator.aws import AwsError, Reader
    from orchestrator.planning import pipeline
    from orchestrator.recovery import database_backups, database_restore

    desired = pipeline.expand_manifest(manifest, include_artefacts=False)
    database = database_restore.find_database(desired, name)
    pipeline.check_connection(clients)
    try:
        backups = database_backups.read_backups(Reader(clients), manifest.scope, database.physical)
    except AwsError as error:
        raise Problems.from_message(f"cannot read the backups of {database.physical}: {error}") from None
    point = database_backups.choose_point(
        backups, to=options.to, snapshot=options.snapshot, latest=options.latest, undo=options.undo
    )
    how = database_restore.RestoreSettings(options.should_verify, options.ca_file, route)
    restored_state = database_restore.build_desired(desired, database, point, backups, how, datetime.now(UTC))
    planned = pipeline.plan(restored_state, targets=(database.address,), clients=clients)
    return _PlannedRestore(planned, desired, database, backups, point)


def _execute(
    settings: Settings, lock: WriteLock, manifest: Manifest, restore: _PlannedRestore, options: RestoreOptions
) -> int:
    plan = restore.planned.plan
    if not review_plan(restore.planned, settings, lock.record, options.approval):
        return ExitCode.VETOED
    if plan.pending_changes:
        place = f"{plan.project}/{plan.environment} in account {plan.account}"
        question = f"Restore {restore.database.component} of {place} {restore.point.phrase}? Only 'yes' is accepted:"
        with record_refusal(lock.record):
            options.approval.confirm(settings.terminal, question, "yes")
        name = restore.database.name
        retry_command = _repeat_command(settings, name, restore, options)
        exit_code = apply_with_progress(restore.planned, settings, MAX_PARALLEL_CHANGES, retry_command, lock)
        if exit_code != ExitCode.OK:
            return exit_code
    else:
        settings.terminal.print_out(f"{restore.database.component} is already restored {restore.point.phrase}.")
    return _prove(settings, lock, restore)


def _repeat_command(settings: Settings, name: str, restore: _PlannedRestore, options: RestoreOptions) -> str:
    """Return the command that restores the same point: what has begun needs none."""
    kind, value = restore.point.kind, restore.point.value
    choice = {"time": ("--to", value), "snapshot": ("--snapshot", value), "instance": ("--undo",)}[kind]
    flags: tuple[str, ...] = () if options.should_verify else ("--no-verify",)
    flags += () if options.via == VIA_DIRECT else ("--via", options.via)
    return settings.command_line("restore", "database", name, *(() if restore.backups.unfinished else choice), *flags)


def _prove(settings: Settings, lock: WriteLock, restore: _PlannedRestore) -> int:
    """Plan again, restart what App Runner runs, probe every service; print what is left to know."""
    from orchestrator.artefacts import Artefacts
    from orchestrator.planning import pipeline
    from orchestrator.release.probe import build_probes, run_probes

    after = pipeline.plan(restore.desired, targets=(restore.database.address,), clients=lock.clients)
    differing = [change.address for change in after.plan.pending_changes]
    with _restarted(settings, lock, after):
        results = run_probes(build_probes(restore.desired, after.live, Artefacts()))
    for result in results:
        verdict = "passed" if result.has_passed else f"failed: {result.failure}"
        settings.terminal.print_out(f"Probe of {result.probe.component_handle} at {result.probe.path} {verdict}.")
    _print_outcome(settings, lock, restore)
    if differing:
        settings.terminal.print_out(
            f"Differs from the manifests: {', '.join(differing)}. Next step: {settings.command_line('plan')}"
        )
    return ExitCode.OK if not differing and all(result.has_passed for result in results) else ExitCode.UNHEALTHY


@contextmanager
def _restarted(settings: Settings, lock: WriteLock, after: PreparedPlan) -> Iterator[None]:
    """Restart the services of App Runner, so that no connection of theirs leads to the old instance."""
    from orchestrator.aws import StepExecutor
    from orchestrator.aws.step_executor import StepFailedError, WaitTimeoutError
    from orchestrator.steps import ApiCall, Wait, call

    executor = StepExecutor(lock.clients)
    for address, live in after.live.items():
        arn = live.outputs.get("arn")
        if not address.startswith("apprunner_service.") or not isinstance(arn, str):
            continue
        describe = call("apprunner", "describe_service", ServiceArn=arn)
        try:
            executor.perform(ApiCall("apprunner", "start_deployment", {"ServiceArn": arn}, timeout_seconds=300.0))
            executor.perform(
                Wait(describe, "Service.Status", ("RUNNING",), ("PAUSED",), timeout_seconds=RESTART_TIMEOUT_SECONDS)
            )
            settings.terminal.print_out(f"Restarted {address}.")
        except (StepFailedError, WaitTimeoutError) as error:
            settings.terminal.print_err(f"Could not restart {address}: {error}")
    yield


def _print_outcome(settings: Settings, lock: WriteLock, restore: _PlannedRestore) -> None:
    """Print where the old instance is, what it costs, how to go back and how to remove it."""
    from orchestrator.aws import Reader
    from orchestrator.recovery import database_backups
    from orchestrator.recovery.database_restore import format_price

    name, scope = restore.database.physical, restore.desired.scope
    replaced = database_backups.read_backups(Reader(lock.clients), scope, name).replaced
    print_out = settings.terminal.print_out
    print_out(f"Restored {restore.database.component} {restore.point.phrase}.")
    if not replaced:
        return
    print_out(f"The previous instance is kept as {replaced}{format_price(restore.desired, restore.database)}.")
    print_out(f"  to go back:   {settings.command_line('restore', 'database', restore.database.name, '--undo')}")
    print_out(
        f"  to remove it: aws rds modify-db-instance --db-instance-identifier {replaced} --no-deletion-protection"
    )
    print_out(
        f"                aws rds delete-db-instance --db-instance-identifier {replaced} "
        f"--final-db-snapshot-identifier {replaced}-final"
    )
