"""Find the address of a client behind proxies: ``X-Forwarded-For`` is believed from configured proxies only.  Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from orchestrator.problems import Problems

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PROXIES_BY_RUNTIME: Mapping[str, tuple[str, ...]] = {
    "app-runner": ("169.254.0.0/16",),
    "ecs-express": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
}
"""Addresses of the proxies of AWS: App Runner's is link-local, the load balancer of ECS Express Mode is in the VPC."""


def parse_trusted_proxies(setting: str) -> tuple[Network, ...]:
    """Parse ``State__TrustedProxies``: runtimes of AWS, addresses or networks, separated by commas.

    Raises Problems if an entry is none of them.
    """
    networks: list[Network] = []
    for entry in filter(None, (part.strip() for part in setting.split(","))):
        try:
            networks += [
                ipaddress.ip_network(address, strict=False) for address in PROXIES_BY_RUNTIME.get(entry, (entry,))
            ]
        except ValueError:
            raise Problems.from_message(
                f"State__TrustedProxies: {entry!r} is not an IP address or a CIDR range",
                hint=f"use {', '.join(PROXIES_BY_RUNTIME)}, or addresses such as 10.0.0.0/8",
            ) from None
    return tuple(networks)


def find_client_address(peer: str, forwarded_for: str, trusted_proxies: tuple[Network, ...]) -> str:
    """Return the address of the client: the last one of ``X-Forwarded-For`` that is not of a trusted proxy.

    Each proxy appends the address that it sees, so whatever comes before that may be invented by the client.
    """
    address = peer
    for hop in reversed(forwarded_for.split(",") if forwarded_for else []):
        if not _is_trusted(address, trusted_proxies):
            return address
        try:
            address = str(ipaddress.ip_address(hop.strip()))
        except ValueError:
            return address
    return address


def _is_trusted(address: str, trusted_proxies: tuple[Network, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in trusted_proxies)
