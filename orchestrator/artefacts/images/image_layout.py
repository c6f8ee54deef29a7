"""Keep a built image as a folder that another machine can push unchanged.

The folder is an OCI image layout: every blob lies under ``blobs/sha256`` by its digest, and ``index.json`` names the
manifest. Manifest and blobs have Docker's types, because OCI's have no HEALTHCHECK. Layers are compressed without a
time, so the same image has the same digest. Source: OCI image specification 1.1, "Image Layout Specification"; Docker's
"Image Manifest Version 2, Schema 2".
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import IO, Any

from orchestrator.problems import Problems

MANIFEST_MEDIA_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_MEDIA_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_MEDIA_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"
COMPRESSION_LEVEL = 6
CHUNK_BYTES = 1024**2
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
Descriptor = dict[str, Any]


def write_layout(archive: Path, folder: Path) -> str:
    """Write the image of a Docker archive to ``folder`` and return the digest of its manifest.

    Raises Problems if the archive is not one that a builder exports.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    try:
        with tarfile.open(archive) as image:
            [entry] = json.loads(_open_member(image, "manifest.json").read())
            config = _add_blob(blobs, _open_member(image, entry["Config"]), CONFIG_MEDIA_TYPE)
            layers = [_add_layer(blobs, _open_member(image, name)) for name in entry["Layers"]]
    except (tarfile.TarError, OSError, KeyError, ValueError) as error:
        message = f"the image was built, but its archive cannot be read ({type(error).__name__}: {error})"
        raise Problems.from_message(message) from None
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_MEDIA_TYPE, "config": config, "layers": layers}
    data = json.dumps(manifest, separators=(",", ":")).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    blob_path(folder, digest).write_bytes(data)
    index = {
        "schemaVersion": 2,
        "manifests": [{"mediaType": MANIFEST_MEDIA_TYPE, "digest": digest, "size": len(data)}],
    }
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    return digest


def read_manifest(folder: Path, digest: str) -> bytes:
    """Return the manifest with ``digest``.  Raises Problems if the folder does not have it, byte for byte."""
    return _read_verified(folder, digest, "manifest")


def list_blobs(manifest: bytes) -> list[str]:
    """Return the digests of the configuration and the layers that a manifest names, each once."""
    parsed = json.loads(manifest)
    return list(dict.fromkeys(str(blob["digest"]) for blob in (parsed["config"], *parsed["layers"])))


def read_labels(folder: Path, manifest: bytes) -> dict[str, str]:
    """Return the labels of the image.  Raises Problems if its configuration is not the one that its manifest names."""
    config = _read_verified(folder, json.loads(manifest)["config"]["digest"], "configuration")
    return dict((json.loads(config).get("config") or {}).get("Labels") or {})


def blob_path(folder: Path, digest: str) -> Path:
    """Return where a blob of a layout is.  Raises Problems if ``digest`` is none: it could be any path."""
    if not _DIGEST.fullmatch(digest):
        raise Problems.from_message(
            f"the built image in {folder} refers to the blob {digest[:80]!r}, which is not a digest"
        )
    return folder / "blobs" / "sha256" / digest.partition(":")[2]


def _read_verified(folder: Path, digest: str, description: str) -> bytes:
    try:
        data = blob_path(folder, digest).read_bytes()
    except OSError:
        data = b""
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        hint = "the blob was changed or lost after the build; nothing was pushed"
        raise Problems.from_message(f"the built image in {folder} has no {description} {digest}", hint=hint)
    return data


def _open_member(image: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = image.extractfile(name)
    if stream is None:
        raise KeyError(name)
    return stream


def _add_layer(blobs: Path, stream: IO[bytes]) -> Descriptor:
    """Store a layer compressed; one that the builder has compressed is stored as it is.

    Raises ValueError if the compression is one that registries of Docker's types do not know.
    """
    magic = stream.read(4)
    stream.seek(0)
    if magic == _ZSTD_MAGIC:
        message = "a layer is compressed with zstd"
        raise ValueError(message)
    return _add_blob(blobs, stream, LAYER_MEDIA_TYPE, should_compress=not magic.startswith(_GZIP_MAGIC))


def _add_blob(blobs: Path, stream: IO[bytes], media_type: str, *, should_compress: bool = False) -> Descriptor:
    with tempfile.NamedTemporaryFile(dir=blobs, delete=False) as file:
        if should_compress:
            with gzip.GzipFile("", "wb", COMPRESSION_LEVEL, file, mtime=0) as compressed:
                shutil.copyfileobj(stream, compressed, CHUNK_BYTES)
        else:
            shutil.copyfileobj(stream, file, CHUNK_BYTES)
    path = Path(file.name)
    with path.open("rb") as written:
        name = hashlib.file_digest(written, "sha256").hexdigest()
    size = path.stat().st_size
    path.chmod(0o644)
    path.replace(blobs / name)
    return {"mediaType": media_type, "digest": f"sha256:{name}", "size": size}
