"""Nobody who has a page open misses a part of it: at any moment of deploys, of a way back, and of what is tidied up."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from orchestrator.aws.errors import AwsError
from orchestrator.emulator import Emulator
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.release import checkout, rollback
from orchestrator.release.deploy import Deployment
from orchestrator.release.ledger_entry import Origin
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.steps import is_read
from tests.proofs.real_stack import SharedClients
from tests.release.shop_project import skip_probe
from tests.release.site_checkout import V0, V1, V2, SiteCheckout

V3 = V1 | {"index.html": "<script src=assets/app-9e9f9a9b.js>", "assets/app-9e9f9a9b.js": "three"}
FRONTS = {version["index.html"] for version in (V0, V1, V2, V3)}
TYPES = {".js": "text/javascript; charset=utf-8"}


class Visitors(SharedClients):
    """Clients that look, before every write and at the end, at what visitors get who have any page so far."""

    def __init__(self, site: SiteCheckout) -> None:
        super().__init__()
        self._site = site
        self._lock = threading.Lock()
        self.open: dict[str, str] = {}
        self.looks = 0
        self.missed: list[str] = []

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        if not is_read(operation):
            with self._lock:
                self.look(f"{operation} {parameters.get('Key', '')}")
        return super().call(service, operation, parameters, region)

    def look(self, moment: str) -> None:
        """Ask for the front page, and for each part that a front page so far names."""
        try:
            there = set(self._site.list_keys())
        except AwsError:  # no bucket yet
            there = set()
        if "index.html" not in there:
            self.missed += [f"{moment}: index.html"] if self.open else []
            return
        self.looks += 1
        front = self._site.get("index.html")
        page = front["Body"].read().decode()
        if (page not in FRONTS, front["ContentType"]) != (False, "text/html; charset=utf-8"):
            self.missed.append(f"{moment}: index.html is {page}")
        version = next((one for one in (V0, V1, V2, V3) if one["index.html"] == page), {})
        self.open |= {path: text for path, text in version.items() if path in page}
        for path, text in self.open.items():
            found = self._site.get(path) if path in there else None
            if found is None or (found["Body"].read().decode(), found["ContentType"]) != (text, TYPES[path[-3:]]):
                self.missed.append(f"{moment}: {path}")


def test_nothing_is_missed_at_any_moment(tmp_path: Path, emulator: Emulator) -> None:
    """Three deploys, the way back to the first, and a fix: before every write and after the last."""
    site = SiteCheckout(tmp_path, emulator)
    visitors = Visitors(site)
    store = LedgerStore(visitors, "shop-releases", "prod")

    def run() -> Deployment:
        return Deployment(store, Origin("ana", ""), visitors, ignore_event, prober=skip_probe)

    def deploy(version: dict[str, str]) -> None:
        site.build(version)
        asked = checkout.load(tmp_path, "prod", visitors)
        ended = run().deploy(pipeline.plan(asked.desired, clients=visitors), asked, lambda cause: None)
        assert (ended.status, ended.cause, ended.warnings) == ("released", "", ())
        visitors.look("the end of a deploy")

    for version in (V0, V1, V2):
        deploy(version)
    way = rollback.prepare(store.read(), rollback.choose_release(store.read(), 1), (), store)
    ended = run().rollback(pipeline.plan(way.candidate.desired, clients=visitors), way, "", lambda cause: None)
    assert ended.status == "released"
    visitors.look("the end of the way back")
    assert site.get("index.html")["Body"].read().decode() == V0["index.html"]
    deploy(V3)

    assert visitors.missed == []
    assert len(visitors.open) == 4
    assert visitors.looks > 40
