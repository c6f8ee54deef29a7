"""The commands that users type, against an emulated AWS whose CDN is asked what it serves: exit codes and sentences."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.emulator import Emulator
from orchestrator.release import bucket_lease
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.steps import is_read
from tests.release.site_checkout import SiteCheckout

MORE = """
---
apiVersion: orchestrator/v1
kind: Cdn
metadata: {name: web}
spec:
  origin: bucket.web
  smoke: [{path: /, status: 200, contains: the shop, withinSeconds: 1}]
---
apiVersion: orchestrator/v1
kind: Secret
metadata: {name: app}
spec: {name: shop-app, data: {Issuer: one}}
"""


def page(number: int) -> dict[str, str]:
    """A site whose page loads a part of its own."""
    part = f"assets/app-{number:07d}a.js"
    return {"index.html": f"the shop {number} <script src={part}>", part: f"part {number}"}


BROKEN = {"index.html": "an empty page"}


@dataclass(frozen=True)
class Shown:
    """What one command line did."""

    code: int
    out: str
    err: str


Run = Callable[..., Shown]


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    """What a command line sets for its process ends with the test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def shop(tmp_path: Path, emulator: Emulator) -> SiteCheckout:
    return SiteCheckout(tmp_path, emulator, extra_documents=MORE)


@pytest.fixture
def run(shop: SiteCheckout, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a verb where there is neither git nor CI, nor a state service that answers; only a deploy minds."""
    monkeypatch.setenv("ORCHESTRATOR_STATE_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    def verb(name: str, *arguments: str) -> Shown:
        capsys.readouterr()
        writes = name in {"deploy", "rollback"} and "--plan" not in arguments
        more = ["--auto-approve", *(["--without-record"] if name == "deploy" else [])] if writes else []
        code = main([name, *arguments, *more, "-f", str(shop.folder), "-e", "prod"])
        return Shown(code, *capsys.readouterr())

    return verb


def store(shop: SiteCheckout) -> LedgerStore:
    return LedgerStore(shop.clients, "shop-releases", "prod")


def test_a_release_goes_out_and_comes_back(shop: SiteCheckout, run: Run) -> None:
    """Deploy twice, look, try, go back, let go: what each says, what each changes, and what it leaves alone."""
    shop.build(page(1))
    first = run("deploy")
    shop.build(page(2))
    run("deploy")
    assert (first.code, "2 of 2 probes passed" in first.out) == (0, True), first
    assert shop.read_pages()["index.html"] == page(2)["index.html"]

    listed = run("releases").out
    assert "To roll back: orchestrator rollback" in listed
    assert f"site: web {store(shop).read().releases[0].vector.sites['bucket.web'][:12]}" in listed
    rows = json.loads(run("releases", "--format", "json").out)
    assert [(row["number"], row["restorable"], row["is_standing"]) for row in rows] == [
        (2, True, True),
        (1, True, False),
    ]
    assert rows[0]["changed"] == ["bucket.web"]

    shop.emulator.clear_calls()
    tried = run("rollback", "--plan")
    assert (tried.code, "Rollback of everything that differs (" in tried.out) == (0, True), tried
    assert [call.operation for call in shop.emulator.calls if not is_read(_snake(call.operation))] == []

    with bucket_lease.acquire(store(shop), "ben", "deploy"):
        kept_out = run("rollback")
    assert kept_out.code == 1
    assert "prod is locked by ben (deploy); nothing was changed" in kept_out.err

    back = run("rollback", "--reason", "wrong prices")
    assert (back.code, "Rolled back to release 1 (recorded as release 3) in " in back.out) == (0, True), back
    assert shop.read_pages()["index.html"] == page(1)["index.html"]
    assert "site:bucket.web" in run("releases").out
    held = run("deploy")
    assert "wrong prices" in held.out
    assert shop.read_pages()["index.html"] == page(1)["index.html"]

    assert "site:bucket.w is not pinned" in run("unpin", "site:bucket.w").err
    assert "Unpinned site:bucket.web. The next deploy follows the manifests again" in run("unpin").out
    assert run("deploy").code == 0
    assert shop.read_pages()["index.html"] == page(2)["index.html"]


def test_a_deploy_that_does_not_prove_well_exits_5(shop: SiteCheckout, run: Run) -> None:
    """The first cause on top, which release stands, what was done, and one next command."""
    shop.build(page(1))
    run("deploy")
    shop.build(BROKEN)
    failed = run("deploy")

    assert failed.code == 5, failed
    assert "response does not contain 'the shop'" in failed.err
    cause, stands = (
        failed.out.index("Root cause: cdn.web: https://"),
        failed.out.index("Failed: 1 of 2 probes failed. Rolled back to release 1"),
    )
    assert cause < failed.out.index("s3_site.web", cause) < stands
    assert failed.out.rstrip().endswith(f"orchestrator releases -f {shop.folder} -e prod")
    assert shop.read_pages()["index.html"] == page(1)["index.html"]


def test_what_cannot_be_done_is_told_with_a_way_out(shop: SiteCheckout, run: Run) -> None:
    """Before anything was released, of another environment, of no release, without files, without a place for them."""
    assert "there are no releases yet" in run("rollback").err
    assert run("releases").out == "No releases yet.\n"
    assert run("unpin").out == "Nothing is pinned.\n"
    (shop.folder / "dist").mkdir()
    empty = run("deploy")
    assert (empty.code, "contains no index.html" in empty.err, shop.emulator.calls) == (1, True, shop.emulator.calls)
    shop.build(page(1))
    run("deploy")
    other = run("rollback", "--to", "7")
    assert (other.code, "release 7 does not exist" in other.err, "orchestrator releases" in other.err) == (
        1,
        True,
        True,
    )
    same = run("rollback", "--to", "1")
    assert (same.code, "Release 1 is already current" in same.out) == (0, True)
    manifest = shop.folder / "shop.yaml"
    manifest.write_text(manifest.read_text().split("---\n")[0].replace("releases: {bucket: bucket.releases}", ""))
    placeless = run("deploy")
    assert (placeless.code, "the Project has no release bucket" in placeless.err) == (1, True)
    assert "releases: {bucket: bucket.releases}" in placeless.err


def _snake(operation: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation).lstrip("_")
