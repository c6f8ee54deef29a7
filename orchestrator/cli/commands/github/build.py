"""``orchestrator github build``: build the sites in a job that has no credentials."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.problems import Problems
from orchestrator.runs.settings import Settings

MAX_FAILURE_CHARS = 500


@cli_command("build", "orchestrator github build -e prod --out built")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the built sites."
)
@common_options
def command(settings: Settings, out: Path) -> None:
    """Build the sites of the checked-out commit, and set the output `built` to whether there are any, or `failure`.

    Uses no token and no credentials of AWS. `orchestrator github deploy --built FOLDER` deploys what is built.
    """
    from orchestrator.github.notifications import GitHubNotifier
    from orchestrator.runs import reporter, site_builds

    notifier = GitHubNotifier.from_environment(settings.manifests, settings.environment, is_silent=True)
    try:
        with reporter.interrupt_on_termination():
            has_sites = site_builds.save_built_sites(settings, out)
    except Problems as error:
        headline = error.problems[0].message.partition("\n")[0]
        notifier.run.set_outputs(failure=headline[:MAX_FAILURE_CHARS])
        raise
    notifier.run.set_outputs(built=str(has_sites).lower())
    settings.terminal.print_out(f"The sites are in {out}." if has_sites else "There are no sites to build.")
