"""The whole story with real parts: a builder, a registry, processes that answer HTTP, and a browser that looks.

The sample application is shipped, breaks, comes back and is mended, through the verbs that people type.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from orchestrator import shell
from orchestrator.aws import Clients
from orchestrator.cli.main import main
from orchestrator.demo import sample
from orchestrator.emulator import Emulator, start
from orchestrator.problems import ExitCode
from tests.artefacts.images.builder_store import use_overlay_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(480),
    pytest.mark.xdist_group("registry"),
    pytest.mark.skipif(shell.which("buildah") is None, reason="needs buildah"),
]
DEEP_LINK = "/sales/42"
FACTS = "Object.fromEntries([...document.querySelectorAll('dd')].map(fact => [fact.id, fact.innerText]))"
UNRELATED = """---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: exports}
spec: {name: sample-exports}
"""


@dataclass
class Shop:
    """The sample's checkout, and what its users and its operators see."""

    emulator: Emulator
    checkout: Path
    page: Any
    capsys: pytest.CaptureFixture[str]
    clients: Clients
    hosts: dict[str, str] = field(default_factory=dict)

    def merge(self, version: str, *, healthy: bool = True, more: str = "") -> None:
        """What main holds now."""
        manifests = sample.write_checkout(self.checkout, version, healthy=healthy)
        (manifests / "more.yaml").write_text(more)

    def type(self, verb: str, *words: str) -> tuple[int, str]:
        """One command; its exit code and what the terminal shows."""
        self.capsys.readouterr()
        code = main([verb, "-f", str(self.checkout / "manifests"), "-e", "prod", *words])
        shown = self.capsys.readouterr()
        return code, shown.out + shown.err

    def deploy(self) -> tuple[int, str]:
        return self.type("deploy", "--auto-approve")

    def host(self, kind: str) -> str:
        """Where AWS says that the API or the site answers."""
        if not self.hosts:
            services = self.clients.call("apprunner", "list_services", {})["ServiceSummaryList"]
            sites = self.clients.call("cloudfront", "list_distributions", {})["DistributionList"]["Items"]
            self.hosts = {"api": services[0]["ServiceUrl"], "site": sites[0]["DomainName"]}
        return self.hosts[kind]

    def ask(self, path: str) -> tuple[int, Any]:
        """One request to the API, as the internet sends it."""
        connection = HTTPConnection("127.0.0.1", urlsplit(self.emulator.url).port or 0, timeout=10)
        try:
            connection.request("GET", path, headers={"Host": self.host("api")})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    @contextmanager
    def asked_all_along(self) -> Iterator[list[tuple[int, str]]]:
        """Ask the API for its version again and again; every answer, in order."""
        seen: list[tuple[int, str]] = []
        over = threading.Event()

        def asking() -> None:
            while not over.wait(0.1):
                status, content = self.ask("/version")
                seen.append((status, str(content.get("version"))))

        thread = threading.Thread(target=asking)
        thread.start()
        try:
            yield seen
        finally:
            over.set()
            thread.join()

    def browse(self, path: str = DEEP_LINK) -> tuple[dict[str, str], dict[str, int]]:
        """Open a page in the browser: what it shows when its script has run, and the status of all that it fetched."""
        fetched: dict[str, int] = {}

        def note(answer: Any) -> None:
            fetched[urlsplit(answer.url).path] = answer.status

        self.page.on("response", note)
        self.page.goto(f"{self.emulator.browser_url(self.host('site'))}{path}")
        self.page.wait_for_selector("#missing")
        self.page.remove_listener("response", note)
        return self.page.evaluate(FACTS), fetched

    def stands(self) -> tuple[str, str]:
        """The version of the API and of the site, as users meet them."""
        status, content = self.ask("/version")
        assert status == 200
        return content["version"], self.browse()[0]["version"]


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], browser: Any
) -> Iterator[Shop]:
    with (
        use_overlay_store(tmp_path, monkeypatch),
        start(settle_seconds=0, run_services=True) as emulator,
        closing(browser.new_page()) as page,
    ):
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        yield Shop(emulator, tmp_path / "checkout", page, capsys, Clients("eu-west-1"))


