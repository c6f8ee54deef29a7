"""``orchestrator history``: verify, export and import the history of the state service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import CliCommand
from orchestrator.cli.options import common_options
from orchestrator.quantities import format_count
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.state.server.store import Store

DATABASE_OPTION = click.option("--database", default="", metavar="URL", help="Database of the state service.")
EXISTING_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group("history")
def command() -> None:
    """Verify, export and import the state service's history.

    The state service is `orchestrator serve`.
    """


@command.command(
    "verify", cls=CliCommand, examples=("orchestrator history verify", "orchestrator history verify all.jsonl")
)
@click.argument("export", metavar="[EXPORT.JSONL]", required=False, type=EXISTING_FILE)
@DATABASE_OPTION
@common_options
def verify(settings: Settings, export: Path | None, database: str) -> int:
    """Verify that no entry or event was changed or removed.

    If the check fails, prints the first affected entry or event and exits 1.
    """
    from orchestrator.state.server import export_import
    from orchestrator.state.server.store import verification

    if export is not None:
        with export.open("rb") as lines:
            entry_count, last_entry = export_import.verify_export(export_import.read_export(lines, str(export)))
    else:
        entry_count, last_entry = verification.verify_database(_open_store(database).engine)
    settings.terminal.print_out(
        f"The history is intact: {format_count(entry_count, 'entry', 'entries')}, the last entry is {last_entry}."
    )
    return 0


@command.command("export", cls=CliCommand, examples=("orchestrator history export > all.jsonl",), streams=True)
@DATABASE_OPTION
@common_options
def export(settings: Settings, database: str) -> int:
    """Print the whole history as JSON lines."""
    from orchestrator.state.server import export_import

    for line in export_import.export_history(_open_store(database)):
        settings.terminal.print_out(line.decode().rstrip("\n"))
    return 0


@command.command("import", cls=CliCommand, examples=("orchestrator history import .orchestrator/journal/RUN.jsonl",))
@click.argument("file", type=EXISTING_FILE)
@DATABASE_OPTION
@common_options
def import_(settings: Settings, file: Path, database: str) -> int:
    """Import the journal of a run, or an export into an empty database.

    A run with --without-record keeps a journal. The journal is imported into the service at ORCHESTRATOR_STATE_URL;
    importing the same journal again changes nothing.
    """
    from orchestrator.state.client import journal
    from orchestrator.state.server import export_import

    with file.open("rb") as lines:
        first_line = lines.readline()
    if journal.is_journal(first_line):
        from orchestrator.state.client.api_client import StateClient

        with StateClient.from_environ(os.environ) as client:
            count = journal.submit(file, client)
        settings.terminal.print_out(f"Imported {format_count(count, 'entry', 'entries')} of {file}.")
        return 0
    with file.open("rb") as lines:
        count = export_import.import_history(_open_store(database), export_import.read_export(lines, str(file)))
    settings.terminal.print_out(f"Imported {format_count(count, 'entry', 'entries')}.")
    return 0


def _open_store(database: str) -> Store:
    from orchestrator.state.server.startup import load_settings
    from orchestrator.state.server.store import Store

    return Store.open(load_settings(os.environ, database=database, host="127.0.0.1").database)
