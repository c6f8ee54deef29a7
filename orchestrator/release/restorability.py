"""Check whether a release can be restored.  Asks AWS, because what the ledger lists may have been deleted.

Reads only.  API: ECR BatchGetImage, S3 HeadObject and ListObjectsV2, Secrets Manager ListSecretVersionIds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.artefacts import Artefacts, Image, Site, SiteFile
from orchestrator.aws import Reader
from orchestrator.aws.errors import AwsError
from orchestrator.manifest import check, expand
from orchestrator.manifest.check import Manifest
from orchestrator.problems import Problems
from orchestrator.release import Ledger, Release, manifest_documents
from orchestrator.release.checkout import ReleaseCandidate, load_site
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.release.live_versions import MODELS_PREFIX, is_model_bucket
from orchestrator.resources.s3_site.live_site import ARCHIVE_PREFIX
from orchestrator.vocabulary import DesiredState

T = TypeVar("T")
UNCHECKED_PREFIX = "it cannot be checked: "
"""Begins the sentence about a release of which AWS did not say what exists."""
NOT_FOUND_CODES = (
    "ResourceNotFoundException",
    "RepositoryNotFoundException",
    "ImageNotFoundException",
    "NoSuchBucket",
    "404",
)


class RestoredRelease(Struct, frozen=True):
    """A release's manifests, checked again, and its artefacts: everything needed to plan for it."""

    manifest: Manifest
    artefacts: Artefacts


def load_manifest(ledger: Ledger, release: Release, environment: str) -> Manifest:
    """Load the manifests of an earlier release.

    Raises Problems if they do not pass today's checks.
    """
    return check.check(manifest_documents.build_sources(ledger.documents_of(release), environment), environment)


def load_artefacts(
    release: Release, manifest: Manifest, store: LedgerStore, parts: frozenset[str] | None = None
) -> Artefacts:
    """Load what an earlier release, or ``parts`` of it, shipped, by digest: nothing is built again.

    Raises Problems if the index of a site is missing.
    """
    exports = expand.build_stack(manifest).exports_by_handle
    vector = release.vector

    def is_needed(kind: str, handle: str) -> bool:
        return handle in exports and (parts is None or f"{kind}:{handle}" in parts)

    return Artefacts(
        images={
            handle: Image(image.tag, {}, image.digest)
            for handle, image in vector.images.items()
            if image.tag and is_needed("image", handle)
        },
        sites={
            handle: load_site(store, str(exports[handle]["name"]), digest)
            for handle, digest in release.vector.sites.items()
            if is_needed("site", handle)
        },
        secrets={handle: version for handle, version in vector.secrets.items() if is_needed("secret", handle)},
        models={handle: version for handle, version in vector.models.items() if is_needed("model", handle)},
    )


def load_candidate(ledger: Ledger, release: Release, store: LedgerStore) -> ReleaseCandidate:
    """Load an earlier release as a candidate to plan for.

    Raises Problems if its manifests are invalid today, or the index of a site is missing.
    """
    manifest = load_manifest(ledger, release, store.environment)
    artefacts = load_artefacts(release, manifest, store)
    documents_by_handle = {
        manifest_documents.document_handle(document): document for document in ledger.documents_of(release)
    }
    desired = expand_retaining(manifest, artefacts, ledger)
    return ReleaseCandidate(desired, artefacts, documents_by_handle, store, ledger)


def expand_retaining(manifest: Manifest, artefacts: Artefacts, ledger: Ledger) -> DesiredState:
    """Expand an earlier release; what a newer one added and what holds data is retained."""
    desired = expand.expand(manifest, artefacts)
    return replace(desired, retained=frozenset(ledger.retained), retains_data=True)


