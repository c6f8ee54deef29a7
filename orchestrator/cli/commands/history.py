"""``orchestrator history``: what the state service remembers, checked, out, and in again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import Verb
from orchestrator.cli.options import common
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.state.server.store import Store

URL = click.option("--database", default="", metavar="URL", help="The service's database.")
FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group("history")
def command() -> None:
    """Verify, export and import what that service remembers.

    That is the state service, `orchestrator serve`.
    """


@command.command("verify", cls=Verb, examples=("orchestrator history verify", "orchestrator history verify all.jsonl"))
@click.argument("export", metavar="[EXPORT.JSONL]", required=False, type=FILE)
@URL
@common
def verify(settings: Settings, export: Path | None, database: str) -> int:
    """See that each entry and event is as it was written, none missing. Exits 1 naming the first that is not so."""
    from orchestrator.state.server import export_import
    from orchestrator.state.server.store import verification

    if export is not None:
        with export.open("rb") as lines:
            number, last = export_import.verify(export_import.read(lines, str(export)))
    else:
        number, last = verification.check(_store(database).engine)
    settings.terminal.say(f"The history is whole: {number} entries, the last is {last}.")
    return 0


@command.command("export", cls=Verb, examples=("orchestrator history export > all.jsonl",))
@URL
@common
def export(settings: Settings, database: str) -> int:
    """Print all of it as JSON lines."""
    from orchestrator.state.server import export_import

    for line in export_import.export(_store(database)):
        settings.terminal.say(line.decode().rstrip("\n"))
    return 0


@command.command("import", cls=Verb, examples=("orchestrator history import .orchestrator/journal/RUN.jsonl",))
@click.argument("file", type=FILE)
@URL
@common
def import_(settings: Settings, file: Path, database: str) -> int:
    """Hand in the journal of a run made with --without-record, or rebuild an empty database from an export.

    A journal goes to the service at ORCHESTRATOR_STATE_URL; handing it in twice changes nothing.
    """
    from orchestrator.state.client import journal
    from orchestrator.state.server import export_import

    with file.open("rb") as lines:
        first = lines.readline()
    if journal.is_one(first):
        from orchestrator.state.client.api_client import Client

        with Client.of(os.environ) as client:
            count = journal.hand_in(file, client)
        settings.terminal.say(f"Handed in: {count} entries of {file}.")
        return 0
    with file.open("rb") as lines:
        count = export_import.restore(_store(database), export_import.read(lines, str(file)))
    settings.terminal.say(f"Imported: {count} entries.")
    return 0


def _store(database: str) -> Store:
    from orchestrator.state.server.startup import settle
    from orchestrator.state.server.store import Store

    return Store.open(settle(os.environ, database=database, host="127.0.0.1").database)
