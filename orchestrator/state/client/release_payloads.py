"""Build the release records of the state service from the ledger: contents, and which can be restored.

Reads AWS to find what still exists, through ``release.rollback``.  The ledger remains the source of truth.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from orchestrator.aws import Reader
from orchestrator.problems import Problems
from orchestrator.redaction.redact import redact
from orchestrator.release import Ledger, Release, restorability, rollback
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.state.client.payloads import clean_text
from orchestrator.state.protocol.records import ReleaseContent, ReleaseRecord
from orchestrator.state.protocol.requests import ReleasePayload

MAX_RELEASES = 8
"""Number of newest releases reported after every run; older ones were reported before."""


def build_release_payloads(
    ledger: Ledger, environment: str, run: str, number: int, store: LedgerStore, reader: Reader
) -> Iterator[ReleasePayload]:
    """Yield the newest releases, oldest first; release ``number`` was made by ``run`` and includes its content."""
    for release in ledger.releases[-MAX_RELEASES:]:
        obstacles = rollback.find_obstacles(ledger, release, store, reader)
        obstacle = clean_text("; ".join(problem.message for problem in obstacles))
        is_current_run = release.number == number
        cleaned = replace(release, reason=clean_text(release.reason))
        record = ReleaseRecord(environment, cleaned, run if is_current_run else "", not obstacle, obstacle)
        yield ReleasePayload(record, _build_content(ledger, release, environment, store) if is_current_run else None)


def _build_content(ledger: Ledger, release: Release, environment: str, store: LedgerStore) -> ReleaseContent:
    documents = tuple(replace(document, value=redact(document.value)) for document in ledger.documents_of(release))
    try:
        manifest = restorability.load_manifest(ledger, release, store.environment)
        sites = restorability.load_artefacts(release, manifest, store).sites
    except Problems:  # the release cannot be restored; its obstacle says why
        sites = {}
    files = {handle: {path: file.sha256 for path, file in site.files.items()} for handle, site in sites.items()}
    return ReleaseContent(environment, release.number, documents, files)
