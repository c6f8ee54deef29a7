"""``orchestrator releases``: what was deployed, and what can come back."""

from __future__ import annotations

from typing import Literal

import click

from orchestrator.cli.options import Settings, common
from orchestrator.cli.verb import verb


@verb(
    "releases",
    "orchestrator releases -e prod",
    "orchestrator releases --format json | jq '.[0].vector'",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@common
def command(settings: Settings, form: Literal["text", "json"]) -> int:
    """List the releases, and say which can come back.

    Newest first: when, who, commit, what changed. Whether an image, a site's files, a secret's version and a model are
    still there is asked now, not remembered.
    """
    from orchestrator import wire
    from orchestrator.aws import Reader
    from orchestrator.cli import releasing
    from orchestrator.problems import Exit
    from orchestrator.release import restore
    from orchestrator.render import releases

    desk = releasing.desk(settings)
    store, reader = desk.store, Reader(desk.clients)
    ledger = store.read()
    why = {one.number: restore.obstacles(ledger, one, store, reader) for one in ledger.releases}
    rows = releases.view(ledger, why)
    if form == "json":
        settings.terminal.say(wire.dump(rows).decode() + "\n")
    else:
        settings.terminal.say(releases.text(rows, ledger.pins, settings.terminal.style, settings.command("rollback")))
    return Exit.OK
