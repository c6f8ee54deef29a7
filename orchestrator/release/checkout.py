"""What is to be deployed: the checkout, with what earlier rollbacks hold back.  Reads files and the ledger."""

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
    """Desired resources with where they come from; ``store`` is None where the project keeps no releases.

    ``clients`` asked the release bucket, and are there for what follows: each costs a tenth of a second to make.
    """

    desired: DesiredState
    artefacts: Artefacts
    documents: Mapping[str, ManifestDocument]
    store: LedgerStore | None = None
    ledger: Ledger = field(default_factory=Ledger)
    pin_resolution: PinResolution = field(default_factory=PinResolution)
    clients: Clients | None = None


def load(folder: Path, environment: str | None = None, clients: Clients | None = None) -> ReleaseCandidate:
    """The checkout's manifests and files, and what the ledger says of them.

    Raises Problems.
    """
    return from_manifest(pipeline.validate(folder, environment), clients)


def from_manifest(manifest: Manifest, clients: Clients | None = None) -> ReleaseCandidate:
    """As ``of``, for manifests that were checked already."""
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
    """The release bucket of a project, or None where it names none.

    Raises Problems when AWS is out of reach: at once, where a read would try for half a minute.
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
    """The release bucket.

    Raises Problems where the project names none.
    """
    store = find_store(manifest, clients)
    if store is None:
        raise Problems.from_message(
            "the Project names no bucket for its releases, so there is nothing to deploy to or to go back to",
            where=manifest.project.where,
            hint="declare a Bucket `releases`, and in the Project: releases: {bucket: bucket.releases}",
        )
    return store


def load_site(store: LedgerStore, bucket: str, digest: str) -> Site:
    """An earlier site by its index.

    Raises Problems when its index is gone.
    """
    stored_site = store.load_site(bucket, digest)
    if stored_site is None:
        raise Problems.from_message(
            f"the index of site {digest[:12]} is gone from s3://{store.bucket}; it cannot come back",
            hint="orchestrator releases shows what can",
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
