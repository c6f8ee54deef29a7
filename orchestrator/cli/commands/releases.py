"""``orchestrator releases``: what was deployed, and what can come back."""

from __future__ import annotations

from typing import Literal

import click

from orchestrator.cli.command import verb
from orchestrator.cli.options import common
from orchestrator.runs.settings import Settings


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
    from orchestrator import canonical_json
    from orchestrator.aws import Reader
    from orchestrator.problems import Exit
    from orchestrator.release import restorability
    from orchestrator.render import release_list
    from orchestrator.runs import release

    desk = release.desk(settings)
    store, reader = desk.store, Reader(desk.clients)
    ledger = store.read()
    why = {one.number: restorability.obstacles(ledger, one, store, reader) for one in ledger.releases}
    rows = release_list.view(ledger, why)
    if form == "json":
        settings.terminal.say(canonical_json.dump(rows).decode() + "\n")
    else:
        settings.terminal.say(
            release_list.text(rows, ledger.pins, settings.terminal.style, settings.command("rollback"))
        )
    return Exit.OK
