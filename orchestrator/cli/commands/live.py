"""``orchestrator live``: say whether a pull request or commit is live in an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import project_options
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.release.shipped_commits import ShippedCommit


@cli_command("live", "orchestrator live 123 -e prod", "orchestrator live 4f2a9c1")
@click.argument("change", metavar="PULL-REQUEST|COMMIT")
@project_options
def command(settings: Settings, change: str) -> int:
    """Show whether a pull request or commit is live.

    Compares it with the commits that the parts of the current release were built from: after a rollback, some parts can
    be older than others. Exits 0 if every part contains it, otherwise 1.
    """
    from orchestrator.problems import ExitCode, Problems
    from orchestrator.release import live_parts, shipped_commits
    from orchestrator.runs.release_session import open_session

    session = open_session(settings)
    ledger, environment = session.store.read(), session.store.environment
    parts = live_parts.find_live_parts(ledger)
    if not parts:
        raise Problems.from_message(f"{environment} has no complete release yet", hint="run `orchestrator releases`")
    commit = _find_change(settings, change)
    having = [part for part in parts if shipped_commits.contains(settings.manifests, part.release.commit, commit.sha)]
    number = f"#{commit.pull_request}" if commit.pull_request else commit.sha[:8]
    title = f"{number} ({commit.title}, {commit.author})"
    if not having:
        settings.terminal.print_out(f"{title} is not live in {environment}.")
        return ExitCode.FAILED
    first = next(
        (
            release
            for release in ledger.releases
            if release.is_complete and shipped_commits.contains(settings.manifests, release.commit, commit.sha)
        ),
        having[0].release,
    )
    since = f"since release {first.number} ({first.at[:10]})"
    if len(having) == len(parts):
        settings.terminal.print_out(f"{title} is live in {environment} {since}.")
        return ExitCode.OK
    missing = ", ".join(f"{part.name} of release {part.release.number}" for part in parts if part not in having)
    settings.terminal.print_out(
        f"{title} is partly live in {environment}, {since}; not live: {missing}, which is pinned."
    )
    settings.terminal.print_out("To see why and how to deploy it: orchestrator status")
    return ExitCode.FAILED


def _find_change(settings: Settings, change: str) -> ShippedCommit:
    """Return the commit of a pull request's merge, or of a hash.  Raises Problems if the history does not show it."""
    from orchestrator.problems import Problems
    from orchestrator.release import shipped_commits

    number = change.removeprefix("#")
    commit = None
    if number.isdecimal() and len(number) < 7:
        commit = shipped_commits.find_commit(settings.manifests, int(number))
    commit = commit or shipped_commits.resolve_commit(settings.manifests, change.lower())
    if commit is None:
        raise Problems.from_message(
            f"the history of this checkout contains neither a merge of pull request #{number} nor a commit {change}",
            hint="run `git fetch` and check out the main branch; after a rebase merge, pass a commit instead",
        )
    return commit
