"""Upgrade a database to another major version: check, ask, snapshot and upgrade, collect statistics, verify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator.problems import ExitCode, Problem, Problems
from orchestrator.quantities import format_count
from orchestrator.runs.apply import MAX_PARALLEL_CHANGES, apply_with_progress
from orchestrator.runs.approval import Approval, review_plan
from orchestrator.runs.database_access import LiveDatabase, find_connection, find_live
from orchestrator.runs.database_tunnel import VIA_DIRECT, open_route
from orchestrator.runs.lock import WriteLock, write_lock
from orchestrator.runs.reporter import RunOptions, record_refusal
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.postgresql.connection import ConnectionTarget
    from orchestrator.postgresql.inventory import Inventory
    from orchestrator.release.ledger_store import LedgerStore
    from orchestrator.vocabulary import DesiredState


class UpgradeOptions(Struct, frozen=True):
    """Options of ``upgrade database``: the version (the manifest's by default), and when.

    ``is_immediate``: now, also if the manifest wants outages in the maintenance window. ``via``: how the database's
    network is reached (``database_tunnel.open_route``).
    """

    to: str = ""
    is_immediate: bool = False
    should_verify: bool = True
    ca_file: str = ""
    via: str = VIA_DIRECT
    plan_only: bool = False
    approval: Approval = field(default_factory=Approval)
    run: RunOptions = field(default_factory=RunOptions)


def upgrade_database(settings: Settings, name: str, options: UpgradeOptions) -> int:
    """Upgrade the Database ``name`` to the version of its manifest, and return the exit code.

    Raises Problems if RDS would refuse, the manifest has another version, nobody approves, or it is locked.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout

    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = Clients.for_scope(manifest.scope)
    desired = pipeline.expand_manifest(manifest, include_artefacts=False)
    database = find_live(desired, clients, name)
    _require_manifest_version(database, options.to)
    store = checkout.find_store(manifest, clients)
    with open_route(desired, database.resource, options.via, clients, settings.terminal.print_err) as route:
        target = find_connection(database, clients, options.ca_file, route) if options.should_verify else None
        return _upgrade(settings, clients, store, database, target, options)


def _upgrade(
    settings: Settings,
    clients: Clients,
    store: LedgerStore | None,
    database: LiveDatabase,
    target: ConnectionTarget | None,
    options: UpgradeOptions,
) -> int:
    scope, name = database.desired.scope, database.resource.name
    if major_of(live_version(database)) == major_of(str(database.resource.spec["version"])):
        if _is_apply_mode_left(database) and not options.plan_only:
            with write_lock(settings, scope, "apply", options.run, clients, store) as lock:
                retry_command = settings.command_line("upgrade", "database", name)
                exit_code = _restore_apply_mode(settings, lock, database, retry_command)
                if exit_code != ExitCode.OK:
                    return exit_code
        return _finish(settings, database, target, None)
    _require_usable(database)
    check_upgrade(settings, clients, database, target, str(database.resource.spec["version"]))
    _print_steps(settings, database, _next_snapshot(clients, database), options)
    if options.plan_only:
        return ExitCode.OK
    with write_lock(settings, scope, "apply", options.run, clients, store) as lock:
        return _execute(settings, lock, database, target, options)


def live_version(database: LiveDatabase) -> str:
    """Return the version that runs, such as ``15.14``."""
    return str(database.live.private.get("version", ""))


def major_of(version: str) -> str:
    """Return the major version of ``15.14``."""
    return version.partition(".")[0]


def _require_manifest_version(database: LiveDatabase, version: str) -> None:
    """Raise Problems if the manifest does not want the version: the next plan would ask for the old one."""
    declared = str(database.resource.spec["version"])
    if version and major_of(version) != major_of(declared):
        raise Problems.from_message(
            f"the manifest of {database.resource.component} has version {declared}, not {version}",
            where=database.resource.where,
            hint=f'set `version: "{version}"` in the manifest, or add --rehearse to test the upgrade first',
        )


def _require_usable(database: LiveDatabase) -> None:
    """Raise Problems while RDS is at work: a snapshot that is taken now may be of the upgraded database."""
    from orchestrator.resources.rds_instance.api_members import USABLE_STATUSES

    status = str(database.live.private.get("status", ""))
    if status not in USABLE_STATUSES:
        raise Problems.from_message(
            f"{database.resource.physical} is {status}; an upgrade might be in progress",
            hint="wait until it is available, then run the same command again",
        )


def check_upgrade(
    settings: Settings, clients: Clients, database: LiveDatabase, target: ConnectionTarget | None, version: str
) -> None:
    """Print what an upgrade meets. Raises Problems, all together, for what RDS would refuse."""
    from orchestrator.aws import AwsError, Reader
    from orchestrator.postgresql import upgrade_checks

    current = live_version(database)
    try:
        versions = Reader(clients).all(
            "rds", "describe_db_engine_versions", "DBEngineVersions", Engine="postgres", EngineVersion=current
        )
    except AwsError as error:
        raise Problems.from_message(f"cannot read the upgrades that RDS offers: {error}") from None
    problems = list(upgrade_checks.check_target(versions, current, version))
    if unmanaged := [item for item in database.live.unmanaged if item.field == "replicas"]:
        problems.append(Problem(f"the database has read replicas: {unmanaged[0].live}", hint="upgrade them manually"))
    if target is not None:
        findings = upgrade_checks.read_findings(target, upgrade_checks.list_unsupported_types(current, version))
        problems += upgrade_checks.judge(findings)
        extensions = ", ".join(f"{name} {number}" for name, number in sorted(findings.extensions.items())) or "none"
        settings.terminal.print_out(f"Checked {database.resource.physical}: extensions {extensions}.")
    if problems:
        raise Problems(problems)


def _print_steps(settings: Settings, database: LiveDatabase, snapshot: str, options: UpgradeOptions) -> None:
    spec, print_out = database.resource.spec, settings.terminal.print_out
    is_now = options.is_immediate or spec["apply"] == "immediately"
    moment = "now" if is_now else f"in the maintenance window {spec['maintenance_window']} (--now: immediately)"
    print_out(f"Upgrade {database.resource.component} from PostgreSQL {live_version(database)} to {spec['version']}:")
    print_out(f"  1. take the snapshot {snapshot} and wait for it")
    print_out(
        f"  2. upgrade in place {moment}; the database is unavailable during the upgrade (--rehearse measures how long)"
    )
    print_out(
        "  3. collect statistics (ANALYZE), and compare the tables, rows and definitions with those before the upgrade"
    )
    print_out("An upgrade cannot be undone in place. To go back, set the old version in the manifest, then")
    print_out(f"  {settings.command_line('restore', 'database', database.resource.name, '--snapshot', snapshot)}")


def _execute(
    settings: Settings,
    lock: WriteLock,
    database: LiveDatabase,
    target: ConnectionTarget | None,
    options: UpgradeOptions,
) -> int:
    from orchestrator.planning import pipeline
    from orchestrator.postgresql.inventory import read_inventory

    address = database.resource.address
    planned = pipeline.plan(_desired_now(database, options), targets=(address,), clients=lock.clients)
    if not review_plan(planned, settings, lock.record, options.approval):
        return ExitCode.VETOED
    retry_command = settings.command_line("upgrade", "database", database.resource.name)
    if not planned.plan.pending_changes:
        settings.terminal.print_out(f"The upgrade waits for the maintenance window. Afterwards, run: {retry_command}")
        return ExitCode.OK
    question = f"Upgrade {database.resource.component} to {database.resource.spec['version']}? Only 'yes' is accepted:"
    with record_refusal(lock.record):
        options.approval.confirm(settings.terminal, question, "yes")
    before = read_inventory(target, with_checksums=False) if target else None
    exit_code = apply_with_progress(planned, settings, MAX_PARALLEL_CHANGES, retry_command, lock)
    if exit_code != ExitCode.OK:
        return exit_code
    exit_code = _restore_apply_mode(settings, lock, database, retry_command)
    if exit_code != ExitCode.OK:
        return exit_code
    upgraded = find_live(database.desired, lock.clients, database.resource.name)
    if major_of(live_version(upgraded)) != major_of(str(database.resource.spec["version"])):
        settings.terminal.print_out(f"RDS upgrades in the maintenance window. Afterwards, run: {retry_command}")
        return ExitCode.OK
    return _finish(settings, upgraded, target, before)


def _desired_now(database: LiveDatabase, options: UpgradeOptions) -> DesiredState:
    """Return the desired state in which the database applies changes at once, if that was asked for."""
    if not options.is_immediate:
        return database.desired
    resource = replace(database.resource, spec={**database.resource.spec, "apply": "immediately"})
    resources = tuple(resource if item.address == resource.address else item for item in database.desired.resources)
    return replace(database.desired, resources=resources)


def _is_apply_mode_left(database: LiveDatabase) -> bool:
    """Return whether an upgrade with ``--now`` was killed before it gave the maintenance window back."""
    return bool(database.live.spec.get("apply") != database.resource.spec["apply"])


def _restore_apply_mode(settings: Settings, lock: WriteLock, database: LiveDatabase, retry_command: str) -> int:
    """Let later changes wait for the maintenance window again, as the manifest says."""
    from orchestrator.planning import pipeline

    planned: PreparedPlan = pipeline.plan(database.desired, targets=(database.resource.address,), clients=lock.clients)
    if not planned.plan.pending_changes:
        return ExitCode.OK
    return apply_with_progress(planned, settings, MAX_PARALLEL_CHANGES, retry_command, lock)


def _next_snapshot(clients: Clients, database: LiveDatabase) -> str:
    """Return the name of the snapshot with which the change of the version begins. Raises Problems."""
    from orchestrator.aws import AwsError, Reader
    from orchestrator.resources.rds_instance.modify import next_snapshot_name

    name, version = database.resource.physical, str(database.resource.spec["version"])
    try:
        snapshots = Reader(clients).all(
            "rds", "describe_db_snapshots", "DBSnapshots", DBInstanceIdentifier=name, SnapshotType="manual"
        )
    except AwsError as error:
        raise Problems.from_message(f"cannot list the snapshots of {name}: {error}") from None
    return next_snapshot_name(name, version, snapshots)


def _finish(
    settings: Settings, database: LiveDatabase, target: ConnectionTarget | None, before: Inventory | None
) -> int:
    """Collect statistics, which an upgrade does not carry over, and compare with the contents before."""
    from orchestrator.postgresql.connection import execute

    print_out = settings.terminal.print_out
    print_out(f"{database.resource.component} runs PostgreSQL {live_version(database)}.")
    if target is None:
        print_out("Its statistics are missing because of --no-verify: run ANALYZE in the database.")
        return ExitCode.OK
    execute(target, "ANALYZE;")
    print_out("Collected the statistics for the query planner.")
    if before is None:
        return ExitCode.OK
    problems = _find_losses(before, target)
    for problem in problems:
        print_out(f"  missing: {problem}")
    if not problems:
        print_out(
            f"Verified: {format_count(len(before.tables), 'table')}, {format_count(before.rows, 'row')} and all "
            "definitions are unchanged."
        )
    print_out(f"Next step: {settings.command_line('plan')}")
    return ExitCode.UNHEALTHY if problems else ExitCode.OK


def _find_losses(before: Inventory, target: ConnectionTarget) -> tuple[Any, ...]:
    from orchestrator.postgresql.inventory import read_inventory
    from orchestrator.recovery.drill_verdict import judge

    return judge(before, read_inventory(target, with_checksums=False)).problems
