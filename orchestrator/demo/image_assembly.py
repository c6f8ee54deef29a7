"""Assemble an OCI image from folders and push it to a registry, without a builder.

For the demo, which must work without a builder, and for tests.  ``artefacts/images`` builds the images of projects.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.artefacts.images import registry_push as registry

MANIFEST_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_MEDIA_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, slots=True)
class OciImage:
    """An image as bytes: ``blobs`` by digest, including the configuration, and the ``manifest`` that lists them."""

    blobs: Mapping[str, bytes] = field(repr=False)
    manifest: bytes

    @property
    def digest(self) -> str:
        """The digest of the manifest, which identifies the image."""
        return _sha256_digest(self.manifest)


def build_layer(folder: Path, target_path: str = "/") -> bytes:
    """Return the files of ``folder`` as a layer at ``target_path``; reproducible, without times and owners."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            name = str(Path(target_path) / path.relative_to(folder)).lstrip("/")
            entry = tar.gettarinfo(path, name)
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            if entry.isreg():
                with path.open("rb") as content:
                    tar.addfile(entry, content)
            else:
                tar.addfile(entry)
    return buffer.getvalue()


def build_image(layers: Sequence[bytes], settings: Mapping[str, Any]) -> OciImage:
    """Return an image for Linux on amd64; ``settings`` is its OCI configuration (``Cmd``, ``Env``, ``User``)."""
    digests = [_sha256_digest(layer) for layer in layers]
    rootfs = {"type": "layers", "diff_ids": digests}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": settings, "rootfs": rootfs}).encode()
    layer_descriptors = [
        _descriptor(LAYER_MEDIA_TYPE, digest, data) for digest, data in zip(digests, layers, strict=True)
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_MEDIA_TYPE,
        "config": _descriptor(CONFIG_MEDIA_TYPE, _sha256_digest(config), config),
        "layers": layer_descriptors,
    }
    blobs = {**dict(zip(digests, layers, strict=True)), _sha256_digest(config): config}
    return OciImage(blobs, json.dumps(manifest).encode())


def push_image(authorization: Mapping[str, Any], repository: str, tag: str, image: OciImage) -> str:
    """Push ``image`` to the registry in the response of ECR GetAuthorizationToken, and return its digest.

    Skips blobs that the registry has.  Raises Problems if the registry refuses.
    """
    [data] = authorization["authorizationData"]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    with registry.open_repository(urlsplit(data["proxyEndpoint"]).netloc, repository, (user, password)) as connection:
        for content in image.blobs.values():
            connection.push_blob(content)
        return connection.push_manifest(image.manifest, MANIFEST_MEDIA_TYPE, tag)


def _descriptor(media_type: str, digest: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _sha256_digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
