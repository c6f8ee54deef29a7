"""Rehearse a restore: restore a database to a throwaway, read every row of it, remove it, and record how it went."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.problems import ExitCode, Problems
from orchestrator.runs.database_access import LiveDatabase, find_connection, find_live
from orchestrator.runs.database_tunnel import open_route
from orchestrator.runs.lock import drill_lock
from orchestrator.runs.restore_options import DatabaseRestoreOptions
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.manifest.check import Manifest
    from orchestrator.postgresql.connection import ConnectionTarget, Route
    from orchestrator.postgresql.inventory import Inventory
    from orchestrator.recovery.drill_verdict import DrillVerdict
    from orchestrator.resources.rds_instance.drill_result import DrillResult
    from orchestrator.resources.rds_instance.restore import RestorePoint


class DrillOptions(DatabaseRestoreOptions, frozen=True, kw_only=True):
    """Options of a drill, which restores the latest moment if neither ``to`` nor ``snapshot`` says another one.

    ``upgrade_to``: a major version to which the throwaway is upgraded before it is verified.
    ``may_skip_verification``: a machine that does not reach the database only measures, and says so.
    """

    upgrade_to: str = ""
    may_skip_verification: bool = False


class _Drill(Struct, frozen=True):
    """What a drill restores (``point``), the name of its throwaway, and how the network of both is reached."""

    database: LiveDatabase
    point: RestorePoint
    throwaway: str
    route: Route | None = None

    @property
    def name(self) -> str:
        return self.database.resource.physical

    def find_login(self, clients: Clients, options: DrillOptions) -> ConnectionTarget | None:
        """Return how to connect to the live database, None if nothing is verified. Raises Problems."""
        if not options.should_verify:
            return None
        return find_connection(self.database, clients, options.ca_file, self.route)


def run_drill(
    settings: Settings,
    name: str,
    options: DrillOptions,
    on_result: Callable[[DrillResult], None] = lambda result: None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Restore the Database ``name`` to a throwaway, verify and remove it, and return the exit code.

    ``on_result`` gets how it ended. A drill that was killed leaves its throwaway; the next one removes it first. Raises
    Problems if there is nothing to restore, another drill is running, nobody approves, or this machine cannot read the
    database.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout

    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = Clients.for_scope(manifest.scope)
    drill = _plan_drill(manifest, clients, name, options)
    database, store = drill.database, checkout.find_store(manifest, clients)
    with open_route(database.desired, database.resource, options.via, clients, settings.terminal.print_err) as route:
        drill = replace(drill, route=route)
        _check_upgrade(settings, clients, drill, options)
        _print_plan(settings, drill)
        if options.plan_only:
            return ExitCode.OK
        _confirm(settings, drill, options)
        with drill_lock(settings, manifest.scope, options.run, clients, store) as locked_clients:
            return _execute(settings, locked_clients, drill, options, on_result, clock)


def _confirm(settings: Settings, drill: _Drill, options: DrillOptions) -> None:
    question = (
        f"Restore {drill.name} to {drill.throwaway}, and delete the new instance afterwards? Only 'yes' is accepted:"
    )
    options.approval.confirm(settings.terminal, question, "yes")


def _check_upgrade(settings: Settings, clients: Clients, drill: _Drill, options: DrillOptions) -> None:
    """Raise Problems if RDS would refuse the upgrade to rehearse."""
    from orchestrator.runs.upgrade_database import check_upgrade

    if options.upgrade_to:
        check_upgrade(settings, clients, drill.database, drill.find_login(clients, options), options.upgrade_to)


def _plan_drill(manifest: Manifest, clients: Clients, name: str, options: DrillOptions) -> _Drill:
    from orchestrator.aws import AwsError, Reader
    from orchestrator.planning import pipeline
    from orchestrator.recovery import database_backups
    from orchestrator.resources.rds_instance.throwaway import throwaway_name

    desired = pipeline.expand_manifest(manifest, include_artefacts=False)
    database = find_live(desired, clients, name)
    physical = database.resource.physical
    try:
        backups = database_backups.read_backups(Reader(clients), manifest.scope, physical)
    except AwsError as error:
        raise Problems.from_message(f"cannot read the backups of {physical}: {error}") from None
    if backups.unfinished:
        raise Problems.from_message(
            f"a restore of {physical} has not finished", hint=f"finish it first: orchestrator restore database {name}"
        )
    is_latest = not options.to and not options.snapshot
    point = database_backups.choose_point(
        backups, to=options.to, snapshot=options.snapshot, latest=is_latest, undo=False
    )
    return _Drill(database, point, throwaway_name(physical, str(database.live.private["resource_id"])))


def _print_plan(settings: Settings, drill: _Drill) -> None:
    from orchestrator.recovery.database_backups import format_time

    is_time = drill.point.kind == "time"
    point = format_time(datetime.fromisoformat(drill.point.value)) if is_time else f"snapshot {drill.point.value}"
    hourly = _hourly_price(drill)
    price = f" at about {hourly:.3f} USD an hour" if hourly else ""
    print_out = settings.terminal.print_out
    print_out(
        f"Drill: restore {drill.name} as of {point} to the new instance {drill.throwaway}{price}, read every row,"
    )
    print_out(
        f"then delete the new instance. {drill.name} is not changed. For a few GB, a drill usually takes 10 to 30 "
        "minutes."
    )


def _hourly_price(drill: _Drill) -> float:
    """Return the price of the throwaway in USD an hour, 0 if it is unknown."""
    from orchestrator import cost
    from orchestrator.cost.price_list import HOURS_PER_MONTH

    estimate = cost.estimate([drill.database.resource], drill.database.desired.scope.region)
    items = () if estimate.unpriced else estimate.line_items
    return items[0].idle / HOURS_PER_MONTH if items else 0.0


def _execute(
    settings: Settings,
    clients: Clients,
    drill: _Drill,
    options: DrillOptions,
    on_result: Callable[[DrillResult], None],
    clock: Callable[[], float],
) -> int:
    from orchestrator.aws import StepExecutor
    from orchestrator.render.apply_report import format_duration
    from orchestrator.resources.rds_instance.drill_result import FAILED, PASSED, UNVERIFIED, DrillResult
    from orchestrator.resources.rds_instance.throwaway import record_result

    # Before anything costs money: what this machine cannot read now, it cannot compare later.
    live_login = drill.find_login(clients, options)
    live_inventory = _read_live(settings, drill, live_login, options) if live_login else None
    _remove_leftovers(settings, clients, drill)
    began_at = clock()
    verdict: DrillVerdict | None = None
    try:
        login, seconds = _restore(settings, clients, drill, live_login, clock)
        upgrade_seconds = _upgrade(settings, clients, drill, options, clock)
        if login is not None and live_inventory is not None:
            verdict = _verify(settings, login, live_inventory)
    finally:
        _remove(settings, clients, drill.throwaway)
    passed = verdict is not None and not verdict.problems
    word = UNVERIFIED if verdict is None else PASSED if passed else FAILED
    result = DrillResult(word, datetime.now(UTC), round(seconds))
    StepExecutor(clients).perform(record_result(drill.database.desired.scope, drill.name, result))
    on_result(result)
    _print_result(settings, drill, verdict, seconds, clock() - began_at)
    if options.upgrade_to:
        duration = format_duration(upgrade_seconds)
        settings.terminal.print_out(
            f"The upgrade to PostgreSQL {options.upgrade_to} took {duration}: expect about the same downtime."
        )
    return ExitCode.OK if verdict is None or passed else ExitCode.UNHEALTHY


def _read_live(settings: Settings, drill: _Drill, login: ConnectionTarget, options: DrillOptions) -> Inventory | None:
    """Return what is in the database now, None if this machine may skip that. Raises Problems if it does not reach it.

    Sessions of a production database pay for what is read here, so its rows are counted, not hashed.
    """
    from orchestrator.postgresql.inventory import read_inventory

    try:
        return read_inventory(login, with_checksums=False)
    except Problems as error:
        problem = error.problems[0]
        if options.may_skip_verification:
            settings.terminal.print_err(f"The rows will not be verified: {problem.message}.")
            return None
        raise Problems.from_message(
            f"cannot read {drill.name}, so the drill could verify nothing: {problem.message}; nothing was created",
            hint=f"{problem.hint}, or pass --no-verify to measure only how long the restore takes",
        ) from None


def _remove_leftovers(settings: Settings, clients: Clients, drill: _Drill) -> None:
    """Remove the throwaway of a drill that was killed. The lock says that none is running."""
    from orchestrator.aws import Reader
    from orchestrator.resources.rds_instance.throwaway import find_throwaways

    instances = Reader(clients).all("rds", "describe_db_instances", "DBInstances")
    for throwaway in find_throwaways(instances, drill.database.desired.scope, drill.name):
        settings.terminal.print_err(f"An earlier drill was interrupted. Remove its instance {throwaway}.")
        _remove(settings, clients, throwaway)


def _restore(
    settings: Settings,
    clients: Clients,
    drill: _Drill,
    live_login: ConnectionTarget | None,
    clock: Callable[[], float],
) -> tuple[ConnectionTarget | None, float]:
    """Restore the throwaway; return how to connect, None if nobody will, and the seconds it took. Raises Problems."""
    from orchestrator.aws import StepExecutor
    from orchestrator.aws.step_executor import StepFailedError, WaitTimeoutError
    from orchestrator.resources.rds_instance.throwaway import restore_throwaway
    from orchestrator.steps import execute_steps
    from orchestrator.values import reveal

    settings.terminal.print_err(f"Restore {drill.throwaway}.")
    started_at = clock()
    steps = restore_throwaway(
        drill.database.desired.scope, drill.name, drill.throwaway, drill.database.live.spec, drill.point
    )
    try:
        outputs = execute_steps(steps, StepExecutor(clients).perform)
    except (StepFailedError, WaitTimeoutError) as error:
        raise Problems.from_message(
            f"the backup of {drill.name} could not be restored: {error}",
            hint="the new instance was removed; check the events in RDS, then run the drill again",
        ) from None
    login = live_login and replace(live_login, host=str(outputs["host"]), password=str(reveal(outputs["password"])))
    return login, clock() - started_at


def _upgrade(
    settings: Settings, clients: Clients, drill: _Drill, options: DrillOptions, clock: Callable[[], float]
) -> float:
    """Upgrade the throwaway if that is to be rehearsed, and return the seconds it took. Raises Problems."""
    from orchestrator.aws import StepExecutor
    from orchestrator.aws.step_executor import StepFailedError, WaitTimeoutError
    from orchestrator.resources.rds_instance.throwaway import upgrade_throwaway
    from orchestrator.steps import execute_steps

    if not options.upgrade_to:
        return 0.0
    settings.terminal.print_err(f"Upgrade {drill.throwaway} to PostgreSQL {options.upgrade_to}.")
    started_at = clock()
    try:
        execute_steps(upgrade_throwaway(drill.throwaway, options.upgrade_to), StepExecutor(clients).perform)
    except (StepFailedError, WaitTimeoutError) as error:
        raise Problems.from_message(
            f"the copy of {drill.name} could not be upgraded: {error}; the database itself was not changed",
            hint="the log `pg_upgrade_precheck.log` of the instance in RDS gives the reason; the new instance was "
            "removed",
        ) from None
    return clock() - started_at


def _verify(settings: Settings, login: ConnectionTarget, live: Inventory) -> DrillVerdict:
    """Read every row of the throwaway, and judge what is in it; what cannot be read has failed."""
    from orchestrator.postgresql.inventory import read_inventory
    from orchestrator.recovery.drill_verdict import DrillVerdict, judge

    settings.terminal.print_err("Read every row of the new instance.")
    try:
        return judge(live, read_inventory(login, with_checksums=True))
    except Problems as error:
        return DrillVerdict((f"the restored database cannot be read: {error.problems[0].message}",), ())


def _remove(settings: Settings, clients: Clients, throwaway: str) -> None:
    from orchestrator.aws import StepExecutor
    from orchestrator.aws.step_executor import StepFailedError, WaitTimeoutError
    from orchestrator.resources.rds_instance.throwaway import remove_throwaway
    from orchestrator.steps import execute_steps

    settings.terminal.print_err(f"Remove {throwaway}.")
    try:
        execute_steps(remove_throwaway(throwaway), StepExecutor(clients).perform)
    except (StepFailedError, WaitTimeoutError) as error:
        raise Problems.from_message(
            f"{throwaway} was not removed and still costs money: {error}",
            hint=f"remove it: aws rds delete-db-instance --db-instance-identifier {throwaway} --skip-final-snapshot",
        ) from None


def _print_result(
    settings: Settings, drill: _Drill, verdict: DrillVerdict | None, seconds: float, total_seconds: float
) -> None:
    from orchestrator.render.apply_report import format_duration

    print_out = settings.terminal.print_out
    for line in verdict.lines if verdict else ():
        print_out(f"  {line}")
    for problem in verdict.problems if verdict else ():
        print_out(f"  missing: {problem}")
    price = _hourly_price(drill) * total_seconds / 3600
    cost = f", for about {max(price, 0.01):.2f} USD" if price else ""
    duration = format_duration(seconds)
    if verdict is None:
        print_out(f"Drill ended: {drill.name} can be restored in {duration}{cost}; its rows were not verified.")
    elif verdict.problems:
        print_out(f"Drill failed: {drill.name} was restored in {duration}, but its contents are incomplete{cost}.")
    else:
        print_out(f"Drill passed: {drill.name} can be restored in {duration}{cost}. {drill.throwaway} is removed.")
