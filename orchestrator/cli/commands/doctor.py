"""``orchestrator doctor``: what a set-up lacks, each thing with its fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from orchestrator.cli.command import verb
from orchestrator.cli.options import common
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.github.client import GitHub


@verb(
    "doctor",
    "orchestrator doctor -e prod",
    "orchestrator doctor --format json | jq '.findings[] | select(.state != \"ok\")'",
    "orchestrator doctor --timeout 5",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--timeout",
    type=click.FloatRange(1, 600),
    default=30,
    show_default=True,
    help="Seconds; what has not answered by then is not checked.",
)
@common
def command(settings: Settings, form: Literal["text", "json"], timeout: float) -> int:
    """Say what a set-up lacks, and how to mend it. Changes nothing.

    Looks at the repository, the manifests, the workflows, the builder, AWS (credentials, roles and whom they trust,
    what a plan has to read, the release bucket), the repository on GitHub and the state service; on a laptop or a
    runner. Names every missing thing with its fix. Exits 1 when one is missing, 0 otherwise: what could not be looked
    at is told, and is no failure.
    """
    import json
    import os

    from orchestrator.doctor import Case, report
    from orchestrator.doctor.runner import examine
    from orchestrator.problems import Exit
    from orchestrator.render import problems

    case = Case(settings.manifests, settings.environment, os.environ, settings.command, _clients, _github)
    found = examine(case, timeout)
    terminal = settings.terminal
    if form == "json":
        terminal.say(json.dumps(report.document(found, settings.environment), indent=2, ensure_ascii=False))
    else:
        terminal.say(report.text(found, terminal.style))
    lacking = report.problems(found)
    if terminal.in_actions and lacking:
        terminal.tell(problems.commands(lacking))
    return Exit.FAILED if lacking else Exit.OK


def _clients(region: str) -> Clients:
    from orchestrator.aws import Clients

    return Clients(region, attempts=2)


def _github(repository: str) -> GitHub:
    from orchestrator.cli.commands.bootstrap import client

    return client(repository, attempts=2)
