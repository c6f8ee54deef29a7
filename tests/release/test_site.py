"""A site in its bucket: what is uploaded, in which order, what a killed switch leaves, and the way back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator import pipeline
from orchestrator.aws import Clients
from orchestrator.emulator import Emulator
from orchestrator.events import ignore
from orchestrator.model import Desired
from orchestrator.release import wanted
from tests.proofs.world import aws

MANIFESTS = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec:
  repository: shop/shop
  region: eu-west-1
  account: "123456789012"
  releases: {bucket: bucket.releases}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: releases}
spec: {name: shop-releases}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: web}
spec: {name: shop-web, spa: {dir: dist}}
"""
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


class Web:
    """A checkout with a built site, and the bucket that it is shipped to."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.folder = folder
        self.emulator = emulator
        self.clients = Clients("eu-west-1")
        (folder / "shop.yaml").write_text(MANIFESTS)

    def build(self, files: Mapping[str, str]) -> None:
        """Build from nothing: every file is new."""
        for path in sorted((self.folder / "dist").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        for name, text in files.items():
            path = self.folder / "dist" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def desired(self) -> Desired:
        return wanted.of(self.folder, "prod", self.clients).desired

    def apply(self, clients: Clients | None = None) -> list[str]:
        """Apply; the S3 and CloudFront writes that it took, e.g. ``PutObject index.html``."""
        planned = pipeline.plan(self.desired(), clients=self.clients)
        self.emulator.forget_calls()
        outcomes = pipeline.apply(planned, ignore, clients=clients or self.clients)
        return [str(outcome.reason) for outcome in outcomes if outcome.reason]

    def served(self) -> dict[str, str]:
        """Every object of the bucket that is somebody's page."""
        listed = self.clients.pages("s3", "list_objects_v2", {"Bucket": "shop-web"})
        keys = [item["Key"] for page in listed for item in page.get("Contents", ())]
        return {key: self.get(key)["Body"].read().decode() for key in keys if not key.startswith(".orchestrator/")}

    def get(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = self.clients.call("s3", "get_object", {"Bucket": "shop-web", "Key": key})
        return found

    def puts(self) -> list[str]:
        """The S3 objects that were written since the last plan, in order."""
        return [call.operation for call in self.emulator.calls if call.operation in {"PutObject", "CopyObject"}]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with aws() as emulator:
        shop = Web(tmp_path, emulator)
        shop.build(V1)
        shop.apply()
        yield shop


def test_a_site_is_served_as_it_was_built(web: Web) -> None:
    assert web.served() == V1
    page, part = web.get("index.html"), web.get("assets/app-1a2b3c4d.js")
    assert (page["ContentType"], page["CacheControl"]) == ("text/html; charset=utf-8", "no-cache")
    assert part["CacheControl"] == "public, max-age=31536000, immutable"


def test_a_fresh_build_of_the_same_bytes_is_no_change(web: Web) -> None:
    web.build(V1)

    assert pipeline.plan(web.desired(), clients=web.clients).plan.pending == ()


def test_only_what_changed_is_uploaded(web: Web) -> None:
    web.build(V1 | {"assets/app-77aa88bb.js": "three"})
    web.apply()

    assert web.puts() == ["PutObject"] * 4  # the file, the index of the site, the marks before and after


def test_old_parts_stay_and_old_pages_go(web: Web) -> None:
    web.build(V2)
    web.apply()

    assert web.served() == V2 | {"assets/app-1a2b3c4d.js": "one"}


@pytest.mark.parametrize("meddle", ["edit", "delete"])
def test_what_is_changed_by_hand_is_drift_and_is_healed(web: Web, meddle: str) -> None:
    if meddle == "edit":
        web.clients.call("s3", "put_object", {"Bucket": "shop-web", "Key": "index.html", "Body": b"hacked"})
    else:
        web.clients.call("s3", "delete_object", {"Bucket": "shop-web", "Key": "assets/shared-9f8e7d6c.js"})

    change = next(c for c in pipeline.plan(web.desired(), clients=web.clients).plan.pending)
    assert change.address == "s3_site.web"
    assert "by hand" in str(change.fields[0].before)
    web.apply()
    assert web.served() == V1


def test_what_somebody_else_put_there_is_left_alone(web: Web) -> None:
    web.clients.call("s3", "put_object", {"Bucket": "shop-web", "Key": "verification.txt", "Body": b"theirs"})
    web.build(V2)
    web.apply()

    assert web.served()["verification.txt"] == "theirs"


def broken(pages: Mapping[str, str], versions: tuple[Mapping[str, str], ...]) -> list[str]:
    """Parts that somebody may ask for, because a front page that was served names them, and that are not there."""
    asked = [path for version in versions for path in version if path in version["index.html"]]
    first = {path for path in versions[0] if path.startswith("assets/")}
    return [path for path in asked if path not in pages and (path in pages["index.html"] or path in first)]


def test_killed_anywhere_it_heals_and_no_page_is_ever_broken(web: Web) -> None:
    """Before and after every write of the switch from one site to the next."""
    web.build(V2)
    number = 0
    while True:
        number += 1
        hits = crash(web, number)
        assert broken(web.served(), (V1, V2)) == [], f"killed at write {number}"
        web.apply()
        assert web.served() == V2 | {"assets/app-1a2b3c4d.js": "one"}
        assert pipeline.plan(web.desired(), clients=web.clients).plan.pending == ()
        if not hits:
            break
        restore(web)
    assert number > 8


def crash(web: Web, number: int) -> bool:
    """Apply and die at the ``number``-th write, half of the times before it and half after; whether it came to that."""
    web.emulator.crash_at((number + 1) // 2, "before" if number % 2 else "after")
    with suppress(Exception):  # whatever a dying AWS leads to
        web.apply(Clients("eu-west-1", attempts=1))
    crashed = web.emulator.crashed
    web.emulator.revive()
    return crashed


def restore(web: Web) -> None:
    """Begin again from the first site, as if nothing had been."""
    listed = web.clients.pages("s3", "list_object_versions", {"Bucket": "shop-web"})
    for page in listed:
        for item in page.get("Versions", []) + page.get("DeleteMarkers", []):
            given = {"Bucket": "shop-web", "Key": item["Key"], "VersionId": item["VersionId"]}
            web.clients.call("s3", "delete_object", given)
    web.build(V1)
    web.apply()
    web.build(V2)
