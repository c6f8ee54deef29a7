"""Load the checkout to deploy and apply the pins of earlier rollbacks to it.  Reads files and the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator.artefacts import Artefacts, Site
from orchestrator.artefacts.collect import collect_artefacts
from orchestrator.components import Stack
from orchestrator.manifest import check, expand
from orchestrator.manifest.check import Manifest
from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.release import Ledger, ManifestDocument, manifest_documents, pins
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.release.pins import PinResolution
from orchestrator.vocabulary import DesiredState

if TYPE_CHECKING:
    from orchestrator.aws import Clients


class ReleaseCandidate(Struct, frozen=True):
    """Desired resources and their sources.  ``store`` is None if the project has no release bucket.

    ``clients`` are kept for reuse because creating each one takes a tenth of a second.
    """

    desired: DesiredState
    artefacts: Artefacts
    documents: Mapping[str, ManifestDocument]
    store: LedgerStore | None = None
    ledger: Ledger = field(default_factory=Ledger)
    pin_resolution: PinResolution = field(default_factory=PinResolution)
    clients: Clients | None = None


def load(folder: Path, environment: str | None = None, clients: Clients | None = None) -> ReleaseCandidate:
    """Load the checkout's manifests and artefacts, with the ledger's pins applied.

    Raises Problems if they are invalid, or the release bucket cannot be read.
    """
    return from_manifest(pipeline.validate(folder, environment), clients)


def from_manifest(manifest: Manifest, clients: Clients | None = None) -> ReleaseCandidate:
    """Build the release candidate of manifests that have been checked already.  Raises Problems."""
    clients = clients or _create_clients(manifest)
    store = find_store(manifest, clients)
    ledger = store.read() if store else Ledger()
    checkout_documents = manifest_documents.from_manifest(manifest)
    replacements, document_pins = pins.resolve_documents(ledger, checkout_documents)
    if replacements:
        merged_sources = manifest_documents.replace_documents(manifest.sources, manifest.environment, replacements)
        manifest = check.check(merged_sources, manifest.environment)
    stack = expand.build_stack(manifest)
    artefacts, pin_resolution = _apply_pins(
        store, ledger, collect_artefacts(stack.components.values()), checkout_documents, stack
    )
    pin_resolution = document_pins + pin_resolution
    artefacts = replace(artefacts, notes=(*artefacts.notes, *pin_resolution.notes))
    final_documents = manifest_documents.from_manifest(manifest)
    return ReleaseCandidate(
        expand.expand(manifest, artefacts), artefacts, final_documents, store, ledger, pin_resolution, clients
    )


def find_store(manifest: Manifest, clients: Clients | None = None) -> LedgerStore | None:
    """Return the ledger store in the project's release bucket, or None if the project has no release bucket.

    Raises Problems at once if AWS is unreachable, where a read would retry for half a minute.
    """
    bucket = expand.build_stack(manifest).release_bucket
    if bucket is None:
        return None
    clients = clients or _create_clients(manifest)
    pipeline.check_connection(clients)
    return LedgerStore(clients, bucket, manifest.environment)


def _create_clients(manifest: Manifest) -> Clients:
    from orchestrator.aws import Clients

    return Clients(manifest.scope.region)


def require_store(manifest: Manifest, clients: Clients | None = None) -> LedgerStore:
    """Return the ledger store in the project's release bucket.

    Raises Problems if the project has none.
    """
    store = find_store(manifest, clients)
    if store is None:
        raise Problems.from_message(
            "the Project has no release bucket; deploys and rollbacks need one",
            where=manifest.project.where,
            hint="declare a Bucket `releases`, and add `releases: {bucket: bucket.releases}` to the Project",
        )
    return store


def load_site(store: LedgerStore, bucket: str, digest: str) -> Site:
    """Load an earlier site from its index.

    Raises Problems if the index is missing.
    """
    stored_site = store.load_site(bucket, digest)
    if stored_site is None:
        raise Problems.from_message(
            f"cannot restore site {digest[:12]}: its index is missing from s3://{store.bucket}",
            hint="list the releases that can be restored: orchestrator releases",
        )
    return stored_site


def _apply_pins(
    store: LedgerStore | None,
    ledger: Ledger,
    artefacts: Artefacts,
    checkout_documents: Mapping[str, ManifestDocument],
    stack: Stack,
) -> tuple[Artefacts, PinResolution]:
    if store is None or not ledger.pins:
        return artefacts, PinResolution()
    artefacts, image_pins = pins.resolve_images(ledger, artefacts)
    pinned_digests, site_pins = pins.resolve_sites(ledger, artefacts)
    pinned_secrets, secret_pins = pins.resolve_secrets(ledger, checkout_documents)
    earlier_sites = {
        name: load_site(store, str(stack.get_export(name, "name")), digest) for name, digest in pinned_digests.items()
    }
    updated_artefacts = replace(
        artefacts, sites={**artefacts.sites, **earlier_sites}, secrets={**artefacts.secrets, **pinned_secrets}
    )
    return updated_artefacts, image_pins + site_pins + secret_pins
