"""Push blobs and manifests to a registry through its API, for content that no builder pushes, and pull them.

Source: OCI distribution specification 1.1, "Pushing": POST, PATCH and PUT, as Docker does it.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urljoin

from orchestrator.artefacts.images.registry_client import scheme_for
from orchestrator.problems import Problems

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 60.0
"""Seconds per request."""
MAX_RETRIES = 3
CHUNK_BYTES = 1024**2
CREATED = 201
NO_REFERRERS_CODES = (403, 404, 405)
"""Answers of registries that keep no list of referrers, or do not show it."""


class Repository:
    """One repository of a registry, authenticated. Its methods raise httpx.HTTPError."""

    def __init__(self, client: httpx.Client, base_url: str) -> None:
        self._client = client
        self._base_url = base_url

    def push_blob(self, data: bytes) -> str:
        """Upload a blob if it does not exist, and return its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._upload(digest, data, len(data))
        return digest

    def push_blob_file(self, path: Path, digest: str) -> None:
        """Upload a file of any size as the blob ``digest`` if it does not exist.

        The registry refuses it if its bytes have another digest.
        """
        self._upload(digest, _iter_chunks(path), path.stat().st_size)

    def copy_blob(self, digest: str, source: Repository, source_name: str) -> None:
        """Take over a blob of another repository of this registry: mounted, or else through this machine."""
        if self._has_blob(digest):
            return
        mount = {"mount": digest, "from": source_name}
        started = self._client.post(f"{self._base_url}/blobs/uploads/", params=mount).raise_for_status()
        if started.status_code == CREATED:
            return
        with tempfile.TemporaryFile() as file:
            source.download_blob(digest, file)
            size = file.tell()
            file.seek(0)
            self._finish_upload(started, digest, iter(lambda: file.read(CHUNK_BYTES), b""), size)

    def download_blob(self, digest: str, file: IO[bytes]) -> None:
        """Write a blob to ``file``; registries redirect to where their blobs are, without the login."""
        with self._client.stream("GET", f"{self._base_url}/blobs/{digest}", follow_redirects=True) as response:
            for chunk in response.raise_for_status().iter_raw(CHUNK_BYTES):
                file.write(chunk)

    def pull_manifest(self, reference: str, media_types: tuple[str, ...]) -> tuple[bytes, str]:
        """Return a manifest, byte for byte, and its media type."""
        headers = {"Accept": ", ".join(media_types)}
        response = self._client.get(f"{self._base_url}/manifests/{reference}", headers=headers).raise_for_status()
        return response.content, response.headers["Content-Type"]

    def list_referrers(self, digest: str) -> list[str]:
        """Return the digests of the manifests that refer to an image; none if the registry keeps no such list."""
        response = self._client.get(f"{self._base_url}/referrers/{digest}")
        if response.status_code in NO_REFERRERS_CODES:
            return []
        return [str(item["digest"]) for item in response.raise_for_status().json().get("manifests") or ()]

    def push_new_manifest(self, data: bytes, media_type: str, tag: str | None = None) -> None:
        """Upload a manifest if it does not exist; under ``tag`` unless another image of the repository has it.

        Tags are immutable: one that is taken becomes ``TAG-DIGEST``, with the first digits of the digest.
        """
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        accept = {"Accept": media_type}
        if self._client.head(f"{self._base_url}/manifests/{digest}", headers=accept).is_success:
            return
        is_taken = tag and self._client.head(f"{self._base_url}/manifests/{tag}", headers=accept).is_success
        self.push_manifest(data, media_type, f"{tag}-{digest[7:19]}" if is_taken else tag)

    def push_manifest(self, data: bytes, media_type: str, tag: str | None = None) -> str:
        """Upload a manifest under ``tag``, or under its digest alone, and return its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        url = f"{self._base_url}/manifests/{tag or digest}"
        self._client.put(url, content=data, headers={"Content-Type": media_type}).raise_for_status()
        return digest

    def _upload(self, digest: str, content: bytes | Iterator[bytes], size: int) -> None:
        if not self._has_blob(digest):
            started = self._client.post(f"{self._base_url}/blobs/uploads/").raise_for_status()
            self._finish_upload(started, digest, content, size)

    def _has_blob(self, digest: str) -> bool:
        return self._client.head(f"{self._base_url}/blobs/{digest}").is_success

    def _finish_upload(self, started: httpx.Response, digest: str, content: bytes | Iterator[bytes], size: int) -> None:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        patched = self._client.patch(self._get_upload_url(started), content=content, headers=headers).raise_for_status()
        self._client.put(self._get_upload_url(patched), params={"digest": digest}).raise_for_status()

    def _get_upload_url(self, response: httpx.Response) -> str:
        return urljoin(f"{self._base_url}/", response.headers["Location"])


def _iter_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


@contextmanager
def open_repository(registry: str, name: str, credentials: tuple[str, str]) -> Iterator[Repository]:
    """Open a repository. Raises Problems for any registry error inside the context."""
    import httpx

    try:
        with httpx.Client(
            auth=credentials, timeout=TIMEOUT_SECONDS, transport=httpx.HTTPTransport(retries=MAX_RETRIES)
        ) as client:
            yield Repository(client, f"{scheme_for(registry)}://{registry}/v2/{name}")
    except (httpx.HTTPError, KeyError) as error:
        raise Problems.from_message(f"cannot access {registry}/{name}: {error}") from None
