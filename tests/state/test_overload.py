"""What strangers can take from others: memory, turns and threads are bounded, and those who are known go first."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from orchestrator.problems import Problems
from orchestrator.state.protocol.records import Run
from orchestrator.state.protocol.requests import BeginRunRequest
from orchestrator.state.server import app, client_address, oidc, rate_limits
from orchestrator.state.server.access import TokenGrant, create_token
from orchestrator.state.server.settings import Settings, build_settings
from orchestrator.state.server.store import Store
from tests.state.api_service import SIGN_IN_SETTINGS, ApiService, run_api_service
from tests.state.fake_issuer import ISSUER_URL, SETTINGS, FakeIssuer
from tests.state.test_writers import post

AT = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path_factory.mktemp('overload')}/state.db")
    yield opened
    opened.engine.dispose()


def test_invented_methods_fill_no_memory(store: Store) -> None:
    """Prometheus, "Do not use labels to store dimensions with high cardinality": any token is a method (RFC 9110)."""
    with run_api_service(store) as house:
        client = house.open_client("read")
        for number in range(30):
            client.request(f"X{number}" + "Y" * 2000, "/api/v1/runs")
        metrics = client.get("/metrics").text

    assert "YYYY" not in metrics
    assert 'method="other"' in metrics
    assert len({line for line in metrics.splitlines() if line.startswith("http_requests_total")}) < 10


PROXIES = client_address.parse_trusted_proxies("ecs-express, 127.0.0.9")
FORWARDED: dict[str, tuple[str, str, str]] = {
    "no proxy": ("198.51.100.7", "203.0.113.1", "198.51.100.7"),
    "a load balancer": ("10.0.3.4", "203.0.113.1", "203.0.113.1"),
    "a header that the client began": ("10.0.3.4", "1.2.3.4, 203.0.113.1", "203.0.113.1"),
    "two proxies": ("127.0.0.9", "1.2.3.4, 203.0.113.1, 10.0.3.4", "203.0.113.1"),
    "an empty header": ("10.0.3.4", "", "10.0.3.4"),
    "nonsense": ("10.0.3.4", "nonsense", "10.0.3.4"),
    "IPv6": ("10.0.3.4", "2001:db8::1", "2001:db8::1"),
}


@pytest.mark.parametrize("name", FORWARDED)
def test_only_a_configured_proxy_says_who_asks(name: str) -> None:
    """Elastic Load Balancing, "X-Forwarded-For": the balancer appends the address of its client to what is there."""
    peer, header, expected = FORWARDED[name]

    assert client_address.find_client_address(peer, header, PROXIES) == expected
    assert client_address.find_client_address(peer, header, ()) == peer


def test_a_proxy_that_is_none_is_refused() -> None:
    with pytest.raises(Problems, match="State__TrustedProxies: 'everybody'"):
        client_address.parse_trusted_proxies("10.0.0.0/8, everybody")
    with pytest.raises(Problems, match="State__TrustedProxies"):
        build_settings({"State__TrustedProxies": "everybody"})
    assert client_address.parse_trusted_proxies("app-runner")


def test_clients_behind_a_proxy_have_limits_of_their_own(store: Store) -> None:
    """And nobody gets another one by inventing a header where there is no proxy."""
    sign_in = "/auth/callback"
    burst = int(rate_limits.MAX_BURST_SIGN_INS)
    with run_api_service(store, **SIGN_IN_SETTINGS, trusted_proxies="127.0.0.0/8") as house:
        balancer = house.open_client()
        stranger = [balancer.get(sign_in, headers={"x-forwarded-for": "203.0.113.1"}) for _ in range(burst + 2)]
        honest = balancer.get(sign_in, headers={"x-forwarded-for": "203.0.113.2"})
    with run_api_service(store, **SIGN_IN_SETTINGS) as house:
        client = house.open_client()
        rotating = [
            client.get(sign_in, headers={"x-forwarded-for": f"203.0.113.{number}"}) for number in range(burst + 2)
        ]

    assert (stranger[-1].status_code, honest.status_code) == (429, 400)
    assert rotating[-1].status_code == 429


@pytest.fixture
def one_address(store: Store) -> Iterator[tuple[ApiService, FakeIssuer]]:
    issuer = FakeIssuer()
    with run_api_service(store, issuer.fetch_keys, **SETTINGS, **SIGN_IN_SETTINGS) as house:
        yield house, issuer


def test_strangers_keep_no_writer_out(store: Store) -> None:
    """All come from one address, as behind a proxy that is not configured: whoever proves who they are is served."""
    issuer = FakeIssuer()
    service = app.create_app(Settings(**SETTINGS, **SIGN_IN_SETTINGS), store, fetch=issuer.fetch_keys)
    service.state.jwks.get("first")
    token = create_token(store, "ci", TokenGrant(("write",)), 600.0, "the tests")
    limits = rate_limits.RequestLimits(app.identify_client, max_burst_requests=2.0)

    def is_served(path: str, credential: str = "") -> bool:
        headers = {"authorization": f"Bearer {credential}"} if credential else {}
        raw = [(name.encode(), text.encode()) for name, text in headers.items()]
        scope = {"type": "http", "method": "GET", "path": path, "headers": raw, "query_string": b"", "app": service}
        with ThreadPoolExecutor(1) as own_thread:  # the tests of pages leave a loop running in this one
            return own_thread.submit(lambda: asyncio.run(limits.try_acquire(scope, headers, "10.0.0.1"))).result()

    def is_served_at_the_limit(path: str, credential: str) -> bool:
        limits._by_address._buckets["10.0.0.1"] = (0.0, time.monotonic() + 3600.0)
        return is_served(path, credential)

    forger = FakeIssuer()
    served = [
        is_served_at_the_limit("/api/v1/runs", token),
        is_served_at_the_limit("/api/v1/token", issuer.sign_token()),
    ]
    forged = [
        is_served_at_the_limit("/api/v1/runs", "ost_guessed"),
        is_served_at_the_limit("/api/v1/token", forger.sign_token()),
        is_served_at_the_limit("/api/v1/token", "x"),
        is_served_at_the_limit("/api/v1/runs", ""),
    ]
    limits._by_identity._buckets["ci"] = (0.0, time.monotonic() + 3600.0)
    more = [is_served_at_the_limit("/api/v1/runs", token)]

    assert (served, forged) == ([True, True], [False] * 4)
    assert False in more  # one writer has a limit, too


def test_sign_ins_of_strangers_keep_no_job_out(one_address: tuple[ApiService, FakeIssuer]) -> None:
    """The exchange of a token is no sign-in of a person, and does not share its limit."""
    house, issuer = one_address
    with httpx.Client(base_url=house.address, timeout=30) as client:
        for _ in range(int(rate_limits.MAX_BURST_SIGN_INS) + 20):
            client.post("/api/v1/token")
            client.get("/auth/callback")
        traded = client.post("/api/v1/token", headers={"authorization": f"Bearer {issuer.sign_token()}"})

    assert traded.status_code == 200


def test_an_issuer_that_hangs_holds_up_one_request(store: Store) -> None:
    """Keys are fetched by one thread; who needs a lease, a probe or a page does not wait for it."""
    hanging, issuer = threading.Event(), FakeIssuer()

    def fetch(_: str) -> Mapping[str, Any]:
        hanging.wait(20)
        raise oidc.JwksUnavailableError("the issuer does not answer")

    with run_api_service(store, fetch, **SETTINGS) as house:
        client, asked = house.open_client("write", "read"), []

        def ask() -> None:
            headers = {"authorization": f"Bearer {issuer.sign_token()}"}
            asked.append(httpx.post(f"{house.address}/api/v1/token", headers=headers, timeout=30).status_code)

        strangers = [threading.Thread(target=ask) for _ in range(20)]
        for stranger in strangers:
            stranger.start()
        time.sleep(0.3)
        started = time.monotonic()
        run = Run("r1", "shop/prod", "apply", "ana", "c", AT)
        begun = post(client, "/runs", BeginRunRequest(run))
        renewed = post(client, "/runs/r1/lease", {"fence": begun.json()["fence"]})
        others = [client.get(path).status_code for path in ("/healthz", "/readyz", "/api/v1/leases")]
        elapsed_seconds = time.monotonic() - started
        hanging.set()
        for stranger in strangers:
            stranger.join(30)

    assert (begun.status_code, renewed.status_code, others) == (201, 200, [200] * 3)
    assert elapsed_seconds < 3.0
    assert asked == [503] * 20


def test_a_failed_fetch_is_remembered_for_a_while() -> None:
    """Every stranger's token names a key that is unknown: the issuer is not asked for each of them."""
    issuer, clock = FakeIssuer(), [0.0]
    issuer.is_unavailable = True
    keys = oidc.JwksCache(ISSUER_URL, issuer.fetch_keys, lambda: clock[0])
    for _ in range(50):
        with pytest.raises(oidc.JwksUnavailableError):
            keys.get("unknown")
    assert issuer.fetch_count == 1
    clock[0] += oidc.JwksCache.RETRY_INTERVAL_SECONDS + 1
    issuer.is_unavailable = False

    assert keys.get("first")["kid"] == "first"


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": ["x"]}, []])
def test_keys_that_are_none_are_no_fault_of_ours(document: Any) -> None:
    keys = oidc.JwksCache(ISSUER_URL, lambda _: document)
    with pytest.raises(oidc.JwksUnavailableError):
        keys.get("first")


def test_requests_that_hang_on_others_hold_up_no_lease(store: Store) -> None:
    """GitHub accepts a connection and does not answer: sign-ins wait for it, in threads of their own."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with run_api_service(store, **SIGN_IN_SETTINGS, github_url=url, github_api=url) as house:
            client = house.open_client("write", "read")

            def sign_in() -> None:
                cookies = {"orchestrator_sign_in": "state.Lw"}
                try:
                    httpx.get(f"{house.address}/auth/callback?code=x&state=state", cookies=cookies, timeout=3)
                except httpx.HTTPError:
                    return

            strangers = [threading.Thread(target=sign_in) for _ in range(15)]
            for stranger in strangers:
                stranger.start()
            time.sleep(0.3)
            started = time.monotonic()
            statuses = [client.get(path).status_code for path in ("/healthz", "/readyz", "/api/v1/leases")]
            elapsed_seconds = time.monotonic() - started
            for stranger in strangers:
                stranger.join(30)

    assert statuses == [200] * 3
    assert elapsed_seconds < 2.0
