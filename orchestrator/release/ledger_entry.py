"""Add a release to the ledger: who deployed it, when, from which commit, with what result."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import canonical_json, shell
from orchestrator.release import Ledger, Pin, Release
from orchestrator.release.checkout import ReleaseCandidate
from orchestrator.release.manifest_documents import add_documents, prune_documents
from orchestrator.release.release_retention import select_retained

OWN_FOLDER = ".orchestrator"
"""Where the orchestrator itself writes in a checkout."""


class Origin(Struct, frozen=True):
    """Who started a release, and from which commit; ``uncommitted`` is a hash of changes beyond it, or ""."""

    actor: str
    commit: str
    uncommitted: str = ""


def detect_origin(folder: Path) -> Origin:
    """Return who runs this, and from which commit: git's HEAD, which may differ from the commit of the GitHub event."""
    actor = os.environ.get("GITHUB_ACTOR") or _current_user()
    commit = _head_commit(folder) or os.environ.get("GITHUB_SHA", "")
    return Origin(actor, commit)


class UncommittedChanges(Struct, frozen=True):
    """What a checkout has beyond its commit: a ``digest`` of it, and the changed files that git tracks."""

    digest: str = ""
    tracked_paths: tuple[str, ...] = ()


def find_uncommitted_changes(folder: Path) -> UncommittedChanges:
    """Return what the checkout that contains ``folder`` has beyond its commit; ignored files do not count."""
    if not _head_commit(folder):
        return UncommittedChanges()
    root = Path(shell.run(["git", "rev-parse", "--show-toplevel"], folder=folder, timeout=10).output.strip())
    git = ["git", "-c", "core.quotepath=off"]
    diff = [*git, "diff", "--no-ext-diff", "--no-textconv", "--binary"]
    tracked = shell.run([*diff, "--name-only", "HEAD"], folder=root, timeout=60).output
    listing = [*git, "ls-files", "--others", "--exclude-standard", "--", ".", f":(exclude,glob)**/{OWN_FOLDER}/**"]
    untracked = shell.run(listing, folder=root, timeout=60).output
    if not tracked and not untracked:
        return UncommittedChanges()
    hashes = shell.run(["git", "hash-object", "--stdin-paths"], folder=root, stdin=untracked, timeout=60).output
    content = (shell.run([*diff, "HEAD"], folder=root, timeout=60).output, untracked, hashes)
    return UncommittedChanges(canonical_json.digest(content), tuple(tracked.splitlines()))


def utc_timestamp() -> str:
    """Return the current time in the ledger's format."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def add_release(ledger: Ledger, release: Release, candidate: ReleaseCandidate, pins: tuple[Pin, ...]) -> Ledger:
    """Return ``ledger`` with ``release`` replaced, or appended with the next number, and with ``pins`` as its pins.

    Drops releases beyond the project's ``releases.keep``, and documents that no release needs.
    """
    updated = add_documents(ledger, candidate.documents)
    if release.number:
        releases = tuple(release if item.number == release.number else item for item in ledger.releases)
    else:
        releases = (*ledger.releases, replace(release, number=ledger.next_number))
    project = next(item for item in candidate.desired.components if item.kind == "Project")
    updated = replace(updated, releases=releases, pins=pins)
    return prune_documents(replace(updated, releases=select_retained(updated, int(project.spec["releases"]["keep"]))))


def _current_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _head_commit(folder: Path) -> str:
    if shell.which("git") is None or not folder.is_dir():
        return ""
    result = shell.run(["git", "rev-parse", "HEAD"], folder=folder, timeout=10)
    return result.output.strip() if result.exit_code == 0 else ""
