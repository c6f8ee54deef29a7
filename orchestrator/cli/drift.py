"""``orchestrator drift``: a plan that nobody means to apply."""

from __future__ import annotations

from typing import Literal

import click

from orchestrator.cli.options import Settings, common
from orchestrator.cli.verb import verb


@verb(
    "drift",
    "orchestrator drift -e prod",
    "orchestrator drift --format json | jq .coverage",
)
@click.option("--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
@common
def command(settings: Settings, form: Literal["text", "json", "markdown"]) -> int:
    """Show what in AWS is not as the manifests say.

    Each resource is in sync, drifted, or not checked with the reason. Exits 2 on drift.
    """
    from orchestrator import pipeline
    from orchestrator.problems import Exit
    from orchestrator.release import wanted
    from orchestrator.render import drift

    desired = wanted.of(settings.manifests, settings.environment).desired
    seen = drift.view(pipeline.plan(desired).plan)
    match form:
        case "json":
            settings.terminal.say(drift.to_json(seen))
        case "markdown":
            settings.terminal.say(drift.markdown(seen))
        case _:
            settings.terminal.say(drift.text(seen, settings.terminal.style))
    return Exit.CHANGES if seen.has_drifted else Exit.OK
