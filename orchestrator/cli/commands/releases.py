"""``orchestrator releases``: list the releases, and which can be restored."""

from __future__ import annotations

from typing import Literal

import click

from orchestrator.cli.command import CliCommand
from orchestrator.cli.options import common_options, format_option, project_options
from orchestrator.cli.value_completion import complete_release
from orchestrator.runs.settings import Settings


class ReleasesGroup(click.Group):
    """The list of releases, and ``show`` for one of them."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for example in ("releases -e prod", "releases show 12", "releases --format json | jq '.[0].vector'"):
                formatter.write(f"{'':>{formatter.current_indent}}orchestrator {example}\n")


@click.group("releases", cls=ReleasesGroup, invoke_without_command=True)
@format_option("text", "json", help_text="Format of the list.")
@common_options
@click.pass_context
def command(context: click.Context, settings: Settings, output_format: Literal["text", "json"]) -> int:
    """List the releases, and show which can be restored.

    Lists the newest first, with time, author, commit and changes. Checks in AWS that the image, site files, secret
    versions and model of each release still exist.
    """
    if context.invoked_subcommand:
        given = {"environment": settings.environment, "manifests": settings.manifests}
        context.default_map = {context.invoked_subcommand: given}
        return 0
    settings.choose_environment()
    return _list_releases(settings, output_format)


@command.command("show", cls=CliCommand, examples=("orchestrator releases show 12", "orchestrator releases show"))
@click.argument("number", type=click.IntRange(1), required=False, shell_complete=complete_release)
@format_option("text", "json")
@project_options
def show(settings: Settings, number: int | None, output_format: Literal["text", "json"]) -> int:
    """Show the contents of a release: commits, pull requests and authors since the previous release, and changed parts.

    Without a NUMBER, shows the current release.
    """
    from orchestrator import canonical_json
    from orchestrator.problems import ExitCode, Problems
    from orchestrator.release.shipped_commits import list_shipped_commits
    from orchestrator.render import release_contents
    from orchestrator.runs.release_session import open_session

    ledger = open_session(settings).store.read()
    release = ledger.find(number) if number else ledger.current_release
    if release is None:
        raise Problems.from_message(
            f"there is no release {number}" if number else "there are no releases yet",
            hint="run `orchestrator releases` to list them",
        )
    earlier = [item for item in ledger.releases if item.number < release.number and item.is_complete]
    previous = earlier[-1] if earlier else None
    commits = list_shipped_commits(settings.manifests, previous.commit if previous else "", release.commit)
    contents = release_contents.ReleaseContents(
        release, previous, release_contents.list_part_changes(previous, release), commits
    )
    if output_format == "json":
        settings.terminal.print_out(canonical_json.dump(contents).decode() + "\n")
    else:
        is_current = release is ledger.current_release
        settings.terminal.print_out(
            release_contents.render_text(contents, settings.terminal.style, is_current=is_current)
        )
    return ExitCode.OK


def _list_releases(settings: Settings, output_format: Literal["text", "json"]) -> int:
    from orchestrator import canonical_json
    from orchestrator.aws import Reader
    from orchestrator.problems import ExitCode
    from orchestrator.release import rollback
    from orchestrator.render import release_list
    from orchestrator.runs.release_session import open_session

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
