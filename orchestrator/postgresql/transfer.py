"""Copy a database to another server table by table, so that a copy that broke off continues where it was.

Definitions are copied first, then the rows of the tables that differ, with pg_dump's directory format in parallel, then
indexes and constraints, then the positions of sequences. What the target already has in full is not copied again.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from orchestrator.postgresql.catalog_queries import REQUIRED_ROLES_SQL, ROLES_SQL
from orchestrator.postgresql.comparison import list_differing_tables
from orchestrator.postgresql.connection import (
    LOCK_TIMEOUT_SECONDS,
    MAX_ERROR_CHARS,
    ConnectionTarget,
    execute,
    find_hint,
    query,
    require_programs,
    run_process,
    run_program,
)
from orchestrator.postgresql.inventory import LARGE_OBJECTS, Inventory, choose_row_hash, quote, read_inventory
from orchestrator.problems import Problem, Problems
from orchestrator.quantities import format_count
from orchestrator.redaction.redact import sanitise

PRIVATE_MODE = 0o700
"""Of the folder of the dump: it contains every row, and the options of user mappings."""
LOCK_WAIT_OPTION = f"--lock-wait-timeout={LOCK_TIMEOUT_SECONDS}s"
OnProgress = Callable[[str], None]
COMPRESSION_LEVEL = 1
"""Of the dump, which lives for minutes on a local disk: level 1 of gzip takes a third of the time of the default."""
MARKER_SCHEMA = "orchestrator_migration"
"""Empty schema of a target that is being filled by us; the last step drops it."""
IGNORED_RESTORE_ERRORS = (
    "already exists",
    "is already a partition",
    "is already attached",
    "is already member of publication",
    "multiple primary keys for table",
    "must be owner of extension",
)
"""What pg_restore reports about objects that an earlier run has made: the proof decides whether they are right."""


def check_before(
    source: Inventory, target: Inventory, target_extensions: frozenset[str], free_bytes: int
) -> list[Problem]:
    """Return everything that would make the copy fail or differ. Pure."""
    problems = []
    source_major, target_major = (int(item.version.partition(".")[0]) for item in (source, target))
    if target_major < source_major:
        problems.append(
            Problem(
                f"the target runs PostgreSQL {target.version}, but the source runs {source.version}",
                hint=f'set `version: "{source_major}"` or newer in the Database manifest, then apply',
            )
        )
    missing = sorted(set(source.extensions) - target_extensions)
    problems += [
        Problem(
            f"the target server does not offer the extension `{name}`",
            hint="in the source database, drop the tables that use the extension, then the extension",
        )
        for name in missing
    ]
    if source.settings["encoding"] != target.settings["encoding"]:
        encodings = f"{source.settings['encoding']} in the source, {target.settings['encoding']} in the target"
        problems.append(
            Problem(f"the encodings differ: {encodings}", hint="create the target with the source's encoding")
        )
    if free_bytes < source.bytes:
        problems.append(
            Problem(
                f"the work folder has {free_bytes // 2**20} MB free, but the source has {source.bytes // 2**20} MB",
                hint="pass --work with a folder on a larger disk",
            )
        )
    return problems


def is_marked(target: ConnectionTarget) -> bool:
    """Return whether an earlier, unfinished migration has filled the target."""
    return {"nspname": MARKER_SCHEMA} in query(target, "SELECT nspname FROM pg_namespace")


def list_available_extensions(target: ConnectionTarget) -> frozenset[str]:
    """Return the extensions that the server can create."""
    return frozenset(item["name"] for item in query(target, "SELECT name FROM pg_available_extensions"))


def list_other_roles(source: ConnectionTarget) -> tuple[str, ...]:
    """Return the roles, beside the one that connects, that own objects of the source or have privileges on them."""
    return tuple(item["name"] for item in query(source, ROLES_SQL))


def find_missing_roles(source: ConnectionTarget, target: ConnectionTarget) -> list[Problem]:
    """Return a problem for each role without which a policy or a user mapping of the source cannot be created."""
    roles = {item["name"] for item in query(target, "SELECT rolname AS name FROM pg_roles")}
    return [
        Problem(
            f"the target has no role `{item['name']}`, which a policy or a user mapping in the source refers to",
            hint="create the role in the target, or drop the policy or the user mapping in the source",
        )
        for item in query(source, REQUIRED_ROLES_SQL)
        if item["name"] not in roles
    ]


def copy_and_read(
    source: ConnectionTarget,
    target: ConnectionTarget,
    before: tuple[Inventory, Inventory],
    work: Path,
    jobs: int,
    on_progress: OnProgress,
) -> tuple[Inventory, Inventory]:
    """Make the target equal to the source, and return what both contain afterwards, with checksums. Raises Problems."""
    row_hash = choose_row_hash(source, target)
    # The source has nothing else to do while the rows are written to the target: it is hashed meanwhile.
    with ThreadPoolExecutor(1, thread_name_prefix="inventory") as pool:
        readings: list[Future[Inventory]] = []

        def read_source() -> None:
            readings.append(pool.submit(read_inventory, source, row_hash=row_hash))

        copy_database(source, target, before, work, jobs, on_progress, read_source)
        on_progress("verify the copy: count and hash the rows of every table in the source and the target")
        after_target = read_inventory(target, row_hash=row_hash)
        return readings[0].result(), after_target


def copy_database(
    source: ConnectionTarget,
    target: ConnectionTarget,
    before: tuple[Inventory, Inventory],
    work: Path,
    jobs: int,
    on_progress: OnProgress,
    on_dumped: Callable[[], None] = lambda: None,
) -> tuple[str, ...]:
    """Make the target equal to the source and return the tables whose rows were copied.

    ``before`` are the inventories of both. ``on_dumped`` is called when the source is not read any more. Raises
    Problems; run it again to continue.
    """
    require_programs("pg_dump", "pg_restore", "psql")
    source_inventory, target_inventory = before
    execute(target, f"CREATE SCHEMA IF NOT EXISTS {MARKER_SCHEMA};")
    with _private_folder(work) as folder:
        schema = folder / "schema.dump"
        on_progress("copy definitions")
        run_program(
            source,
            "pg_dump",
            ["-Fc", "--schema-only", LOCK_WAIT_OPTION, "--no-owner", "--no-privileges", "-f", str(schema)],
        )
        _restore(target, ["--section=pre-data", str(schema)])
        differing = list_differing_tables(source_inventory, target_inventory)
        if differing:
            size = sum(source_inventory.table_bytes.get(name, 0) for name in differing)
            on_progress(
                f"copy the rows of {format_count(len(differing), 'table')}, {size / 2**20:.1f} MB, with {jobs} jobs"
            )
            _copy_rows(source, target, differing, source_inventory, folder / "rows", jobs, on_dumped)
        else:
            on_dumped()
        on_progress("build indexes and constraints")
        _restore(target, ["--section=post-data", f"--jobs={jobs}", str(schema)])
    on_progress("set sequences, refresh materialised views, collect statistics")
    execute(target, "".join(_sequence_sql(source_inventory.sequences)))
    _refresh_views(target)
    execute(target, "ANALYZE;")
    return differing


@contextmanager
def _private_folder(work: Path) -> Iterator[Path]:
    """Create an empty folder for the dump that only we can read, and delete it; a killed run has left its own."""
    folder = work / "dump"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=PRIVATE_MODE)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def finish(target: ConnectionTarget) -> None:
    """Remove what marks the target as being filled."""
    execute(target, f"DROP SCHEMA IF EXISTS {MARKER_SCHEMA};")


def _copy_rows(
    source: ConnectionTarget,
    target: ConnectionTarget,
    differing: Iterable[str],
    inventory: Inventory,
    folder: Path,
    jobs: int,
    on_dumped: Callable[[], None],
) -> None:
    tables = [name for name in differing if name != LARGE_OBJECTS]
    selection = [f"--table={name}" for name in tables] if len(tables) < len(inventory.tables) else []
    large_objects = []
    if LARGE_OBJECTS in differing:
        execute(target, "SELECT lo_unlink(oid) FROM pg_largeobject_metadata;")
        large_objects = ["--blobs"]  # the option's name in every version that is still supported
        selection = selection if tables else ["--exclude-table=*.*"]
    options = [
        "-Fd",
        "--data-only",
        LOCK_WAIT_OPTION,
        f"--jobs={jobs}",
        f"--compress={COMPRESSION_LEVEL}",
        "--no-owner",
        "--no-privileges",
    ]
    run_program(source, "pg_dump", [*options, *selection, *large_objects, "-f", str(folder)])
    on_dumped()
    with _unconstrained(target, tables):
        _restore(target, ["--data-only", f"--jobs={jobs}", str(folder)])


@contextmanager
def _unconstrained(target: ConnectionTarget, tables: list[str]) -> Iterator[None]:
    """Empty the tables, and take foreign keys and triggers out of the way, which an earlier run may have made.

    Only whole tables appear afterwards: each is one COPY in a transaction of its own. Foreign keys come back with the
    definitions that are restored after the rows.
    """
    foreign_keys = query(
        target,
        "SELECT conrelid::regclass::text AS table, format('%I', conname) AS name FROM pg_constraint "
        "WHERE contype = 'f' AND conparentid = 0",
    )
    triggers = query(target, "SELECT DISTINCT tgrelid::regclass::text AS table FROM pg_trigger WHERE NOT tgisinternal")
    statements = [f"ALTER TABLE {item['table']} DROP CONSTRAINT {item['name']};\n" for item in foreign_keys]
    statements += [f"ALTER TABLE {item['table']} DISABLE TRIGGER USER;\n" for item in triggers]
    statements += [f"TRUNCATE ONLY {name};\n" for name in tables]
    execute(target, "".join(["BEGIN;\n", *statements, "COMMIT;\n"]))
    yield
    execute(target, "".join(f"ALTER TABLE {item['table']} ENABLE TRIGGER USER;\n" for item in triggers))


def _restore(target: ConnectionTarget, arguments: list[str]) -> None:
    """Run pg_restore; what exists already is no error. Raises Problems for every other one."""
    options = ["--dbname", target.database, "--no-owner", "--no-privileges", *arguments]
    result = run_process(target, "pg_restore", options, read_only=False)
    if result.exit_code:
        unexpected = find_unexpected_error(result.output)
        if unexpected:
            raise Problems.from_message(f"{target.label}: {sanitise(unexpected)}", hint=_restore_hint(unexpected))


def _restore_hint(message: str) -> str:
    """Return what to do about an error of the target. Pure."""
    if "No space left on device" in message:
        return "raise `storage.sizeGb` of the Database and apply, then run the same command again to continue"
    return f"{find_hint(message)}; run the same command again to continue"


def find_unexpected_error(output: str) -> str:
    """Return the first error in pg_restore's output that is not about something that exists already, or "". Pure."""
    # A name may contain a line break, so a message ends where the next one begins.
    messages = re.split(r"^(?=pg_restore: )|^Command was: ", output, flags=re.MULTILINE)
    errors = [text.strip() for text in messages if re.search(r"error:|FATAL:|fatal:", text)]
    if not errors:
        return output.strip()[-MAX_ERROR_CHARS:] if "warning: errors ignored on restore" not in output else ""
    return next((error for error in errors if not any(text in error for text in IGNORED_RESTORE_ERRORS)), "")


def _refresh_views(target: ConnectionTarget) -> None:
    """Fill the materialised views that are empty, in the order in which they were defined."""
    views = query(
        target,
        "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'm' AND NOT relispopulated ORDER BY oid",
    )
    execute(target, "".join(f"REFRESH MATERIALIZED VIEW {item['name']};\n" for item in views))


def _sequence_sql(sequences: Mapping[str, str | None]) -> Iterable[str]:
    for name, value in sequences.items():
        if value is not None:
            yield f"SELECT setval({quote(name)}, {value});\n"
