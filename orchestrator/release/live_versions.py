"""Determine the versions that are live in AWS, as a release's vector.  Reads AWS only for model pointers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from orchestrator.aws.reader import AwsCaller, Reader
from orchestrator.components import answers
from orchestrator.components.containerservice.checks import RELEASE_VARIABLE
from orchestrator.release import ImageReference, Vector, schema_versions
from orchestrator.release.checkout import ReleaseCandidate
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.release.manifest_documents import manifests_digest
from orchestrator.vocabulary import Component, LiveResource

MODELS_PREFIX = "ml-models"
POINTER_KEY = f"{MODELS_PREFIX}/current.json"
SITE_DIGEST_PATTERN = re.compile(r"[0-9a-f]{16,64}")


def read_vector(
    candidate: ReleaseCandidate,
    live: Mapping[str, LiveResource],
    caller: AwsCaller,
    previous: Vector | None = None,
    schemas: Mapping[str, int] | None = None,
) -> Vector:
    """Return the vector of the ``live`` resources after a complete apply.

    Sites that were not built are taken from ``previous``; ``schemas`` are the schema versions reached before.
    """
    components = candidate.desired.components
    bucket_names = {item.component: item.physical for item in candidate.desired.resources if item.type == "s3_bucket"}
    return Vector(
        manifests=manifests_digest(candidate.documents.values()),
        images={item.handle: image for item in components if (image := _live_image(item, live, candidate))},
        sites={**_previous_site_digests(components, previous), **_site_digests(candidate)},
        secrets={item.handle: version for item in components if (version := _live_secret_version(item, live))},
        models={
            item.handle: version for item in components if (version := read_model_version(item, bucket_names, caller))
        },
        schemas=schema_versions.add_declared_versions(schemas or {}, components),
    )


def intended_vector(candidate: ReleaseCandidate, previous: Vector | None, schemas: Mapping[str, int]) -> Vector:
    """Return the vector that a started release aims for.  An image that is not built yet has an empty digest.

    What only the apply decides is not foretold: secrets and models are those of ``previous``, and ``schemas`` are the
    schema versions that were reached before.
    """
    components = candidate.desired.components
    return Vector(
        manifests=manifests_digest(candidate.documents.values()),
        images={
            name: ImageReference(image.tag, image.digest or "") for name, image in candidate.artefacts.images.items()
        },
        sites={**_previous_site_digests(components, previous), **_site_digests(candidate)},
        secrets=dict(previous.secrets) if previous else {},
        models=dict(previous.models) if previous else {},
        schemas=schemas,
    )


def list_differences(recorded: Vector, observed: Vector) -> tuple[str, ...]:
    """Return the parts that differ, such as ``image containerservice.api``; the schema versions are no part."""
    fields = {
        "image": (recorded.images, observed.images),
        "site": (recorded.sites, observed.sites),
        "secret": (recorded.secrets, observed.secrets),
        "model": (recorded.models, observed.models),
    }
    parts = [
        f"{kind} {handle}"
        for kind, (old, new) in fields.items()
        for handle in sorted({*old, *new})
        if old.get(handle) != new.get(handle)
    ]
    return (*parts, *(("the manifests",) if recorded.manifests != observed.manifests else ()))


def observe_artefacts(candidate: ReleaseCandidate, live: Mapping[str, LiveResource], recorded: Vector) -> Vector:
    """Return ``recorded`` with the images and sites that are live, whoever shipped them.

    The variable with its release names the tag of an image.  What cannot be told stays as recorded.
    """
    images, sites = dict(recorded.images), dict(recorded.sites)
    for component in candidate.desired.components:
        service = live.get(answers(component) or "") if component.kind == "ContainerService" else None
        if service is not None and component.handle in images:
            digest = str(service.spec["image"]).partition("@")[2]
            if digest != images[component.handle].digest:
                images[component.handle] = ImageReference(
                    str(service.spec["environment"].get(RELEASE_VARIABLE, "")), digest
                )
        site = live.get(f"s3_site.{component.name}") if component.kind == "Bucket" else None
        digest = str(site.outputs.get("digest", "")) if site is not None else ""
        if component.handle in sites and SITE_DIGEST_PATTERN.fullmatch(digest):
            sites[component.handle] = digest
    return replace(recorded, images=images, sites=sites)


def read_model_version(component: Component, bucket_names: Mapping[str, str], caller: AwsCaller) -> str | None:
    """Return the model version that a bucket's pointer names, or None; ``bucket_names`` by component handle."""
    if not is_model_bucket(component):
        return None
    pointer_bytes = read_model_pointer(bucket_names[component.handle], caller)
    return None if pointer_bytes is None else parse_pointer_version(pointer_bytes)


def save_model_pointers(candidate: ReleaseCandidate, vector: Vector, caller: AwsCaller, store: LedgerStore) -> None:
    """Save a copy of each model pointer in ``vector``, so that a rollback can restore it.

    Raises Problems if the copy cannot be written.
    """
    bucket_names = {
        resource.component: resource.physical
        for resource in candidate.desired.resources
        if resource.type == "s3_bucket"
    }
    for handle, version in vector.models.items():
        pointer_bytes = read_model_pointer(bucket_names[handle], caller)
        if pointer_bytes is not None and parse_pointer_version(pointer_bytes) == version:
            store.put(f"models/{bucket_names[handle]}/{version}.json", pointer_bytes, previous=None)


def is_model_bucket(component: Component) -> bool:
    """Return whether a component is a bucket with the models prefix."""
    return component.kind == "Bucket" and MODELS_PREFIX in (component.spec.get("prefixes") or ())


def read_model_pointer(bucket: str, caller: AwsCaller) -> bytes | None:
    """Read the pointer to the current model; return None if there is none.  Raises AwsError."""
    response = Reader(caller).find_object(Bucket=bucket, Key=POINTER_KEY)
    return None if response is None else bytes(response["Body"].read())


def parse_pointer_version(pointer_bytes: bytes) -> str | None:
    """Return the version in a pointer, or None if it is not a valid pointer."""
    try:
        document: Any = json.loads(pointer_bytes)
    except (ValueError, RecursionError):
        return None
    return str(document["version"]) if isinstance(document, Mapping) and document.get("version") else None


def _live_image(
    component: Component, live: Mapping[str, LiveResource], candidate: ReleaseCandidate
) -> ImageReference | None:
    service = live.get(answers(component) or "") if component.kind == "ContainerService" else None
    if service is None:
        return None
    built_image = candidate.artefacts.images.get(component.handle)
    digest = str(service.spec["image"]).partition("@")[2]
    return ImageReference(built_image.tag if built_image else "", digest)


def _site_digests(candidate: ReleaseCandidate) -> Mapping[str, str]:
    return {handle: site.digest for handle, site in candidate.artefacts.sites.items()}


def _previous_site_digests(components: tuple[Component, ...], previous: Vector | None) -> Mapping[str, str]:
    site_handles = {component.handle for component in components if component.spec.get("spa")}
    return {name: digest for name, digest in previous.sites.items() if name in site_handles} if previous else {}


def _live_secret_version(component: Component, live: Mapping[str, LiveResource]) -> str | None:
    value = live.get(f"secretsmanager_value.{component.name}") if component.kind == "Secret" else None
    version = value.outputs.get("version") if value else None
    return None if version is None else str(version)
