"""Whether a release can come back, and if not, why.  Asks AWS now: what a record says may be gone.

Reads only.  API: ECR BatchGetImage, S3 HeadObject and ListObjectsV2, Secrets Manager ListSecretVersionIds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.artefacts import Artefacts, Image, Site
from orchestrator.aws import Reader
from orchestrator.aws.errors import AwsError
from orchestrator.manifest import check, expand
from orchestrator.manifest.check import Manifest
from orchestrator.problems import Problems
from orchestrator.release import Ledger, Release, manifest_documents
from orchestrator.release.checkout import Wanted, site
from orchestrator.release.ledger_store import Store
from orchestrator.release.live_versions import MODELS, holds_models
from orchestrator.vocabulary import Desired

T = TypeVar("T")
GONE = ("ResourceNotFoundException", "RepositoryNotFoundException", "ImageNotFoundException", "NoSuchBucket", "404")


class Checkout(Struct, frozen=True):
    """A release's manifests, checked again, with its artefacts: all that a plan for it takes."""

    manifest: Manifest
    artefacts: Artefacts


def manifest_of(ledger: Ledger, release: Release, environment: str) -> Manifest:
    """The manifests of an earlier release, checked by today's schemas.

    Raises Problems.
    """
    return check.check(manifest_documents.sources(ledger.written(release), environment), environment)


def artefacts_of(release: Release, manifest: Manifest, store: Store) -> Artefacts:
    """What an earlier release shipped, by digest: nothing of it is built again.

    Raises Problems when the index of a site is gone.
    """
    named = expand.stack_of(manifest).exported
    shipped = release.vector
    return Artefacts(
        images={n: Image(b.tag, {}, b.digest) for n, b in shipped.images.items() if b.tag and n in named},
        sites={
            n: site(store, str(named[n]["name"]), digest) for n, digest in release.vector.sites.items() if n in named
        },
        secrets={n: version for n, version in shipped.secrets.items() if n in named},
        models={n: version for n, version in shipped.models.items() if n in named},
    )


def wanted_of(ledger: Ledger, release: Release, store: Store) -> Wanted:
    """An earlier release as something to be planned for.

    Raises Problems.
    """
    manifest = manifest_of(ledger, release, store.environment)
    artefacts = artefacts_of(release, manifest, store)
    written = {manifest_documents.handle(one): one for one in ledger.written(release)}
    return Wanted(expand.expand(manifest, artefacts), artefacts, written, store, ledger)


def obstacles(ledger: Ledger, release: Release, store: Store, reader: Reader) -> tuple[str, ...]:
    """Why a release cannot come back, one sentence each; none when it can."""
    if not release.is_whole:
        return ("it never worked",)
    try:
        manifest = manifest_of(ledger, release, store.environment)
        artefacts = artefacts_of(release, manifest, store)
    except Problems as problems:
        return tuple(problem.message for problem in problems.problems)
    try:
        return tuple(_missing(expand.expand(manifest, artefacts), artefacts, store, reader))
    except AwsError as error:
        return (f"it could not be checked: {error}",)


def _missing(desired: Desired, artefacts: Artefacts, store: Store, reader: Reader) -> Iterator[str]:
    names = {resource.address: resource.physical for resource in desired.resources}
    for handle, image in artefacts.images.items():
        repository = names[f"ecr_repository.{handle.partition('.')[2]}"]
        ids = [{"imageDigest": image.digest}]
        answer = reader.get("ecr", "batch_get_image", repositoryName=repository, imageIds=ids, missing=GONE)
        if not (answer or {}).get("images"):
            yield f"image {str(image.digest)[:19]} is gone from repository {repository}"
    for handle, shipped in artefacts.sites.items():
        yield from _files_gone(names[f"s3_bucket.{handle.partition('.')[2]}"], shipped, store, reader)
    for handle, version in artefacts.secrets.items():
        secret = names[f"secretsmanager_secret.{handle.partition('.')[2]}"]
        versions = reader.all(
            "secretsmanager",
            "list_secret_version_ids",
            "Versions",
            missing=GONE,
            SecretId=secret,
            IncludeDeprecated=True,
        )
        if version not in {one["VersionId"] for one in versions}:
            yield f"version {version[:8]} of secret {secret} is gone"
    for component in desired.components:
        if component.handle in artefacts.models and holds_models(component):
            bucket, version = names[f"s3_bucket.{component.name}"], artefacts.models[component.handle]
            yield from _model_gone(bucket, version, store, reader)


def _files_gone(bucket: str, shipped: Site, store: Store, reader: Reader) -> Iterator[str]:
    listed = reader.all("s3", "list_objects_v2", "Contents", Bucket=bucket, missing=GONE)
    there = {item["Key"] for item in listed}
    assets = [path for path, file in shipped.files.items() if not file.entry and path not in there]
    if assets:
        yield f"{len(assets)} of its files are gone from s3://{bucket}, such as {assets[0]}"
    kept = reader.all("s3", "list_objects_v2", "Contents", Bucket=store.bucket, Prefix="bodies/", missing=GONE)
    bodies = {item["Key"].removeprefix("bodies/") for item in kept}
    lost = [path for path, file in shipped.files.items() if file.entry and file.sha256 not in bodies]
    if lost:
        yield f"the bytes of {len(lost)} pages are gone from s3://{store.bucket}, such as {lost[0]}"


def _model_gone(bucket: str, version: str, store: Store, reader: Reader) -> Iterator[str]:
    prefix = f"{MODELS}/{version}/"
    if not reader.all("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=prefix, missing=GONE):
        yield f"model {version} is gone from s3://{bucket}/{prefix}"
    kept = f"models/{bucket}/{version}.json"
    if reader.get("s3", "head_object", Bucket=store.bucket, Key=kept, missing=GONE) is None:
        yield f"the pointer to model {version} is gone from s3://{store.bucket}/{kept}"


def only(wanted: Artefacts, standing: Artefacts, parts: frozenset[str]) -> Artefacts:
    """``standing`` with the ``parts`` (``image:HANDLE``...) of ``wanted`` put in."""

    def mix(kind: str, base: Mapping[str, T], over: Mapping[str, T]) -> dict[str, T]:
        return {**base, **{name: value for name, value in over.items() if f"{kind}:{name}" in parts}}

    return replace(
        standing,
        images=mix("image", standing.images, wanted.images),
        sites=mix("site", standing.sites, wanted.sites),
        secrets=mix("secret", standing.secrets, wanted.secrets),
        models=mix("model", standing.models, wanted.models),
    )
