"""Writing a release down: who, when, from which commit, and what it came to."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import shell
from orchestrator.release import Ledger, Pin, Release
from orchestrator.release.checkout import Wanted
from orchestrator.release.manifest_documents import forget, remember

FAILURES = 20
"""Failed releases that are remembered; they hold nothing that one could go back to."""


class Origin(Struct, frozen=True):
    """Where a release comes from."""

    by: str
    commit: str


def origin(folder: Path) -> Origin:
    """Who runs this, from which commit: git's HEAD, because a run may check out another commit than its event's."""
    by = os.environ.get("GITHUB_ACTOR") or _user()
    commit = _head(folder) or os.environ.get("GITHUB_SHA", "")
    return Origin(by, commit)


def now() -> str:
    """The time as a ledger writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def entry(ledger: Ledger, release: Release, wanted: Wanted, pins: tuple[Pin, ...]) -> Ledger:
    """``ledger`` with ``release`` in its place, or at the end with a number of its own, and these ``pins``.

    No more releases are kept than the project says, and no documents that none of them needs.
    """
    longer = remember(ledger, wanted.documents)
    if release.number:
        releases = tuple(release if one.number == release.number else one for one in ledger.releases)
    else:
        releases = (*ledger.releases, replace(release, number=ledger.next_number))
    project = next(one for one in wanted.desired.components if one.kind == "Project")
    longer = replace(longer, releases=releases, pins=pins)
    return forget(replace(longer, releases=retained(longer, int(project.spec["releases"]["keep"]))))


def retained(ledger: Ledger, keep: int) -> tuple[Release, ...]:
    """The newest ``keep`` releases that did not fail, what pins lead to, and the newest failures; oldest first."""
    good = [release for release in ledger.releases if release.is_whole]
    bad = [release for release in ledger.releases if not release.is_whole]
    needed = {pin.release for pin in ledger.pins} | {pin.left for pin in ledger.pins}
    kept = {release.number for release in (*good[-keep:], *bad[-FAILURES:])} | needed
    return tuple(release for release in ledger.releases if release.number in kept)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _head(folder: Path) -> str:
    if shell.which("git") is None or not folder.is_dir():
        return ""
    ran = shell.run(["git", "rev-parse", "HEAD"], folder=folder, timeout=10)
    return ran.output.strip() if ran.status == 0 else ""
