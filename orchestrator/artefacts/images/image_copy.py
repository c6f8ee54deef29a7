"""Copy an image by its digest between two repositories of one registry, with what refers to it, such as its SBOM.

Blobs are mounted where the registry can do that, and uploaded otherwise.  A run that is killed leaves blobs behind that
the next one finds; the manifest, which makes them an image, is pushed last.
Source: OCI distribution specification 1.1, "Pulling manifests", "Mounting a blob from another repository", "Listing
referrers"; Amazon ECR mounts blobs if the registry's setting BLOB_MOUNTING is on.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import Struct

from orchestrator.artefacts.images import registry_push
from orchestrator.artefacts.images.registry_client import MANIFEST_MEDIA_TYPES
from orchestrator.problems import Problems

if TYPE_CHECKING:
    from orchestrator.artefacts.images.registry_push import Repository


class ImageCopy(Struct, frozen=True):
    """One copy: the repositories it is between, the image's digest, and the tag that it gets."""

    source: str
    target: str
    digest: str
    tag: str


def copy_image(authorization: Mapping[str, Any], copy: ImageCopy) -> str:
    """Copy an image, and return its digest, which stays the same.

    ``authorization`` is the response of ECR GetAuthorizationToken.  Raises Problems.
    """
    [data] = authorization["authorizationData"]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    host, credentials = urlsplit(data["proxyEndpoint"]).netloc, (user, password)
    with (
        registry_push.open_repository(host, copy.source, credentials) as source,
        registry_push.open_repository(host, copy.target, credentials) as target,
    ):
        _copy_manifest(source, target, copy, copy.digest, copy.tag)
        for referrer in source.list_referrers(copy.digest):
            _copy_manifest(source, target, copy, referrer, None)
    return copy.digest


def _copy_manifest(source: Repository, target: Repository, copy: ImageCopy, digest: str, tag: str | None) -> None:
    """Copy what a manifest names, then the manifest, byte for byte."""
    data, media_type = source.pull_manifest(digest, MANIFEST_MEDIA_TYPES)
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        raise Problems.from_message(
            f"{copy.source} returned content that does not match {digest[:19]}; nothing was deployed"
        )
    manifest = json.loads(data)
    for child in manifest.get("manifests", ()):
        _copy_manifest(source, target, copy, child["digest"], None)
    for blob in _list_blobs(manifest):
        target.copy_blob(blob, source, copy.source)
    target.push_new_manifest(data, media_type, tag)


def _list_blobs(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield the digests of the configuration and the layers; an index of manifests has neither."""
    yield from ([manifest["config"]["digest"]] if "config" in manifest else [])
    yield from (layer["digest"] for layer in manifest.get("layers", ()))
