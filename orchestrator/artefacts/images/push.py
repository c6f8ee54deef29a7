"""Bringing blobs and manifests into a registry by its own API, for what no builder pushes.

Source: OCI distribution specification 1.1, "Pushing": POST, PATCH and PUT, as Docker does it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from orchestrator.artefacts.images.registry import scheme
from orchestrator.problems import Problems

if TYPE_CHECKING:
    import httpx

TIMEOUT = 60.0
"""Seconds for one request."""
TRIES = 3


class Repository:
    """One repository of a registry, logged in.  Its methods raise httpx.HTTPError."""

    def __init__(self, client: httpx.Client, place: str) -> None:
        self._client = client
        self._place = place

    def blob(self, data: bytes) -> str:
        """Put bytes there, if they are not; their digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if self._client.head(f"{self._place}/blobs/{digest}").status_code != 200:
            begun = self._client.post(f"{self._place}/blobs/uploads/").raise_for_status()
            told = {"Content-Type": "application/octet-stream"}
            sent = self._client.patch(self._next(begun), content=data, headers=told).raise_for_status()
            self._client.put(self._next(sent), params={"digest": digest}).raise_for_status()
        return digest

    def manifest(self, data: bytes, media_type: str, tag: str | None = None) -> str:
        """Put a manifest there, under ``tag`` or its digest alone; its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        url = f"{self._place}/manifests/{tag or digest}"
        self._client.put(url, content=data, headers={"Content-Type": media_type}).raise_for_status()
        return digest

    def _next(self, answer: httpx.Response) -> str:
        return urljoin(f"{self._place}/", answer.headers["Location"])


@contextmanager
def repository(registry: str, name: str, login: tuple[str, str]) -> Iterator[Repository]:
    """A repository, for as long as it is needed.  Raises Problems for whatever goes wrong inside."""
    import httpx

    try:
        with httpx.Client(auth=login, timeout=TIMEOUT, transport=httpx.HTTPTransport(retries=TRIES)) as client:
            yield Repository(client, f"{scheme(registry)}://{registry}/v2/{name}")
    except (httpx.HTTPError, KeyError) as error:
        raise Problems.one(f"{registry}/{name} did not take it: {error}") from None
