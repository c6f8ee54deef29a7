"""Copy an existing database into one of the project: check, ask, copy what differs, prove, report."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator.problems import ExitCode, Problems
from orchestrator.quantities import format_count
from orchestrator.runs.approval import Approval
from orchestrator.runs.database_access import find_connection, find_live
from orchestrator.runs.database_tunnel import VIA_DIRECT, open_route
from orchestrator.runs.lock import write_lock
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.manifest.check import Manifest
    from orchestrator.postgresql.comparison import Difference
    from orchestrator.postgresql.connection import ConnectionTarget
    from orchestrator.postgresql.inventory import Inventory

MAX_LISTED_DIFFERENCES = 30


class MigrateOptions(Struct, frozen=True):
    """Options of ``migrate database``. ``work`` is the folder for the dump; ``jobs`` tables are copied at once.

    ``rehearse``: copy into a database beside the target, which is dropped afterwards. ``cut_over``: the file for the
    list of steps, with the times of this run. ``name`` of the Database, for the commands in it. ``via``: ``direct``,
    ``vpc`` for a task that is started for this, or the name of a service on ECS Express.
    """

    source_url: str
    source_password: str = ""
    work: Path = Path(".orchestrator-migration")
    jobs: int = 4
    ca_file: str = ""
    into_nonempty: bool = False
    check_only: bool = False
    rehearse: bool = False
    via: str = VIA_DIRECT
    report: Path | None = None
    cut_over: Path | None = None
    name: str = ""
    approval: Approval = field(default_factory=Approval)
    run: RunOptions = field(default_factory=RunOptions)


def migrate_database(settings: Settings, name: str, options: MigrateOptions) -> int:
    """Copy the source into the Database ``name``, prove that both are equal, and return the exit code.

    Raises Problems if a check fails, the target has rows of its own, or nobody approves.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.postgresql.connection import parse_url, require_programs
    from orchestrator.postgresql.rehearsal import rehearsal_database
    from orchestrator.release import checkout

    require_programs("psql", "pg_dump", "pg_restore")
    source = parse_url(options.source_url, options.source_password)
    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = Clients.for_scope(manifest.scope)
    if options.check_only:
        with _reach_target(manifest, clients, name, options, settings.terminal.print_err) as target:
            _check(settings, source, target, options)
        return ExitCode.OK
    store = checkout.find_store(manifest, clients)
    with (
        write_lock(settings, manifest.scope, "migrate", options.run, clients, store) as lock,
        _reach_target(manifest, lock.clients, name, options, settings.terminal.print_err) as target,
    ):
        if not options.rehearse:
            return _migrate(settings, source, target, replace(options, name=name))
        with rehearsal_database(target) as copy:
            settings.terminal.print_out(
                f"Rehearsal in the database {copy.database}, which is created now and dropped afterwards."
            )
            return _migrate(settings, source, copy, replace(options, name=name))


@contextmanager
def _reach_target(
    manifest: Manifest, clients: Clients, name: str, options: MigrateOptions, report: Callable[[str], None]
) -> Iterator[ConnectionTarget]:
    """Yield how the project's database is reached, with the password that the application uses. Raises Problems."""
    from orchestrator.planning import pipeline
    from orchestrator.recovery.database_restore import find_database

    desired = pipeline.expand_manifest(manifest, include_artefacts=False)
    with open_route(desired, find_database(desired, name), options.via, clients, report) as route:
        yield find_connection(find_live(desired, clients, name), clients, options.ca_file, route)


