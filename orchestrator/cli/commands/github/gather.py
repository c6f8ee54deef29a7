"""``orchestrator github gather``: put the plans of a matrix into one comment of the pull request."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.runs.settings import Settings


@cli_command("gather", "orchestrator github gather sections")
@click.option(
    "--targets",
    default="[]",
    envvar="ORCHESTRATOR_MATRIX",
    metavar="JSON",
    help="Output `targets` of `github changed`: the environments to plan.",
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@common_options
def command(settings: Settings, targets: str, folder: Path) -> None:
    """Write one comment on the pull request with a section for each plan of the run.

    FOLDER contains one folder for each plan, with the file `section.md` that `github plan` wrote. Sets the output
    `artifact`: the name of the artefact that proves which run wrote the comment.
    """
    from orchestrator.github import gathered_comment
    from orchestrator.github.notifications import GitHubNotifier, comment_marker, environment_title

    entries, sections = _parse(targets), dict[str, str]()
    notifier = GitHubNotifier.from_environment(settings.manifests, settings.environment)
    for target in entries:
        place, name = str(target["manifests"]), str(target["environment"])
        file = folder / gathered_comment.section_name(comment_marker(place, name)) / "section.md"
        sections[environment_title(place, name)] = file.read_text(encoding="utf-8") if file.is_file() else ""
    notifier.report_gathered(gathered_comment.render(sections, notifier.commit, notifier.run.url), len(sections))
    settings.terminal.print_out(f"Combined {len(sections)} plans.")


def _parse(text: str) -> list[dict[str, str]]:
    """Return the entries of a matrix.  Raises Problems."""
    import msgspec

    from orchestrator.problems import Problems

    try:
        return msgspec.json.decode(text, type=list[dict[str, str]])
    except msgspec.MsgspecError as error:
        raise Problems.from_message(f"--targets must be the output `targets` of `github changed`: {error}") from None
