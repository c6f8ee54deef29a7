"""``orchestrator render``: print the merged manifests of one environment."""

from __future__ import annotations

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.runs.settings import Settings


@cli_command(
    "render",
    "orchestrator render -e prod",
    "diff <(orchestrator render -e staging) <(orchestrator render -e prod)",
)
@common_options
def command(settings: Settings) -> None:
    """Print the merged manifests of one environment.

    Overlays are merged, and defaults are filled in.
    """
    from orchestrator import manifest
    from orchestrator.planning import pipeline

    settings.terminal.print_out(manifest.render(pipeline.validate(settings.manifests, settings.environment)))
