"""List the commits and pull requests between two releases, from the history of the checkout.  Runs git.

A pull request is recognised by what GitHub writes into the commit of its merge: "Merge pull request #12 from ..." or
"Title (#12)".  Those of a rebase merge have no number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from orchestrator import shell
from orchestrator.redaction.redact import sanitise

MAX_COMMITS = 100
"""Commits of one list; the rest is counted."""
TIMEOUT_SECONDS = 20
_FORMAT = "%H%x1f%aI%x1f%an%x1f%s%x1f%b%x1e"
_MERGE_SUBJECT = re.compile(r"Merge pull request #(\d{1,9}) from \S+")
_SQUASH_SUBJECT = re.compile(r"(.*\S) \(#(\d{1,9})\)")
_SHA = re.compile(r"[0-9a-f]{7,64}")


class ShippedCommit(Struct, frozen=True):
    """One commit of the main branch: ``at`` in ISO 8601, the title of its pull request or its own, its author."""

    sha: str
    at: str
    author: str
    title: str
    pull_request: int | None = None


class ShippedCommits(Struct, frozen=True):
    """The commits between two releases, newest first.

    ``removed`` are those of the earlier release that the later one does not have, as after a rollback.  ``omitted`` is
    the number of further ones, ``problem`` why they cannot be listed, "" if they can.
    """

    added: tuple[ShippedCommit, ...] = ()
    removed: tuple[ShippedCommit, ...] = ()
    omitted: int = 0
    problem: str = ""

    @property
    def pull_requests(self) -> tuple[int, ...]:
        """The numbers of the added pull requests, newest first."""
        return tuple(commit.pull_request for commit in self.added if commit.pull_request is not None)


def list_shipped_commits(folder: Path, before: str, after: str) -> ShippedCommits:
    """Return the commits of the main branch between two commits; each pull request is one."""
    if not before or not after:
        return ShippedCommits(problem="a release was created outside a git repository")
    problem = _find_problem(folder, (before, after))
    if problem:
        return ShippedCommits(problem=problem)
    added, removed = (tuple(_iter_commits(folder, span)) for span in (f"{before}..{after}", f"{after}..{before}"))
    omitted = max(0, len(added) - MAX_COMMITS) + max(0, len(removed) - MAX_COMMITS)
    return ShippedCommits(added[:MAX_COMMITS], removed[:MAX_COMMITS], omitted)


def find_commit(folder: Path, pull_request: int) -> ShippedCommit | None:
    """Return the commit that merged a pull request into the checked-out branch, or None."""
    if shell.which("git") is None:
        return None
    return next((commit for commit in _iter_commits(folder, "HEAD") if commit.pull_request == pull_request), None)


def resolve_commit(folder: Path, revision: str) -> ShippedCommit | None:
    """Return a commit of the repository by its hash, or None."""
    if not _SHA.fullmatch(revision) or shell.which("git") is None:
        return None
    return next(_iter_commits(folder, revision, "--max-count=1"), None)


def contains(folder: Path, commit: str, ancestor: str) -> bool:
    """Return whether ``ancestor`` is ``commit`` or one of those before it."""
    return _git(folder, "merge-base", "--is-ancestor", ancestor, commit) is not None


def _find_problem(folder: Path, commits: tuple[str, ...]) -> str:
    """Return why the history between commits cannot be read, "" if it can."""
    if shell.which("git") is None:
        return "git is not installed"
    missing = [commit for commit in commits if _git(folder, "cat-file", "-e", f"{commit}^{{commit}}") is None]
    is_shallow = (_git(folder, "rev-parse", "--is-shallow-repository") or "").strip() == "true"
    if is_shallow:
        return "this clone is shallow: run `git fetch --unshallow`"
    return f"commit {missing[0][:12]} is not in this clone: run `git fetch`" if missing else ""


def _iter_commits(folder: Path, span: str, *options: str) -> Iterator[ShippedCommit]:
    output = _git(folder, "log", "--first-parent", *options, f"--format={_FORMAT}", span, "--") or ""
    for record in output.split("\x1e"):
        fields = record.strip("\n").split("\x1f")
        if len(fields) == 5:
            yield _parse_commit(*fields)


def _parse_commit(sha: str, at: str, author: str, subject: str, body: str) -> ShippedCommit:
    title, number = subject, None
    if merge := _MERGE_SUBJECT.match(subject):
        title, number = body.strip().partition("\n")[0] or subject, int(merge[1])
    elif squash := _SQUASH_SUBJECT.fullmatch(subject):
        title, number = squash[1], int(squash[2])
    return ShippedCommit(sha, at, sanitise(author[:100]), sanitise(title[:200]), number)


def _git(folder: Path, *arguments: str) -> str | None:
    """Return the output of git in a folder, None if it fails."""
    result = shell.run(["git", "--no-pager", *arguments], folder=folder, timeout=TIMEOUT_SECONDS)
    return None if result.exit_code else result.output