def _check(
    settings: Settings, source: ConnectionTarget, target: ConnectionTarget, options: MigrateOptions
) -> tuple[Inventory, Inventory, bool]:
    """Read both sides, print them, and return them and whether nothing has to be copied. Raises Problems."""
    from orchestrator.postgresql import comparison, transfer
    from orchestrator.postgresql.inventory import read_both, read_inventory

    is_empty = not read_inventory(target, with_checksums=False).tables
    source_inventory, target_inventory = read_both(source, target, with_checksums=not is_empty)
    print_out = settings.terminal.print_out
    for label, database, inventory in (("from", source, source_inventory), ("to", target, target_inventory)):
        print_out(
            f"{label:>4} {database.label}: PostgreSQL {inventory.version}, "
            f"{format_count(len(inventory.tables), 'table')}, {format_count(inventory.rows, 'row')}, "
            f"{inventory.bytes / 2**20:.1f} MB"
        )
    free_bytes = shutil.disk_usage(options.work.parent if options.work.parent.exists() else Path()).free
    problems = transfer.check_before(
        source_inventory, target_inventory, transfer.list_available_extensions(target), free_bytes
    )
    problems += transfer.find_missing_roles(source, target)
    if problems:
        raise Problems(problems)
    if roles := transfer.list_other_roles(source):
        print_out(
            f"Owners and privileges are not copied: {', '.join(roles)}. In the target, {target.username} owns "
            "everything."
        )
    collations = [item.settings["collation"] for item in (source_inventory, target_inventory)]
    if collations[0] != collations[1]:
        print_out(
            f"The collations differ, {collations[0]} in the source and {collations[1]} in the target: sort "
            "order, upper-case conversion and generated columns that depend on them can differ."
        )
    differences = comparison.compare(source_inventory, target_inventory)
    is_ours = transfer.is_marked(target)
    if differences and target_inventory.rows and not is_ours and not options.into_nonempty:
        raise Problems.from_message(
            f"{target.label} has {format_count(target_inventory.rows, 'row')} that no migration wrote; nothing "
            "was changed",
            hint="copy into an empty database, or pass --into-nonempty to replace the rows of tables that differ",
        )
    return source_inventory, target_inventory, not differences


def _migrate(settings: Settings, source: ConnectionTarget, target: ConnectionTarget, options: MigrateOptions) -> int:
    from orchestrator.postgresql import transfer

    before = _check(settings, source, target, options)
    if before[2]:
        settings.terminal.print_out("Both databases are identical: nothing to copy.")
        transfer.finish(target)
        return ExitCode.OK
    options.approval.confirm(
        settings.terminal,
        f"Copy {format_count(before[0].rows, 'row')} into {target.label}? Only 'yes' is accepted:",
        "yes",
    )
    return _copy_and_prove(settings, source, target, options, before[:2])


def _copy_and_prove(
    settings: Settings,
    source: ConnectionTarget,
    target: ConnectionTarget,
    options: MigrateOptions,
    before: tuple[Inventory, Inventory],
) -> int:
    from orchestrator.postgresql import comparison, transfer
    from orchestrator.runs.cut_over import PhaseClock, write_cut_over

    clock = PhaseClock(settings.terminal.print_err)
    after_source, after_target = transfer.copy_and_read(source, target, before, options.work, options.jobs, clock.begin)
    differences = comparison.compare(after_source, after_target)
    if options.into_nonempty:
        differences = tuple(item for item in differences if item.description != "is missing in the source")
    seconds = clock.end()
    if options.report is not None:
        _write_report(options.report, source, target, (after_source, after_target), differences)
    if options.cut_over is not None:
        command = settings.command_line("migrate", "database", "--from", options.source_url, "--to", options.name)
        write_cut_over(options.cut_over, command, (source.label, target.label), after_source, clock.phases)
    return _print_proof(settings, target, after_target, differences, seconds)


def _print_proof(
    settings: Settings,
    target: ConnectionTarget,
    inventory: Inventory,
    differences: tuple[Difference, ...],
    seconds: float,
) -> int:
    from orchestrator.postgresql import transfer

    print_out = settings.terminal.print_out
    if not differences:
        transfer.finish(target)
        print_out(
            f"Verified: {format_count(len(inventory.tables), 'table')}, {format_count(inventory.rows, 'row')}, "
            f"{format_count(len(inventory.objects), 'definition')} and "
            f"{format_count(len(inventory.sequences), 'sequence')} are equal on both sides ({seconds:.1f}s)."
        )
        return ExitCode.OK
    for item in differences[:MAX_LISTED_DIFFERENCES]:
        print_out(f"  differs: {item}")
    if len(differences) > MAX_LISTED_DIFFERENCES:
        print_out(f"  ... and {len(differences) - MAX_LISTED_DIFFERENCES} more")
    print_out(
        f"{len(differences)} differences. Tables that differ probably changed during the copy: stop the "
        "application, then run the same command again. It copies only the differences."
    )
    return ExitCode.FAILED


def _write_report(
    path: Path,
    source: ConnectionTarget,
    target: ConnectionTarget,
    inventories: tuple[Inventory, Inventory],
    differences: tuple[Difference, ...],
) -> None:
    """Write the proof as JSON: rows and checksum of every table on both sides, and every difference."""
    from msgspec import json, to_builtins

    sides = {
        side: {"database": database.label, "version": inventory.version, "tables": to_builtins(inventory.tables)}
        for side, database, inventory in zip(("source", "target"), (source, target), inventories, strict=True)
    }
    document = {**sides, "differences": [str(item) for item in differences]}
    path.write_bytes(json.format(json.encode(document), indent=2) + b"\n")
