"""Send a request to a configured URL, but never to this machine, its links or the metadata of its cloud.

The name is resolved once; the address that was checked is the one that is connected to, so no second answer of a name
server counts.  API: HTTPS POST.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 5.0
METADATA_NETWORKS = (ipaddress.ip_network("fd00:ec2::/32"),)
"""Metadata of AWS outside of the link-local networks (Amazon EC2 User Guide, "Instance metadata")."""
EMBEDDING_NETWORKS = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("2002::/16"))
"""Networks whose addresses hold one of IPv4, which a gateway may translate (RFC 6052, RFC 3056)."""
Resolver = Callable[[str, int], Sequence[str]]


class ForbiddenTargetError(Exception):
    """A URL leads to an address to which nothing may be sent."""


def resolve_host(host: str, port: int) -> list[str]:
    """Return the addresses of a host.  Raises OSError if it has none."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allows_loopback: bool = False,
    resolve: Resolver = resolve_host,
) -> httpx.Response:
    """Send a POST request and return the response; a redirect is a response like any other.

    Raises ForbiddenTargetError if any address of the host may not be reached, httpx.HTTPError if it does not answer.
    """
    import httpx

    try:
        target = httpx.URL(url)
    except httpx.InvalidURL:
        raise ForbiddenTargetError("the URL cannot be a webhook target: it is malformed") from None
    port = target.port or (443 if target.scheme == "https" else 80)
    try:
        addresses = resolve(target.host, port)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(f"cannot resolve the host ({type(error).__name__})") from None
    for address in addresses:
        check_address(address, allows_loopback=allows_loopback)
    request_headers = {**headers, "Host": target.netloc.decode("ascii")}
    extensions = {"sni_hostname": target.host}  # TLS checks the certificate against this name
    with httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False) as client:
        return client.post(
            target.copy_with(host=addresses[0]), content=body, headers=request_headers, extensions=extensions
        )


def check_address(address: str, *, allows_loopback: bool = False) -> None:
    """Raise ForbiddenTargetError if ``address`` is of this machine, its links, the metadata service, or of nobody."""
    parsed = _unwrap(ipaddress.ip_address(address.partition("%")[0]))
    if allows_loopback and parsed.is_loopback:
        return
    is_forbidden = (
        parsed.is_loopback
        or parsed.is_link_local
        or parsed.is_unspecified
        or parsed.is_multicast
        or parsed.is_reserved
        or any(parsed in network for network in METADATA_NETWORKS)
    )
    if is_forbidden or "%" in address:
        raise ForbiddenTargetError(f"{address} cannot be a webhook target: it is a local or cloud metadata address")


def _unwrap(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IPv4 address that an IPv6 one holds, or the address."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    for network in EMBEDDING_NETWORKS:
        if address in network:
            return address.sixtofour or ipaddress.IPv4Address(address.packed[-4:])
    return address
