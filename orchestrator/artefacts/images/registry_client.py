"""Look up the digest of a tag in a registry: HEAD of the manifest, with the distribution API's token flow.

Source: OCI distribution specification; "token authentication" of the Docker registry. Reads one manifest header, pulls
nothing. A plan of a pull request asks whatever registry its Dockerfile names, so a registry can send it to no other
host: redirects stay on the host, and tokens come from the registry's own domain.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from orchestrator.problems import Problems

if TYPE_CHECKING:
    import httpx

DOCKER_HUB_HOST = "registry-1.docker.io"
MAX_REDIRECTS = 5
TIMEOUT_SECONDS = 10.0
"""Seconds per request."""
MANIFEST_MEDIA_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
REFUSED_STATUS_CODES = (401, 403)
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class ImageReference(Struct, frozen=True):
    """The parts of a full image name such as ``docker.io/library/python:3.13-slim``.

    ``registry`` is the host to query; ``digest`` is None if the name has only a tag.
    """

    registry: str
    repository: str
    tag: str
    digest: str | None = None


def parse_reference(image: str) -> ImageReference:
    """Parse an image name as Docker does: the default registry is Docker Hub, the default tag ``latest``.

    Raises Problems if it is not an image name.
    """
    name, _, digest = image.partition("@")
    first, slash, remainder = name.partition("/")
    has_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    host, path = (first, remainder) if has_host else ("docker.io", name)
    repository, _, tag = path.partition(":")
    if host in ("docker.io", "index.docker.io"):
        host, repository = DOCKER_HUB_HOST, repository if "/" in repository else f"library/{repository}"
    if not re.fullmatch(r"[a-z0-9]+(?:(?:[._-]+|/)[a-z0-9]+)*", repository):
        raise Problems.from_message(f"invalid image name `{image}`")
    return ImageReference(host, repository, tag or "latest", digest or None)


def scheme_for(host: str) -> str:
    """Return ``http`` for this machine and ``https`` for every other host, as Docker does."""
    return "http" if host.rpartition(":")[0] in LOOPBACK_HOSTS or host in LOOPBACK_HOSTS else "https"


class Descriptor(Struct, frozen=True):
    """A manifest in a registry; ``size`` in bytes."""

    digest: str
    media_type: str
    size: int


def fetch_digest(
    reference: ImageReference, credentials: tuple[str, str] | None = None, *, timeout: float = TIMEOUT_SECONDS
) -> str | None:
    """Return the digest of ``reference`` in its registry, or None if it does not exist. Raises Problems."""
    result = fetch_descriptor(reference, credentials, timeout=timeout)
    return result.digest if result else None


def fetch_descriptor(
    reference: ImageReference, credentials: tuple[str, str] | None = None, *, timeout: float = TIMEOUT_SECONDS
) -> Descriptor | None:
    """Return the manifest descriptor of ``reference`` in its registry, or None if it does not exist.

    ``credentials``: user and password; anonymous without them. Raises Problems if the registry cannot be queried.
    """
    import httpx

    url = f"{scheme_for(reference.registry)}://{reference.registry}/v2/{reference.repository}/manifests/{reference.tag}"
    headers = {"Accept": ", ".join(MANIFEST_MEDIA_TYPES)}
    try:
        with httpx.Client(timeout=timeout) as client:
            request = client.build_request("HEAD", url, headers=headers)
            response = _send(client, request, credentials)
            if response.status_code == httpx.codes.UNAUTHORIZED and _is_token_challenge(response):
                challenge = response.headers.get("WWW-Authenticate", "")
                token = _fetch_token(client, reference.registry, challenge, credentials)
                authorized = {**headers, "Authorization": f"Bearer {token}"}
                response = _send(client, client.build_request("HEAD", url, headers=authorized))
    except (httpx.HTTPError, ValueError, KeyError) as error:
        message = f"cannot query {reference.registry} for {reference.repository}:{reference.tag}"
        raise Problems.from_message(f"{message} ({type(error).__name__})") from None
    if response.status_code in REFUSED_STATUS_CODES:
        reason = "rejected the login" if credentials else "requires a login"
        message = f"{reference.registry} {reason} for {reference.repository}:{reference.tag}"
        raise Problems.from_message(
            message, hint=f"run `docker login {reference.registry}` or `podman login {reference.registry}`"
        )
    if response.status_code == httpx.codes.NOT_FOUND:
        return None
    response_headers = response.headers
    if response.is_error or "Docker-Content-Digest" not in response_headers:
        message = f"{reference.registry} returned {response.status_code} for {reference.repository}:{reference.tag}"
        raise Problems.from_message(message)
    size = int(response_headers.get("Content-Length", 0))
    return Descriptor(response_headers["Docker-Content-Digest"], response_headers.get("Content-Type", ""), size)


def _send(client: httpx.Client, request: httpx.Request, credentials: tuple[str, str] | None = None) -> httpx.Response:
    """Send a request, and follow redirects on the same host.

    Raises Problems for a redirect to another host, httpx.HTTPError if a request fails.
    """
    import httpx

    origin = (request.url.scheme, request.url.netloc)
    for _ in range(MAX_REDIRECTS):
        response = client.send(request, auth=credentials or httpx.USE_CLIENT_DEFAULT)
        if response.next_request is None:
            return response
        request = response.next_request
        if (request.url.scheme, request.url.netloc) != origin:
            message = (
                f"{origin[1].decode()} redirects to {request.url.host}, and redirects to other hosts are not followed"
            )
            raise Problems.from_message(message)
    raise httpx.TooManyRedirects("", request=request)


def _is_same_domain(registry: str, host: str) -> bool:
    """Return whether ``host`` may hand out tokens for ``registry``: both are equal, or names below one domain."""
    if registry == host:
        return True
    names = [name.partition(":")[0].lower() for name in (registry, host)]
    domains = [name.split(".")[-2:] for name in names]
    return domains[0] == domains[1] and len(domains[0]) == 2 and domains[0][1].isalpha()


def _is_token_challenge(response: httpx.Response) -> bool:
    return bool(response.headers.get("WWW-Authenticate", "").lower().startswith("bearer"))


def _fetch_token(client: httpx.Client, registry: str, challenge: str, credentials: tuple[str, str] | None) -> str:
    """Return a token from the endpoint named in the challenge of a 401 response.

    Raises ValueError if the challenge is not usable, Problems if it names another domain, httpx.HTTPError if the
    request fails.
    """
    parameters = dict(_CHALLENGE.findall(challenge))
    realm = parameters.pop("realm", "")
    realm_url = urlsplit(realm)
    if not challenge.lower().startswith("bearer") or realm_url.scheme != scheme_for(realm_url.netloc):
        message = "the registry requires an unsupported authentication scheme"
        raise ValueError(message)
    if not _is_same_domain(registry, realm_url.netloc):
        message = (
            f"{registry} requires a token from {realm_url.netloc}, which is on another domain; no token was requested"
        )
        raise Problems.from_message(message)
    response = _send(client, client.build_request("GET", realm, params=parameters), credentials)
    if response.status_code in REFUSED_STATUS_CODES:
        return ""
    response.raise_for_status()
    body = response.json()
    return str(body.get("token") or body["access_token"]) if isinstance(body, dict) else ""
