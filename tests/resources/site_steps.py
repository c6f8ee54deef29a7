"""The steps of sites, which have no file of cases: a first one, one that overwrites and removes, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from orchestrator.artefacts import Site
from orchestrator.resources import s3_site
from orchestrator.steps import Step, trace_steps
from orchestrator.values import WriteOnly
from orchestrator.vocabulary import LiveResource
from tests.resources.cases import SCOPE
from tests.resources.test_s3_site import PARTS, S3, STORE, WEB, build, ship, stands

FIRST = {"index.html": "one", "about.html": "one", PARTS[0]: "one", PARTS[1]: "one"}
SECOND = {"index.html": "two", PARTS[0]: "two", PARTS[2]: "two"}
DISTRIBUTIONS = [{"id": "E1", "patterns": ["*"]}]


def list_steps() -> list[Step]:
    """Every step of shipping the first site, the second over it, and the first again from its archive."""
    s3 = S3()
    steps: list[Step] = []
    with TemporaryDirectory() as folder:
        first = build(Path(folder) / "1", FIRST, odd_types=False)
        second = build(Path(folder) / "2", SECOND, odd_types=False)
        for site in (first, second, replace(first, folder=None)):
            steps += _trace(s3, site)
            ship(s3, site)
    return steps


def _trace(s3: S3, site: Site) -> Iterator[Step]:
    live = LiveResource({}, private={"found": stands(s3, site, by_etag=True)})
    shipping = {"site": site, "store": STORE, "by_etag": True, "distributions": DISTRIBUTIONS}
    spec = {"site": site.digest, "shipping": WriteOnly(shipping)}
    yield from trace_steps("s3_site.web", s3_site.update(SCOPE, WEB, spec, live, frozenset({"site"}))).steps
