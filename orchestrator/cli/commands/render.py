"""``orchestrator render``: print the merged manifests of one environment, or the difference between two."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.runs.settings import Settings


@cli_command(
    "render",
    "orchestrator render -e prod",
    "orchestrator render --diff prod staging",
    streams=True,
)
@click.option(
    "--diff", "diff_names", nargs=2, metavar="FROM TO", help="Print only what differs between two environments."
)
@common_options
def command(settings: Settings, diff_names: tuple[str, str] | None) -> None:
    """Print the merged manifests of one environment.

    Overlays are merged, and defaults are filled in. With --diff FROM TO, prints the fields that differ between two
    environments, with the file that sets each.
    """
    from orchestrator import manifest
    from orchestrator.planning import pipeline

    if diff_names is None:
        settings.choose_environment()
        settings.terminal.print_out(manifest.render(pipeline.validate(settings.manifests, settings.environment)))
        return
    first, second = (pipeline.validate(settings.manifests, name) for name in diff_names)
    settings.terminal.print_out(
        manifest.render_difference(first, second) or f"{diff_names[0]} and {diff_names[1]} do not differ."
    )
