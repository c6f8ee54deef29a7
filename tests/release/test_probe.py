"""What is asked of what was shipped, and what counts as the right answer.  No network: answers and time are given."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.artefacts import Artefacts, Image
from orchestrator.artefacts.sites.folder import scan
from orchestrator.planning import pipeline
from orchestrator.release.probe import Probe, ProbeResult, build_probes, run_probes
from orchestrator.vocabulary import LiveResource
from tests.release.manifests import PROJECT, WEB

Answer = tuple[int, Mapping[str, str], bytes]
MORE = """
---
apiVersion: orchestrator/v1
kind: Cdn
metadata: {name: web}
spec: {origin: bucket.web, smoke: [{path: /deep/link, status: 200, contains: shop}]}
---
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: api}
spec:
  image: {repository: shop-api, build: {context: api}}
  health: {path: /health, releaseHeader: X-Release}
  smoke: [{path: /orders, status: 401, withinSeconds: 5}]
"""
MANIFESTS = PROJECT + WEB + MORE


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def asked(probe: Probe, *answers: Answer | Exception) -> ProbeResult:
    """The proof where these are the answers in turn, and the last one from then on."""
    coming: Iterator[Answer | Exception] = iter(answers)
    last: list[Answer | Exception] = []

    def get(_: Probe) -> Answer:
        last[:] = [next(coming, *last)]
        if isinstance(last[0], Exception):
            raise last[0]
        return last[0]

    (proof,) = run_probes((probe,), get, Clock())
    return proof


def probe(**more: Any) -> Probe:
    return Probe("cdn.web", "shop.example", "/", **{"timeout_seconds": 3.0, **more})


SHA = hashlib.sha256(b"page").hexdigest()


@pytest.mark.parametrize(
    ("more", "answer", "saw"),
    [
        ({}, (200, {}, b""), ""),
        ({}, (503, {}, b""), "status 503, expected 200"),
        ({"expected_statuses": (401,)}, (200, {}, b""), "status 200, expected 401"),
        ({"expected_statuses": (301, 308)}, (200, {}, b""), "status 200, expected 301 or 308"),
        ({"contains": "cart"}, (200, {}, b"<b>cart</b>"), ""),
        ({"contains": "cart"}, (200, {}, b"sorry"), "response does not contain 'cart'"),
        ({"contains": "caf\u00e9"}, (200, {}, "caf\u00e9".encode()), ""),
        ({"header": ("X-Release", "ab12")}, (200, {"X-Release": "ab12"}, b""), ""),
        ({"header": ("X-Release", "ab12")}, (200, {"X-Release": "0000"}, b""), "header X-Release: 0000, expected ab12"),
        ({"header": ("X-Release", "ab12")}, (200, {}, b""), "header X-Release: (missing), expected ab12"),
        ({"sha256": SHA}, (200, {}, b"page"), ""),
        ({"sha256": SHA}, (200, {}, b"another"), "content differs from the deployed site"),
        ({}, httpx.ConnectError("refused"), "no response (ConnectError: refused)"),
    ],
)
def test_an_answer_is_right_or_it_is_told_what_is_not(
    more: dict[str, Any], answer: Answer | Exception, saw: str
) -> None:
    proof = asked(probe(**more), answer)

    assert proof.has_passed == (not saw)
    assert proof.failure.startswith(saw)


def test_it_is_asked_again_until_it_is_right() -> None:
    """A new instance takes a while, and a CDN forgets slowly."""
    proof = asked(probe(), httpx.ConnectError("refused"), (503, {}, b""), (200, {}, b""))

    assert (proof.has_passed, proof.duration_seconds > 0) == (True, True)


def test_it_is_not_asked_for_longer_than_it_may_take() -> None:
    proof = asked(probe(timeout_seconds=7.0), (503, {}, b""))

    assert not proof.has_passed
    assert 3.0 < proof.duration_seconds <= 7.0


def test_all_are_asked_and_each_has_its_own_answer() -> None:
    """In the order in which they were given."""
    wanted = tuple(probe(contains=word) for word in ("one", "two"))

    assert [proof.has_passed for proof in run_probes(wanted, lambda _: (200, {}, b"two"), Clock())] == [False, True]
    assert run_probes(()) == ()


def test_services_and_cdns_are_asked_what_the_manifest_says(tmp_path: Path) -> None:
    """Which build answers, whose bytes the front page has, and the smoke tests with their time."""
    (tmp_path / "shop.yaml").write_text(MANIFESTS)
    for name in ("dist/index.html", "api/Dockerfile"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("FROM scratch\n")
    shipped = Artefacts(images={"containerservice.api": Image("ab12")}, sites={"bucket.web": scan(tmp_path / "dist")})
    live = {
        "apprunner_service.api": LiveResource({}, {"host": "api.example"}),
        "cloudfront_distribution.web": LiveResource({}, {"host": "web.example"}),
    }
    found = build_probes(pipeline.load_desired(tmp_path, "prod"), live, shipped)

    index = shipped.sites["bucket.web"].files["index.html"].sha256
    assert set(found) == {
        Probe("cdn.web", "web.example", "/", sha256=index),
        Probe("cdn.web", "web.example", "/deep/link", contains="shop", timeout_seconds=60.0),
        Probe("containerservice.api", "api.example", "/health", header=("X-Release", "ab12")),
        Probe("containerservice.api", "api.example", "/orders", (401,), timeout_seconds=5.0),
    }
    assert build_probes(pipeline.load_desired(tmp_path, "prod"), {}, shipped) == (), "what is not there is not asked"


class Redirecting(BaseHTTPRequestHandler):
    """Sends everybody to a login page, which says 200."""

    def do_GET(self) -> None:
        is_login = self.path == "/login"
        self.send_response(200 if is_login else 302)
        if not is_login:
            self.send_header("Location", "/login")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


def test_a_redirect_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that sends everybody to the login is not the page that was shipped, whatever the login answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Redirecting)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    try:
        (login,) = run_probes((Probe("cdn.web", "shop.example", "/login"),), clock=Clock())
        (result,) = run_probes((Probe("cdn.web", "shop.example", "/"),), clock=Clock())
    finally:
        server.shutdown()
        server.server_close()

    assert (login.has_passed, result.has_passed) == (True, False)
    assert result.failure == "status 302, expected 200"
