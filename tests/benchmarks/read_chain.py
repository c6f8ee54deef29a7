"""Find the longest chain of sequential reads in a plan, and count the sequential calls in a log.

As a module, in the environment of an emulator that contains the stack: reads every resource separately, without a
cache, and prints the address with the most calls and their number.  A plan reads resources in parallel, so this chain
is a lower bound for its duration.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


class _CountingClients:
    """Clients that count their calls."""

    def __init__(self, clients: Any) -> None:
        self._clients = clients
        self.call_count = 0

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        self.call_count += 1
        return self._clients.call(service, operation, parameters, region)

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> list[Any]:
        pages: list[Any] = self._clients.pages(service, operation, parameters, region)
        self.call_count += len(pages)
        return pages


def find_longest_chain(folder: Path) -> tuple[str, int]:
    """Return the address with the longest chain, and its length in calls."""
    from orchestrator import resources
    from orchestrator.aws import Clients, Reader
    from orchestrator.planning import pipeline

    desired = pipeline.load_desired(folder)
    clients = Clients(desired.scope.region)
    chains: dict[str, int] = {}
    for resource in desired.resources:
        counting = _CountingClients(clients)
        module = resources.load(resource.type)
        module.read(Reader(counting), desired.scope, resource.physical, resource.spec)
        chains[resource.address] = counting.call_count
    for kind in resources.list_types():
        counting = _CountingClients(clients)
        list(resources.discover(kind, Reader(counting), desired.scope))
        chains[f"discovery of {kind}"] = counting.call_count
    return max(chains.items(), key=lambda item: item[1])


def count_sequential_calls(calls: Iterable[Mapping[str, Any]]) -> int:
    """Return the largest number of calls in a log that do not overlap each other.

    It exceeds the longest chain if calls waited for a connection, a thread or the client's own work.
    """
    deepest, last = 0, float("-inf")
    for call in sorted((call for call in calls if call["ended"] is not None), key=lambda call: call["ended"]):
        if call["started"] >= last:
            deepest, last = deepest + 1, call["ended"]
    return deepest


if __name__ == "__main__":
    print(*find_longest_chain(Path(sys.argv[1])))
