"""``orchestrator github build``: build the sites and images in a job that has no credentials."""

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
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder for the built sites and images.",
)
@click.option(
    "--pushed-images",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="ORCHESTRATOR_PUSHED_IMAGES",
    help="File with the tags of images that the registry already has, written by `github deploy`.",
)
@click.option(
    "--sites-only", is_flag=True, help="Do not build images. For plans, which detect changed images by their inputs."
)
@common_options
def command(settings: Settings, out: Path, pushed_images: Path | None, sites_only: bool) -> None:
    """Build the sites and images of the checked-out commit. Uses no token and no AWS credentials.

    Sets the outputs `built` (whether anything was built), `images` (tag and digest of each, as JSON) and `failure`.
    `orchestrator github deploy --built FOLDER` deploys the results. `github plan --built FOLDER` compares the sites
    with the live sites.
    """
    import msgspec

    from orchestrator.github.notifications import GitHubNotifier
    from orchestrator.runs import image_builds, reporter, site_builds

    notifier = GitHubNotifier.from_environment(settings.manifests, settings.environment, is_silent=True)
    try:
        with reporter.interrupt_on_termination():
            has_sites = site_builds.save_built_sites(settings, out)
            tags = _read_tags(pushed_images)
            images = {} if sites_only else image_builds.save_built_images(settings, out, tags)
    except Problems as error:
        headline = error.problems[0].message.partition("\n")[0]
        notifier.run.set_outputs(failure=headline[:MAX_FAILURE_CHARS])
        raise
    is_built = has_sites or any(image.digest for image in images.values())
    description = msgspec.json.encode(images).decode() if images else ""
    notifier.run.set_outputs(built=str(is_built).lower(), images=description)
    settings.terminal.print_out(f"Wrote the built sites and images to {out}." if is_built else "Nothing to build.")


def _read_tags(file: Path | None) -> list[str]:
    return file.read_text().split() if file is not None and file.is_file() else []
