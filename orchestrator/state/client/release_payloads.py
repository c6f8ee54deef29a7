"""The releases of a ledger as the service keeps them: what they are made of, and which can come back.

Asks AWS what is still there, through ``release.restore``.  The ledger stays the truth; the service is told.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from orchestrator.aws import Reader
from orchestrator.problems import Problems
from orchestrator.redaction.redact import redact
from orchestrator.release import Ledger, Release, restorability
from orchestrator.release.ledger_store import Store
from orchestrator.state.client.payloads import clean
from orchestrator.state.protocol.records import ReleaseContent, ReleaseRecord
from orchestrator.state.protocol.requests import Shipped

NEWEST = 8
"""So many are looked at again after every run: older ones were told of before."""


def told(ledger: Ledger, environment: str, run: str, number: int, store: Store, reader: Reader) -> Iterator[Shipped]:
    """The newest releases, oldest first; number ``number`` was made by ``run`` and comes with its content."""
    for release in ledger.releases[-NEWEST:]:
        why = clean("; ".join(restorability.obstacles(ledger, release, store, reader)))
        mine = release.number == number
        shown = replace(release, reason=clean(release.reason))
        record = ReleaseRecord(environment, shown, run if mine else "", not why, why)
        yield Shipped(record, _content(ledger, release, environment, store) if mine else None)


def _content(ledger: Ledger, release: Release, environment: str, store: Store) -> ReleaseContent:
    documents = tuple(replace(one, value=redact(one.value)) for one in ledger.written(release))
    try:
        manifest = restorability.manifest_of(ledger, release, store.environment)
        sites = restorability.artefacts_of(release, manifest, store).sites
    except Problems:  # of a release that cannot come back; its obstacle says so
        sites = {}
    files = {handle: {path: file.sha256 for path, file in site.files.items()} for handle, site in sites.items()}
    return ReleaseContent(environment, release.number, documents, files)
