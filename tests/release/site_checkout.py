"""A checkout with a built site, and the emulated bucket that it is shipped to."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from orchestrator.artefacts import Artefacts, Site
from orchestrator.artefacts.sites.folder import scan
from orchestrator.aws import Clients
from orchestrator.emulator import Emulator
from orchestrator.manifest import expand
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.planning.plan import PreparedPlan
from orchestrator.release import checkout
from orchestrator.vocabulary import DesiredState
from tests import performed_calls
from tests.proofs import real_stack
from tests.proofs.real_stack import list_failures
from tests.release.manifests import PROJECT

SITE = """
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: web}
spec: {name: shop-web, spa: {dir: dist}%s}
"""
CDN = """
---
apiVersion: orchestrator/v1
kind: Cdn
metadata: {name: web}
spec: {origin: bucket.web}
"""
MARKER_PREFIX = ".orchestrator/"
MAX_DISTURBED_RUNS = 3
V0 = {
    "index.html": "<script src=assets/app-0a0b0c0d.js>",
    "assets/app-0a0b0c0d.js": "zero",
}
V1 = {
    "index.html": "<script src=assets/app-1a2b3c4d.js>",
    "about.html": "about 1",
    "robots.txt": "all",
    "assets/app-1a2b3c4d.js": "one",
    "assets/shared-9f8e7d6c.js": "shared",
}
V2 = {
    "index.html": "<script src=assets/app-5e6f7a8b.js>",
    "contact.html": "contact 2",
    "robots.txt": "all",
    "assets/app-5e6f7a8b.js": "two",
    "assets/shared-9f8e7d6c.js": "shared",
}


class SiteCheckout:
    """A checkout with a built site, and the bucket that it is shipped to; ``more`` is said of that bucket."""

    def __init__(self, folder: Path, emulator: Emulator, bucket_options: str = "", extra_documents: str = "") -> None:
        self.folder = folder
        self.emulator = emulator
        self.clients = real_stack.clients()
        (folder / "shop.yaml").write_text(PROJECT + SITE % bucket_options + extra_documents)

    def build(self, files: Mapping[str, str]) -> None:
        """Build from nothing: every file is new."""
        for path in sorted((self.folder / "dist").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        for name, text in files.items():
            path = self.folder / "dist" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def scan_site(self) -> Site:
        """The site as it is built at present."""
        return scan(self.folder / "dist")

    def desired(self, previous_site: Site | None = None) -> DesiredState:
        """What the checkout wants, or with a site of an earlier release in its stead."""
        if previous_site is None:
            return checkout.load(self.folder, "prod", self.clients).desired
        sites = {"bucket.web": replace(previous_site, folder=None)}
        return expand.expand(pipeline.validate(self.folder, "prod"), Artefacts(sites=sites))

    def plan(self, previous_site: Site | None = None) -> PreparedPlan:
        return pipeline.plan(self.desired(previous_site), clients=self.clients)

    def apply(self, clients: Clients | None = None, previous_site: Site | None = None) -> list[str]:
        """Apply; what went wrong, in words.  The emulator has counted the calls of the apply alone."""
        planned = self.plan(previous_site)
        self.emulator.clear_calls()
        return list_failures(performed_calls.apply(planned, ignore_event, clients=clients or self.clients))

    def ship(self, *versions: Mapping[str, str]) -> None:
        """One after the other."""
        for version in versions:
            self.build(version)
            errors = self.apply()
            assert errors == [], errors

    def list_keys(self) -> list[str]:
        """Everything that is in the bucket."""
        pages = self.clients.pages("s3", "list_objects_v2", {"Bucket": "shop-web"})
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def read_pages(self) -> dict[str, str]:
        """Every object of the bucket that is somebody's page."""
        return {
            key: self.get(key)["Body"].read().decode() for key in self.list_keys() if not key.startswith(MARKER_PREFIX)
        }

    def get(self, key: str) -> dict[str, Any]:
        response: dict[str, Any] = self.clients.call("s3", "get_object", {"Bucket": "shop-web", "Key": key})
        return response

    def put(self, key: str, text: str, **headers: str) -> None:
        """What somebody does by hand."""
        self.clients.call("s3", "put_object", {"Bucket": "shop-web", "Key": key, "Body": text.encode(), **headers})

    def list_write_operations(self) -> list[str]:
        """The calls of the last apply that changed something, in order."""
        return [
            call.operation for call in self.emulator.calls if not call.operation.startswith(("Get", "List", "Head"))
        ]

    def crash_apply(self, number: int) -> bool:
        """Apply and be killed at the ``number``-th chance: before the first write, after it, before the second ...

        Whether it came to that.  A busy machine can disturb a run with one attempt for each call: it is then run again.
        """
        for _ in range(MAX_DISTURBED_RUNS):
            self.emulator.crash_at((number + 1) // 2, "before" if number % 2 else "after")
            failures: object = "an exception"
            with suppress(Exception):  # whatever a dying AWS leads to
                failures = self.apply(real_stack.clients(attempts=1))
            crashed = self.emulator.is_crashed
            self.emulator.revive()
            if crashed or failures == []:
                return crashed
        raise AssertionError(f"neither killed nor finished at {number}: {failures}")

    def empty_bucket(self) -> None:
        """As if nothing had ever been shipped."""
        for page in self.clients.pages("s3", "list_object_versions", {"Bucket": "shop-web"}):
            for item in page.get("Versions", []) + page.get("DeleteMarkers", []):
                request = {"Bucket": "shop-web", "Key": item["Key"], "VersionId": item["VersionId"]}
                self.clients.call("s3", "delete_object", request)
