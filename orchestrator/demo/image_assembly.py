"""An image put together without a builder: folders as layers, pushed by the OCI distribution specification.

For the demo, which has to work where no builder is, and for tests.  What is deployed is built by ``artefacts/images``.
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

from orchestrator.artefacts.images import push as registry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, slots=True)
class Assembled:
    """An image as bytes: ``blobs`` by digest (its configuration is one), and the ``manifest`` that lists them."""

    blobs: Mapping[str, bytes] = field(repr=False)
    manifest: bytes

    @property
    def digest(self) -> str:
        """What it is deployed by."""
        return _digest(self.manifest)


def layer(folder: Path, place: str = "/") -> bytes:
    """The files of a folder as a layer that puts them at ``place``.  Same files, same bytes: no times, no owners."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            name = str(Path(place) / path.relative_to(folder)).lstrip("/")
            entry = tar.gettarinfo(path, name)
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            if entry.isreg():
                with path.open("rb") as content:
                    tar.addfile(entry, content)
            else:
                tar.addfile(entry)
    return out.getvalue()


def image(layers: Sequence[bytes], settings: Mapping[str, Any]) -> Assembled:
    """An image for Linux; ``settings`` are ``Cmd``, ``Env``, ``User`` and the like."""
    digests = [_digest(each) for each in layers]
    rootfs = {"type": "layers", "diff_ids": digests}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": settings, "rootfs": rootfs}).encode()
    listed = [_named(LAYER, digest, data) for digest, data in zip(digests, layers, strict=True)]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _named(CONFIG, _digest(config), config),
        "layers": listed,
    }
    blobs = {**dict(zip(digests, layers, strict=True)), _digest(config): config}
    return Assembled(blobs, json.dumps(manifest).encode())


def push(authorization: Mapping[str, Any], repository: str, tag: str, pushed: Assembled) -> str:
    """Push to the registry that ECR GetAuthorizationToken names; the digest.  What is there is not sent again.

    Raises Problems.
    """
    [data] = authorization["authorizationData"]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    with registry.repository(urlsplit(data["proxyEndpoint"]).netloc, repository, (user, password)) as there:
        for content in pushed.blobs.values():
            there.blob(content)
        return there.manifest(pushed.manifest, MANIFEST, tag)


def _named(kind: str, digest: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest, "size": len(data)}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
