"""Build the release records of the state service from the ledger: contents, and which can be restored.

Reads AWS to find what still exists, through ``release.rollback``.  The ledger remains the source of truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from orchestrator.aws import Reader
from orchestrator.problems import Problems
from orchestrator.redaction.redact import redact
from orchestrator.release import Ledger, Pin, Release, restorability, rollback
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.release.shipped_commits import ShippedCommits, list_shipped_commits
from orchestrator.state.client.payloads import clean_text
from orchestrator.state.protocol.records import ReleaseContent, ReleaseRecord, Run
from orchestrator.state.protocol.requests import ReleasePayload

MAX_RELEASES = 8
"""Number of newest releases reported after a run, which must not wait for more; the check for drift reports all."""


def build_release_payloads(
    ledger: Ledger,
    environment: str,
    run: Run | None,
    store: LedgerStore,
    reader: Reader,
    folder: Path,
    *,
    max_releases: int = MAX_RELEASES,
) -> Iterator[ReleasePayload]:
    """Yield the ``max_releases`` newest releases, oldest first; without a ``run``, all of them.

    The release of ``run`` was made from the checkout of ``folder``; it includes its content and its commits.
    """
    for release in ledger.releases[-max_releases:] if run else ledger.releases:
        obstacles = rollback.find_obstacles(ledger, release, store, reader)
        obstacle = clean_text("; ".join(problem.message for problem in obstacles))
        made_by = run if run is not None and release.number == run.release else None
        cleaned = replace(release, reason=clean_text(release.reason))
        record = ReleaseRecord(environment, cleaned, made_by.id if made_by else "", not obstacle, obstacle)
        if release is ledger.last_complete:
            record = replace(record, pins=tuple(map(_clean_pin, ledger.pins)))
        if release is ledger.releases[-1]:
            record = replace(record, listed=tuple(item.number for item in ledger.releases))
        if made_by:
            record = replace(record, commits=_list_commits(ledger, release, folder))
        yield ReleasePayload(record, _build_content(ledger, release, environment, store) if made_by else None)


def _clean_pin(pin: Pin) -> Pin:
    return replace(pin, reason=clean_text(pin.reason))


def _list_commits(ledger: Ledger, release: Release, folder: Path) -> ShippedCommits | None:
    """Return the commits since the complete release before this one; None for the first."""
    earlier = [item for item in ledger.releases if item.number < release.number and item.is_complete]
    return list_shipped_commits(folder, earlier[-1].commit, release.commit) if earlier else None


def _build_content(ledger: Ledger, release: Release, environment: str, store: LedgerStore) -> ReleaseContent:
    documents = tuple(replace(document, value=redact(document.value)) for document in ledger.documents_of(release))
    try:
        manifest = restorability.load_manifest(ledger, release, store.environment)
        sites = restorability.load_artefacts(release, manifest, store).sites
    except Problems:  # the release cannot be restored; its obstacle says why
        sites = {}
    files = {handle: {path: file.sha256 for path, file in site.files.items()} for handle, site in sites.items()}
    return ReleaseContent(environment, release.number, documents, files)
