"""``orchestrator render``: the checked manifests, environment merged in."""

from __future__ import annotations

from orchestrator.cli.command import verb
from orchestrator.cli.options import common
from orchestrator.runs.settings import Settings


@verb(
    "render",
    "orchestrator render -e prod",
    "diff <(orchestrator render -e staging) <(orchestrator render -e prod)",
)
@common
def command(settings: Settings) -> None:
    """Print the manifests of one environment, merged.

    What the overlay changes, and what the schemas' defaults add, is filled in.
    """
    from orchestrator import manifest
    from orchestrator.planning import pipeline

    settings.terminal.say(manifest.render(pipeline.validate(settings.manifests, settings.environment)))
