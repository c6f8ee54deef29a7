"""``orchestrator explain``: the schemas, read aloud."""

from __future__ import annotations

import click

from orchestrator.cli.command import verb
from orchestrator.cli.options import common
from orchestrator.runs.settings import Settings


@verb(
    "explain",
    "orchestrator explain bucket",
    "orchestrator explain bucket.spec.lifecycle",
    "orchestrator explain database --recursive",
)
@click.argument("path", required=False, default="")
@click.option("--recursive", is_flag=True, help="Everything below, too.")
@common
def command(settings: Settings, path: str, recursive: bool) -> None:
    """Say what a field of a manifest means.

    PATH is a kind, and fields below it.
    """
    from orchestrator.manifest.explain import explain

    settings.terminal.say(explain(path, recursive))
