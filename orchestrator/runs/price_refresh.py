"""Read today's prices from AWS's public offer files, and keep them in a file of the project.

API: HTTP GET of ``/offers/v1.0/aws/SERVICE/current/REGION/index.csv``; needs no credentials.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import httpx

from orchestrator.cost import offer_file, price_list
from orchestrator.cost.price_list import Price, PriceList
from orchestrator.problems import Problem, Problems

DEFAULT_URL = "https://pricing.us-east-1.amazonaws.com"
TIMEOUT_SECONDS = 60.0


def refresh(path: Path, regions: Iterable[str], report: Callable[[str], None], url: str = DEFAULT_URL) -> PriceList:
    """Read the offer files of ``regions`` and write the prices to ``path``, which keeps its other regions.

    Returns what was read.  Raises Problems, all at once, if a file cannot be read; then nothing is written.
    """
    existing = price_list.load_file(path) if path.exists() else PriceList({})
    problems: list[Problem] = []
    read: dict[str, dict[str, Price]] = {}
    with httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, follow_redirects=True) as client:
        for region in regions:
            read[region] = {}
            for service in offer_file.SERVICES:
                try:
                    read[region].update(_read_service(client, service, region))
                except Problems as error:
                    problems.extend(error.problems)
            report(f"{region}: {len(read[region])} prices")
    if problems:
        raise Problems([*problems, Problem(f"{path} was not written")])
    fresh = PriceList(read)
    _write(path, price_list.dump(PriceList({**existing.regions, **fresh.regions})))
    return fresh


def _read_service(client: httpx.Client, service: str, region: str) -> dict[str, Price]:
    address = f"/offers/v1.0/aws/{service}/current/{region}/index.csv"
    try:
        with client.stream("GET", address) as response:
            if response.status_code == httpx.codes.NOT_FOUND:
                return {}  # AWS does not offer the service in this region
            response.raise_for_status()
            return offer_file.read(service, response.iter_lines())
    except httpx.HTTPStatusError as error:
        raise Problems.from_message(
            f"cannot read the prices of {service} in {region} from {client.base_url}: "
            f"HTTP {error.response.status_code}",
            hint="run the command again; until then, estimates use the prices included in the orchestrator",
        ) from None
    except httpx.HTTPError as error:
        raise Problems.from_message(
            f"cannot read the prices of {service} in {region} from {client.base_url}: {type(error).__name__}",
            hint="check the network and the proxy settings; until then, estimates use the prices included in the "
            "orchestrator",
        ) from None


def _write(path: Path, content: bytes) -> None:
    """Replace ``path`` at once, so that no reader meets half a file."""
    with tempfile.NamedTemporaryFile(dir=path.resolve().parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(content)
    Path(file.name).replace(path)
