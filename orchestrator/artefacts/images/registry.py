"""Asking a registry which digest a tag has: HEAD of the manifest, with the token flow of the distribution API.

Source: OCI distribution specification; the "token authentication" of the Docker registry.  One read, nothing is pulled.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from orchestrator.problems import Problems

if TYPE_CHECKING:
    import httpx

HUB = "registry-1.docker.io"
TIMEOUT = 10.0
"""Seconds for one answer."""
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class Reference(Struct, frozen=True):
    """An image by its full name: ``docker.io/library/python:3.13-slim`` in parts.

    ``registry`` is the host to ask; ``digest`` is None where only a tag is named.
    """

    registry: str
    repository: str
    tag: str
    digest: str | None = None


def parse(image: str) -> Reference:
    """A name as Docker reads it: without a registry it is Docker Hub's, without a tag it is ``latest``.

    Raises Problems for what is no image's name.
    """
    name, _, digest = image.partition("@")
    first, slash, rest = name.partition("/")
    has_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    host, path = (first, rest) if has_host else ("docker.io", name)
    repository, _, tag = path.partition(":")
    if host in ("docker.io", "index.docker.io"):
        host, repository = HUB, repository if "/" in repository else f"library/{repository}"
    if not re.fullmatch(r"[a-z0-9]+(?:(?:[._-]+|/)[a-z0-9]+)*", repository):
        raise Problems.one(f"`{image}` is not the name of an image")
    return Reference(host, repository, tag or "latest", digest or None)


def scheme(host: str) -> str:
    """Plain HTTP on this machine, HTTPS everywhere else, as Docker does it."""
    return "http" if host.rpartition(":")[0] in LOOPBACK or host in LOOPBACK else "https"


class Descriptor(Struct, frozen=True):
    """A manifest as a registry has it; ``size`` in bytes."""

    digest: str
    media_type: str
    size: int


def digest(reference: Reference, login: tuple[str, str] | None = None, *, timeout: float = TIMEOUT) -> str | None:
    """The digest that ``reference`` has in its registry, or None where there is no such image.  Raises Problems."""
    found = descriptor(reference, login, timeout=timeout)
    return found.digest if found else None


def descriptor(
    reference: Reference, login: tuple[str, str] | None = None, *, timeout: float = TIMEOUT
) -> Descriptor | None:
    """The manifest that ``reference`` has in its registry, or None where there is no such image.

    ``login``: user and password; without one, as anybody.  Raises Problems when the registry cannot be asked.
    """
    import httpx

    url = f"{scheme(reference.registry)}://{reference.registry}/v2/{reference.repository}/manifests/{reference.tag}"
    headers = {"Accept": ", ".join(MANIFESTS)}
    try:
        with httpx.Client(timeout=timeout, follow_redirects=True) as client:
            answer = client.head(url, headers=headers, auth=login or httpx.USE_CLIENT_DEFAULT)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                token = _token(client, answer.headers.get("WWW-Authenticate", ""), login)
                answer = client.head(url, headers={**headers, "Authorization": f"Bearer {token}"})
    except (httpx.HTTPError, ValueError) as error:
        message = f"{reference.registry} cannot be asked for {reference.repository}:{reference.tag}"
        raise Problems.one(f"{message} ({type(error).__name__})") from None
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    told = answer.headers
    if answer.is_error or "Docker-Content-Digest" not in told:
        message = f"{reference.registry} answered {answer.status_code} for {reference.repository}:{reference.tag}"
        raise Problems.one(message)
    size = int(told.get("Content-Length", 0))
    return Descriptor(told["Docker-Content-Digest"], told.get("Content-Type", ""), size)


def _token(client: httpx.Client, challenge: str, login: tuple[str, str] | None) -> str:
    """The token that the challenge of a 401 tells where to fetch.

    Raises ValueError when it tells nothing, httpx.HTTPError when it cannot be fetched.
    """
    import httpx

    said = dict(_CHALLENGE.findall(challenge))
    realm = said.pop("realm", "")
    address = urlsplit(realm)
    if not challenge.lower().startswith("bearer") or address.scheme != scheme(address.netloc):
        message = "the registry wants a login of another kind"
        raise ValueError(message)
    answer = client.get(realm, params=said, auth=login or httpx.USE_CLIENT_DEFAULT)
    answer.raise_for_status()
    body = answer.json()
    return str(body.get("token") or body["access_token"]) if isinstance(body, dict) else ""
