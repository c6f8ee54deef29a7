"""Push blobs and manifests to a registry through its API, for content that no builder pushes.

Source: OCI distribution specification 1.1, "Pushing": POST, PATCH and PUT, as Docker does it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from orchestrator.artefacts.images.registry_client import scheme_for
from orchestrator.problems import Problems

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 60.0
"""Seconds per request."""
MAX_RETRIES = 3
CHUNK_BYTES = 1024**2


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

    def _upload(self, digest: str, content: bytes | Iterator[bytes], size: int) -> None:
        if self._client.head(f"{self._base_url}/blobs/{digest}").status_code == 200:
            return
        started = self._client.post(f"{self._base_url}/blobs/uploads/").raise_for_status()
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        upload = self._client.patch(self._get_upload_url(started), content=content, headers=headers).raise_for_status()
        self._client.put(self._get_upload_url(upload), params={"digest": digest}).raise_for_status()

    def push_manifest(self, data: bytes, media_type: str, tag: str | None = None) -> str:
        """Upload a manifest under ``tag``, or under its digest alone, and return its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        url = f"{self._base_url}/manifests/{tag or digest}"
        self._client.put(url, content=data, headers={"Content-Type": media_type}).raise_for_status()
        return digest

    def _get_upload_url(self, response: httpx.Response) -> str:
        return urljoin(f"{self._base_url}/", response.headers["Location"])


def _iter_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


@contextmanager
def open_repository(registry: str, name: str, credentials: tuple[str, str]) -> Iterator[Repository]:
    """Open a repository for pushing. Raises Problems for any registry error inside the context."""
    import httpx

    try:
        with httpx.Client(
            auth=credentials, timeout=TIMEOUT_SECONDS, transport=httpx.HTTPTransport(retries=MAX_RETRIES)
        ) as client:
            yield Repository(client, f"{scheme_for(registry)}://{registry}/v2/{name}")
    except (httpx.HTTPError, KeyError) as error:
        raise Problems.from_message(f"the push to {registry}/{name} failed: {error}") from None
