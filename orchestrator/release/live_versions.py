"""What stands in AWS, as a release's vector.  Reads only what a snapshot has read already, and the model's pointer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.aws.errors import AwsError
from orchestrator.aws.reader import Caller
from orchestrator.components import answers
from orchestrator.release import Built, Vector
from orchestrator.release.checkout import Wanted
from orchestrator.release.ledger_store import MISSING, Store
from orchestrator.release.manifest_documents import manifests_digest
from orchestrator.vocabulary import Component, Live

MODELS = "ml-models"
POINTER = f"{MODELS}/current.json"


def vector(wanted: Wanted, live: Mapping[str, Live], caller: Caller, before: Vector | None = None) -> Vector:
    """The vector of what is ``live``; what was not looked at (a site that was not built) is as ``before``."""
    components = wanted.desired.components
    names = {one.component: one.physical for one in wanted.desired.resources if one.type == "s3_bucket"}
    return Vector(
        manifests=manifests_digest(wanted.documents.values()),
        images={one.handle: built for one in components if (built := _image(one, live, wanted))},
        sites={**_sites_before(components, before), **_sites(wanted)},
        secrets={one.handle: version for one in components if (version := _secret(one, live))},
        models={one.handle: version for one in components if (version := model(one, names, caller))},
        schemas=_schemas(components, before),
    )


def intended(wanted: Wanted, before: Vector | None) -> Vector:
    """The vector that was meant to be: of a release that failed.  An image that was never built has no digest."""
    components = wanted.desired.components
    return Vector(
        manifests=manifests_digest(wanted.documents.values()),
        images={name: Built(image.tag, image.digest or "") for name, image in wanted.artefacts.images.items()},
        sites={**_sites_before(components, before), **_sites(wanted)},
        secrets=dict(before.secrets) if before else {},
        models=dict(before.models) if before else {},
        schemas=_schemas(components, before),
    )


def model(component: Component, buckets: Mapping[str, str], caller: Caller) -> str | None:
    """The version of the model that a bucket's pointer names, or None; ``buckets`` are names by handle."""
    if not holds_models(component):
        return None
    stored = pointer(buckets[component.handle], caller)
    return None if stored is None else version_of(stored)


def keep_models(wanted: Wanted, vector: Vector, caller: Caller, store: Store) -> None:
    """Keep a copy of every pointer that ``vector`` names: by it a rollback leads back to the same model.

    Raises Problems.
    """
    names = {one.component: one.physical for one in wanted.desired.resources if one.type == "s3_bucket"}
    for handle, version in vector.models.items():
        stored = pointer(names[handle], caller)
        if stored is not None and version_of(stored) == version:
            store.put(f"models/{names[handle]}/{version}.json", stored, over=None)


def holds_models(component: Component) -> bool:
    """Whether a component is a bucket with a place for models."""
    return component.kind == "Bucket" and MODELS in (component.spec.get("prefixes") or ())


def pointer(bucket: str, caller: Caller) -> bytes | None:
    """The object that says which model is the current one."""
    try:
        body: bytes = caller.call("s3", "get_object", {"Bucket": bucket, "Key": POINTER})["Body"].read()
    except AwsError as error:
        if error.code in MISSING:
            return None
        raise
    return body


def version_of(stored: bytes) -> str | None:
    """The version a pointer names, or None where it is not one."""
    try:
        found: Any = json.loads(stored)
    except ValueError:
        return None
    return str(found["version"]) if isinstance(found, Mapping) and found.get("version") else None


def _image(component: Component, live: Mapping[str, Live], wanted: Wanted) -> Built | None:
    service = live.get(answers(component) or "") if component.kind == "ContainerService" else None
    if service is None:
        return None
    shipped = wanted.artefacts.images.get(component.handle)
    digest = str(service.spec["image"]).partition("@")[2]
    return Built(shipped.tag if shipped else "", digest)


def _sites(wanted: Wanted) -> Mapping[str, str]:
    return {handle: site.digest for handle, site in wanted.artefacts.sites.items()}


def _sites_before(components: tuple[Component, ...], before: Vector | None) -> Mapping[str, str]:
    known = {one.handle for one in components if one.spec.get("spa")}
    return {name: digest for name, digest in before.sites.items() if name in known} if before else {}


def _secret(component: Component, live: Mapping[str, Live]) -> str | None:
    value = live.get(f"secretsmanager_value.{component.name}") if component.kind == "Secret" else None
    version = value.outputs.get("version") if value else None
    return None if version is None else str(version)


def _schemas(components: tuple[Component, ...], before: Vector | None) -> Mapping[str, int]:
    """A database's schema only ever goes forward: going back ships older code, not an older schema."""
    return {**(before.schemas if before else {}), **dict(_declared(components, before))}


def _declared(components: tuple[Component, ...], before: Vector | None) -> Iterator[tuple[str, int]]:
    for one in components:
        if one.kind == "ContainerService" and (schema := one.spec.get("schema")):
            reached = before.schemas.get(one.handle, 0) if before else 0
            yield one.handle, max(reached, int(schema["version"]))