def test_it_is_shipped_it_breaks_it_comes_back_and_it_is_mended(shop: Shop) -> None:
    """Two good releases, a bad one, a rollback, an unrelated merge and a fix; users see good builds only."""
    shop.merge("1")
    code, shown = shop.deploy()
    assert (code, "3 of 3 probes passed" in shown) == (ExitCode.OK, True)
    assert re.search(r"probing +cdn\.web /sales/42  GET https://\S+/sales/42 \(timeout 20s\)", shown)
    assert re.search(r"\ds +passed +cdn\.web /sales/42", shown)
    assert shop.ask("/version") == (200, {"version": "1", "hasKey": True})
    model = {"Bucket": "sample-files", "Key": "ml-models/current.json", "Body": b'{"version": "7"}'}
    shop.clients.call("s3", "put_object", {**model, "ContentType": "application/json"})
    facts, fetched = shop.browse()
    sale = "sale 42, by the chunk of version 1"
    assert facts == {"version": "1", "path": DEEP_LINK, "sale": sale, "model": "7", "missing": "404"}
    [chunk] = [path for path in fetched if re.fullmatch(r"/assets/sale-[0-9a-f]{8}\.js", path)]
    assert fetched.pop("/ml-models/no-such-model.json") == 404
    assert set(fetched.values()) == {200}

    shop.merge("2")
    with shop.asked_all_along() as seen:
        assert shop.deploy()[0] == ExitCode.OK
    assert [seen[0], *sorted(set(seen))] == [(200, "1"), (200, "1"), (200, "2")]
    assert seen == sorted(seen)
    assert shop.page.evaluate("path => fetch(path, {cache: 'no-store'}).then(answer => answer.status)", chunk) == 200
    assert shop.stands() == ("2", "2")

    shop.merge("3", healthy=False)
    with shop.asked_all_along() as seen:
        code, shown = shop.deploy()
    assert code == ExitCode.ROLLED_BACK
    assert set(seen) == {(200, "2")}
    assert shop.stands() == ("2", "2")
    failed = "update failed (see the root cause)"
    ends = ("Skipped", "Done", "Probes of the restored release", "Rolled back to release 2", "orchestrator releases")
    assert_reads_in_order(shown, "Root cause: apprunner_service.api", "GET /health returned 500", failed, *ends)

    _, fetched = shop.browse()
    [newer_chunk] = [path for path in fetched if re.fullmatch(r"/assets/sale-[0-9a-f]{8}\.js", path)]
    code, shown = shop.type("rollback", "--to", "1", "--auto-approve")
    assert (code, "Rolled back to release 1" in shown) == (ExitCode.OK, True)
    for path in (chunk, newer_chunk):  # asked for by the tab that still shows release 2
        assert shop.page.evaluate("path => fetch(path, {cache: 'no-store'}).then(answer => answer.status)", path) == 200
    assert shop.stands() == ("1", "1")

    shop.merge("3", healthy=False, more=UNRELATED)
    code, shown = shop.deploy()
    assert (code, "created    s3_bucket.exports" in shown) == (ExitCode.PINNED, True)
    assert shop.stands() == ("1", "1")

    shop.merge("4", more=UNRELATED)
    assert shop.deploy()[0] == ExitCode.OK
    assert shop.stands() == ("4", "4")
    assert "Pinned" not in shop.type("releases")[1]


def assert_reads_in_order(text: str, *parts: str) -> None:
    """Each part is there, after the one before it."""
    at = -1
    for part in parts:
        found = text.find(part, at + 1)
        assert found > at, f"{part!r} is not where it should be in\n{text}"
        at = found