def find_missing(
    ledger: Ledger,
    release: Release,
    store: LedgerStore,
    reader: Reader,
    parts: frozenset[str] | None = None,
    live_models: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Return what a release or its ``parts`` need and AWS no longer has, one sentence each; ``rollback`` asks more.

    Only what a part needs is asked for: a site can come back without the image of its release, and a model that is live
    needs nothing (``live_models``, by handle).
    """
    if not release.is_complete:
        return ("it failed or did not finish",)
    try:
        manifest = load_manifest(ledger, release, store.environment)
        artefacts = load_artefacts(release, manifest, store, parts)
        models = dict(artefacts.models.items() - (live_models or {}).items())
        artefacts = replace(artefacts, models=models)
        desired = expand.expand(manifest, _with_images(release, artefacts))
    except Problems as load_error:
        return tuple(problem.message for problem in load_error.problems)
    missing: list[str] = []
    try:
        for sentence in _find_missing(desired, artefacts, store, reader):
            missing.append(sentence)  # noqa: PERF402 - what was found before an error counts
    except AwsError as error:
        missing.append(f"{UNCHECKED_PREFIX}{error}")
    return tuple(missing)


def _with_images(release: Release, artefacts: Artefacts) -> Artefacts:
    """Return ``artefacts`` with every image: a service cannot be expanded without."""
    images = {handle: Image(image.tag, {}, image.digest) for handle, image in release.vector.images.items()}
    return replace(artefacts, images={**images, **artefacts.images})


def _find_missing(desired: DesiredState, artefacts: Artefacts, store: LedgerStore, reader: Reader) -> Iterator[str]:
    names = {resource.address: resource.physical for resource in desired.resources}
    encryptions = {component.handle: component.spec.get("encryption") for component in desired.components}
    for handle, image in artefacts.images.items():
        repository = names[f"ecr_repository.{handle.partition('.')[2]}"]
        ids = [{"imageDigest": image.digest}]
        response = reader.get(
            "ecr", "batch_get_image", repositoryName=repository, imageIds=ids, missing=NOT_FOUND_CODES
        )
        if not (response or {}).get("images"):
            yield f"image {str(image.digest)[:19]} is missing from repository {repository}"
    for handle, earlier_site in artefacts.sites.items():
        bucket = names[f"s3_bucket.{handle.partition('.')[2]}"]
        yield from _find_missing_files(
            bucket, earlier_site, store, reader, can_compare_etags=encryptions.get(handle) == "AES256"
        )
    for handle, version in artefacts.secrets.items():
        secret = names[f"secretsmanager_secret.{handle.partition('.')[2]}"]
        versions = reader.all(
            "secretsmanager",
            "list_secret_version_ids",
            "Versions",
            missing=NOT_FOUND_CODES,
            SecretId=secret,
            IncludeDeprecated=True,
        )
        if version not in {item["VersionId"] for item in versions}:
            yield f"version {version[:8]} of secret {secret} is missing"
    for component in desired.components:
        if component.handle in artefacts.models and is_model_bucket(component):
            bucket, version = names[f"s3_bucket.{component.name}"], artefacts.models[component.handle]
            yield from _find_missing_model(bucket, version, store, reader)


def _find_missing_files(
    bucket: str, earlier_site: Site, store: LedgerStore, reader: Reader, *, can_compare_etags: bool
) -> Iterator[str]:
    """Yield what is neither archived by its hash nor, for an asset, still in the bucket with its own bytes.

    With KMS an ETag is no hash of the content; there the size decides, because overwriting an asset archives it first.
    """
    bucket_objects = reader.all("s3", "list_objects_v2", "Contents", Bucket=bucket, missing=NOT_FOUND_CODES)
    objects_by_key = {item["Key"]: item for item in bucket_objects}
    archived = reader.all(
        "s3", "list_objects_v2", "Contents", Bucket=store.bucket, Prefix=ARCHIVE_PREFIX, missing=NOT_FOUND_CODES
    )
    archived_hashes = {item["Key"].removeprefix(ARCHIVE_PREFIX) for item in archived}

    def is_lost(path: str, file: SiteFile) -> bool:
        item = None if file.entry else objects_by_key.get(path)
        is_in_place = item is not None and item["Size"] == file.size
        if item is not None and can_compare_etags:
            is_in_place = item["ETag"].strip('"') == file.md5
        return not is_in_place and file.sha256 not in archived_hashes

    lost_files = [path for path, file in earlier_site.files.items() if is_lost(path, file)]
    if assets := [path for path in lost_files if not earlier_site.files[path].entry]:
        yield f"s3://{bucket} lacks {len(assets)} of the site's files, such as {assets[0]}"
    if pages := [path for path in lost_files if earlier_site.files[path].entry]:
        yield f"s3://{store.bucket} lacks {len(pages)} of the site's pages, such as {pages[0]}"


def _find_missing_model(bucket: str, version: str, store: LedgerStore, reader: Reader) -> Iterator[str]:
    prefix = f"{MODELS_PREFIX}/{version}/"
    if not reader.all("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=prefix, missing=NOT_FOUND_CODES):
        yield f"model {version} is missing from s3://{bucket}/{prefix}"
    pointer_key = f"models/{bucket}/{version}.json"
    if not reader.has_object(Bucket=store.bucket, Key=pointer_key):
        yield f"the pointer to model {version} is missing from s3://{store.bucket}/{pointer_key}"


def merge_parts(restored: Artefacts, current: Artefacts, parts: frozenset[str]) -> Artefacts:
    """Return the ``current`` artefacts with ``parts`` (``image:HANDLE`` ...) taken from ``restored``."""

    def merge(kind: str, base: Mapping[str, T], overrides: Mapping[str, T]) -> dict[str, T]:
        return {**base, **{name: value for name, value in overrides.items() if f"{kind}:{name}" in parts}}

    return replace(
        current,
        images=merge("image", current.images, restored.images),
        sites=merge("site", current.sites, restored.sites),
        secrets=merge("secret", current.secrets, restored.secrets),
        models=merge("model", current.models, restored.models),
    )
