"""Load the checkout to deploy and apply the pins of earlier rollbacks to it.  Reads files and the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator.artefacts import Artefacts, Image, Site
from orchestrator.artefacts.collect import collect_artefacts
from orchestrator.artefacts.migrations.changed_scripts import note_destructive_statements
from orchestrator.manifest import check, expand
from orchestrator.manifest.check import Manifest
from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.release import Ledger, ManifestDocument, Release, manifest_documents, moved_bases, pins
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.release.pins import PinResolution
from orchestrator.secret_rotation import Rotation
from orchestrator.vocabulary import DesiredState

if TYPE_CHECKING:
    from orchestrator.artefacts.images.base_image import FindDigest
    from orchestrator.artefacts.images.built_image import BuiltImages
    from orchestrator.aws import Clients
    from orchestrator.release.promotion import Promotion, PromotionRequest


class ReleaseCandidate(Struct, frozen=True):
    """Desired resources and their sources.  ``store`` is None if the project has no release bucket.

    ``clients`` are kept for reuse because creating each one takes a tenth of a second.  ``promotion`` is what comes
    from another environment, None if everything is built here.
    """

    desired: DesiredState
    artefacts: Artefacts
    documents: Mapping[str, ManifestDocument]
    store: LedgerStore | None = None
    ledger: Ledger = field(default_factory=Ledger)
    pin_resolution: PinResolution = field(default_factory=PinResolution)
    clients: Clients | None = None
    promotion: Promotion | None = None


def load(
    folder: Path, environment: str | None = None, clients: Clients | None = None, *, is_promoting: bool = True
) -> ReleaseCandidate:
    """Load the checkout's manifests and artefacts, with the ledger's pins applied.

    Without ``is_promoting``, what an environment gets from another stays as it is.  Raises Problems if they are
    invalid, or the release bucket cannot be read.
    """
    return from_manifest(pipeline.validate(folder, environment), clients, is_promoting=is_promoting)


def from_manifest(
    manifest: Manifest,
    clients: Clients | None = None,
    rebuild: str = "",
    built_images: BuiltImages | None = None,
    *,
    request: PromotionRequest | None = None,
    is_promoting: bool = True,
    rotations: Mapping[str, Rotation] = MappingProxyType({}),
) -> ReleaseCandidate:
    """Build the release candidate of manifests that have been checked already.

    ``rebuild`` names a run that builds every image again.  ``built_images`` were built by another job, and are
    pushed instead of built again if their inputs are those of the checkout.  ``request`` asks for a promotion; without
    ``is_promoting``, what the environment gets from another stays as it is.  ``rotations`` are the Secrets whose values
    are generated again, by handle.  Raises Problems.
    """
    clients = clients or _create_clients(manifest)
    store = find_store(manifest, clients)
    ledger = store.read() if store else Ledger()
    checkout_documents = manifest_documents.from_manifest(manifest)
    promotion, artefacts = _collect_artefacts(manifest, ledger, clients, request, is_promoting=is_promoting)
    if rebuild:
        images = {handle: replace(image, rebuild=rebuild) for handle, image in artefacts.images.items()}
        artefacts = replace(artefacts, images=images)
    elif built_images is not None:
        artefacts = replace(artefacts, images=built_images.attach_to(artefacts.images))
    artefacts = replace(artefacts, rotations=rotations)
    base = ledger.last_complete
    resolution = pins.resolve(ledger, checkout_documents, artefacts) if base else PinResolution()
    if promotion is not None and promotion.is_held:
        resolution = PinResolution(ledger.pins)
    _check_rotations(rotations, resolution)
    if store is not None and base is not None and resolution.held:
        manifest = _hold_manifest(ledger, base, resolution, checkout_documents, manifest)
        artefacts = _hold_artefacts(base, resolution, manifest, store, artefacts)
        promotion = replace(promotion, release=None, origin=base.promoted_from) if promotion is not None else None
    desired = expand.expand(manifest, artefacts)
    migration_notes = note_destructive_statements(desired.components, base.commit if base else "")
    base_notes = moved_bases.list_notes(ledger, artefacts.images)
    notes = tuple(dict.fromkeys((*resolution.notes, *desired.notes, *migration_notes, *base_notes)))
    desired = replace(desired, notes=notes, retained=frozenset(ledger.retained))
    final_documents = manifest_documents.from_manifest(manifest)
    return ReleaseCandidate(desired, artefacts, final_documents, store, ledger, resolution, clients, promotion)


def _collect_artefacts(
    manifest: Manifest, ledger: Ledger, clients: Clients, request: PromotionRequest | None, *, is_promoting: bool
) -> tuple[Promotion | None, Artefacts]:
    """Return what comes from another environment, and all artefacts, with those that are built from the checkout."""
    from orchestrator.release import promotion as promotions

    rules = promotions.find_rules(manifest, request)
    own_components = promotions.list_own_components(manifest, rules)
    own = collect_artefacts(own_components, _create_digest_finder(clients))
    if rules is None:
        return None, own
    promotion = promotions.select(manifest, ledger, clients, rules, request, is_promoting=is_promoting)
    return promotion, promotions.merge(own, promotion)


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

    return Clients.for_scope(manifest.scope)


def _create_digest_finder(clients: Clients) -> FindDigest:
    from orchestrator.aws.ecr_digests import create_digest_finder

    return create_digest_finder(clients)


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


def _hold_manifest(
    ledger: Ledger,
    base: Release,
    resolution: PinResolution,
    checkout_documents: Mapping[str, ManifestDocument],
    manifest: Manifest,
) -> Manifest:
    """Return ``manifest`` with what is served as in the ``base`` release; all of that release if they do not fit."""
    replacements = pins.hold_documents(ledger, base, resolution.held, checkout_documents)
    merged = manifest_documents.replace_documents(manifest.sources, manifest.environment, replacements)
    try:
        return check.check(merged, manifest.environment) if replacements else manifest
    except Problems:
        sources = manifest_documents.build_sources(ledger.documents_of(base), manifest.environment)
        return check.check(sources, manifest.environment)


def _hold_artefacts(
    base: Release, resolution: PinResolution, manifest: Manifest, store: LedgerStore, artefacts: Artefacts
) -> Artefacts:
    """Return the images and sites of the ``base`` release, and its versions of pinned secrets."""
    exports = expand.build_stack(manifest).exports_by_handle
    pinned_secrets = {pin.part.partition(":")[2] for pin in resolution.held if pin.part.startswith("secret:")}
    return Artefacts(
        images={
            handle: Image(image.tag, digest=image.digest)
            for handle, image in base.vector.images.items()
            if image.tag and handle in exports
        },
        sites={
            handle: load_site(store, str(exports[handle]["name"]), digest)
            for handle, digest in base.vector.sites.items()
            if handle in exports
        },
        secrets={
            handle: version
            for handle, version in base.vector.secrets.items()
            if handle in pinned_secrets and handle in exports
        },
        rotations=artefacts.rotations,
        notes=artefacts.notes,
    )


def _check_rotations(rotations: Mapping[str, Rotation], resolution: PinResolution) -> None:
    """Raise Problems if a rollback holds back a version of a Secret whose values are to be generated again."""
    held = {pin.part for pin in resolution.held}
    if pinned := [handle for handle in rotations if f"secret:{handle}" in held]:
        raise Problems.from_message(
            f"a rollback pinned {pinned[0]} to an earlier version, so services would not receive new values",
            hint=f"run `orchestrator unpin secret:{pinned[0]}`, then rotate again; nothing was changed",
        )
