"""What is to be deployed: the checkout, with what earlier rollbacks hold back.  Reads files and the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator.artefacts import Artefacts, Site
from orchestrator.artefacts.collect import gather
from orchestrator.components import Stack
from orchestrator.manifest import check, expand
from orchestrator.manifest.check import Manifest
from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.release import Ledger, Written, manifest_documents, pins
from orchestrator.release.ledger_store import Store
from orchestrator.release.pins import Honoured
from orchestrator.vocabulary import Desired

if TYPE_CHECKING:
    from orchestrator.aws import Clients


class Wanted(Struct, frozen=True):
    """Desired resources with where they come from; ``store`` is None where the project keeps no releases.

    ``clients`` asked the release bucket, and are there for what follows: each costs a tenth of a second to make.
    """

    desired: Desired
    artefacts: Artefacts
    documents: Mapping[str, Written]
    store: Store | None = None
    ledger: Ledger = field(default_factory=Ledger)
    pins: Honoured = field(default_factory=Honoured)
    clients: Clients | None = None


def of(folder: Path, environment: str | None = None, clients: Clients | None = None) -> Wanted:
    """The checkout's manifests and files, and what the ledger says of them.

    Raises Problems.
    """
    return of_manifest(pipeline.validate(folder, environment), clients)


def of_manifest(manifest: Manifest, clients: Clients | None = None) -> Wanted:
    """As ``of``, for manifests that were checked already."""
    clients = clients or _clients(manifest)
    store = store_of(manifest, clients)
    ledger = store.read() if store else Ledger()
    wanted = manifest_documents.written(manifest)
    instead, held = pins.documents(ledger, wanted)
    if instead:
        mixed = manifest_documents.substitute(manifest.sources, manifest.environment, instead)
        manifest = check.check(mixed, manifest.environment)
    stack = expand.stack_of(manifest)
    artefacts, honoured = _held_back(store, ledger, gather(stack.components.values()), wanted, stack)
    honoured = held + honoured
    artefacts = replace(artefacts, notes=(*artefacts.notes, *honoured.notes))
    now = manifest_documents.written(manifest)
    return Wanted(expand.expand(manifest, artefacts), artefacts, now, store, ledger, honoured, clients)


def store_of(manifest: Manifest, clients: Clients | None = None) -> Store | None:
    """The release bucket of a project, or None where it names none.

    Raises Problems when AWS is out of reach: at once, where a read would try for half a minute.
    """
    bucket = expand.stack_of(manifest).release_bucket
    if bucket is None:
        return None
    clients = clients or _clients(manifest)
    pipeline.reach(clients)
    return Store(clients, bucket, manifest.environment)


def _clients(manifest: Manifest) -> Clients:
    from orchestrator.aws import Clients

    return Clients(manifest.scope.region)


def demand(manifest: Manifest, clients: Clients | None = None) -> Store:
    """The release bucket.

    Raises Problems where the project names none.
    """
    store = store_of(manifest, clients)
    if store is None:
        raise Problems.one(
            "the Project names no bucket for its releases, so there is nothing to deploy to or to go back to",
            where=manifest.project.where,
            hint="declare a Bucket `releases`, and in the Project: releases: {bucket: bucket.releases}",
        )
    return store


def site(store: Store, bucket: str, digest: str) -> Site:
    """An earlier site by its index.

    Raises Problems when its index is gone.
    """
    found = store.site(bucket, digest)
    if found is None:
        raise Problems.one(
            f"the index of site {digest[:12]} is gone from s3://{store.bucket}; it cannot come back",
            hint="orchestrator releases shows what can",
        )
    return found


def _held_back(
    store: Store | None,
    ledger: Ledger,
    artefacts: Artefacts,
    wanted: Mapping[str, Written],
    stack: Stack,
) -> tuple[Artefacts, Honoured]:
    if store is None or not ledger.pins:
        return artefacts, Honoured()
    artefacts, images = pins.images(ledger, artefacts)
    digests, sites = pins.sites(ledger, artefacts)
    secrets, versions = pins.secrets(ledger, wanted)
    earlier = {name: site(store, str(stack.export(name, "name")), digest) for name, digest in digests.items()}
    changed = replace(artefacts, sites={**artefacts.sites, **earlier}, secrets={**artefacts.secrets, **secrets})
    return changed, images + sites + versions
