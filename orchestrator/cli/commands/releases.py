"""``orchestrator releases``: list the releases, and which can be restored."""

from __future__ import annotations

from typing import Literal

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import project_options
from orchestrator.runs.settings import Settings


@cli_command(
    "releases",
    "orchestrator releases -e prod",
    "orchestrator releases --format json | jq '.[0].vector'",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Format of the list.",
)
@project_options
def command(settings: Settings, output_format: Literal["text", "json"]) -> int:
    """List the releases, and which can be restored.

    Lists the newest first, with time, author, commit and changes. Checks in AWS that the image, site files, secret
    versions and model of each release still exist.
    """
    from orchestrator import canonical_json
    from orchestrator.aws import Reader
    from orchestrator.problems import ExitCode
    from orchestrator.release import rollback
    from orchestrator.render import release_list
    from orchestrator.runs.release import open_session

    session = open_session(settings)
    ledger_store, reader = session.store, Reader(session.clients)
    ledger = ledger_store.read()
    obstacles = {
        release.number: tuple(
            problem.message for problem in rollback.find_obstacles(ledger, release, ledger_store, reader)
        )
        for release in ledger.releases
    }
    rows = release_list.build_rows(ledger, obstacles)
    target = next((item.number for item in rollback.list_candidates(ledger) if not obstacles[item.number]), None)
    if output_format == "json":
        settings.terminal.print_out(canonical_json.dump(rows).decode() + "\n")
    else:
        settings.terminal.print_out(
            release_list.render_text(
                rows, ledger.pins, settings.terminal.style, settings.command_line("rollback"), target
            )
        )
    return ExitCode.OK
