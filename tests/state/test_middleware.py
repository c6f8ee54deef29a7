"""What stands before every request: limits, headers, cookies, forms, and who an unconfigured service is open to."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import httpx
import pytest

from orchestrator.problems import Problems
from orchestrator.state.server import middleware, rate_limits
from orchestrator.state.server.access import sign_proxy_request
from orchestrator.state.server.pages.rendering import mask_token
from orchestrator.state.server.settings import build_settings, parse_secret
from orchestrator.state.server.store import Store
from tests.state.api_service import SIGN_IN_SETTINGS, ApiService, run_api_service
from tests.state.pages.sample_history import FakeClock, fill_store

PAGES = ("/", "/e/joiabagur/prod", "/e/joiabagur/prod/drift", "/e/joiabagur/prod/releases", "/history", "/models",
         "/runs/demo-1", "/runs/staging-live", "/history/log", "/nowhere")  # fmt: skip
INLINE = re.compile(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)
SECRET = "the proxy's own secret"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    clock = FakeClock(0.0)
    store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('guard')}/state.db", clock)
    fill_store(store, clock)
    return store


@pytest.fixture(scope="module")
def house(filled: Store) -> Iterator[ApiService]:
    """People sign in here, by HTTPS."""
    with run_api_service(filled, **SIGN_IN_SETTINGS, public_url="https://state.example") as made:
        yield made


@pytest.fixture(scope="module")
def home(filled: Store) -> Iterator[ApiService]:
    """Nothing is configured."""
    with run_api_service(filled) as made:
        yield made


def test_every_page_forbids_scripts_that_are_not_files_of_ours(house: ApiService) -> None:
    """The policy is strict, and no page needs it otherwise: nothing inline anywhere."""
    client, _ = house.sign_in("marta", "operator")
    for page in PAGES:
        answer = client.get(page, headers={"accept": "text/html"})
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert answer.headers["cache-control"].startswith("private") or answer.status_code == 404
        assert INLINE.findall(answer.text) == []


def test_no_page_holds_a_secret(house: ApiService) -> None:
    """Neither the app's own, nor the session's."""
    client, word = house.sign_in("aina", "operator")
    for page in PAGES:
        text = client.get(page, headers={"accept": "text/html"}).text
        assert not [one for one in ("hush", word, client.cookies["orchestrator_session"]) if one in text]


def test_a_form_of_another_page_changes_nothing(house: ApiService) -> None:
    """Without the word of one's own page: refused, whatever the cookie is."""
    client, word = house.sign_in("jordi", "operator")
    _, other = house.sign_in("marta", "operator")
    page = "/e/joiabagur/prod/drift"
    form = {"address": "rds_instance.main", "deed": "accept"}
    wrong = ("", "x", word, mask_token(other), mask_token(""))
    before = house.store.list_drift_decisions("joiabagur/prod")

    assert [client.post(page, data={**form, "csrf": one}).status_code for one in wrong] == [403] * len(wrong)
    assert house.store.list_drift_decisions("joiabagur/prod") == before
    assert client.post(page, data={**form, "csrf": mask_token(word)}).status_code == 303
    assert house.store.list_drift_decisions("joiabagur/prod") != before
    shown = client.get(page).text
    assert "orchestrator drift -e prod --accept rds_instance.main" in shown
    assert "orchestrator drift -e prod --ignore cloudwatch_alarm.api-5xx --until 2026-11-29" in shown
    assert "Accepted by <bdi>jordi</bdi>" in shown


def test_a_persons_requests_to_the_api_bear_the_pages_word(house: ApiService) -> None:
    """A cookie alone frees no lease; a token of a script needs no such word, for no browser sends it by itself."""
    client, word = house.sign_in("jordi", "operator")
    path = "/api/v1/environments/shop/none/lease"

    assert client.delete(path).status_code == 403
    assert client.delete(path, headers={"x-csrf-token": "x" * 40}).status_code == 403
    assert client.delete(path, headers={"x-csrf-token": word}).status_code == 200
    assert house.open_client("operate").delete(path).status_code == 200


def test_a_body_may_not_be_endless(house: ApiService) -> None:
    """Said beforehand or found out on the way: 413; nothing is kept of it."""
    client = house.open_client("write")

    def pieces() -> Iterator[bytes]:
        for _ in range(middleware.MAX_BODY_BYTES // 65_536 + 2):
            yield b" " * 65_536

    said = client.post("/api/v1/runs", content=b" " * (middleware.MAX_BODY_BYTES + 1))
    found = client.post("/api/v1/runs", content=pieces(), headers={"content-type": "application/json"})

    assert (said.status_code, found.status_code) == (413, 413)


def test_one_client_may_not_ask_endlessly(filled: Store) -> None:
    """The limit is a client's own, and a moment later it is served again."""
    bucket = rate_limits.RateLimiter(10.0, 20.0)

    assert sum(bucket.try_acquire("one", 100.0) for _ in range(50)) == 20
    assert bucket.try_acquire("other", 100.0)
    assert sum(bucket.try_acquire("one", 101.0) for _ in range(50)) == 10
    with run_api_service(filled, **SIGN_IN_SETTINGS) as made:
        client = made.open_client()
        answers = [client.get("/auth/callback") for _ in range(int(rate_limits.MAX_BURST_SIGN_INS) + 3)]
        assert made.open_client().get("/auth/callback").status_code == 400
    assert {answer.status_code for answer in answers[:20]} == {400}
    assert answers[-1].status_code == 429
    assert answers[-1].headers["retry-after"] == "1"


def test_a_bucket_forgets_the_oldest() -> None:
    """Nobody fills the memory by coming from many places."""
    bucket = rate_limits.RateLimiter(1.0, 1.0)
    for number in range(bucket.MAX_CLIENTS + 50):
        bucket.try_acquire(str(number), 0.0)

    assert len(bucket._buckets) == bucket.MAX_CLIENTS


def test_unconfigured_it_is_open_for_reading_and_says_so(home: ApiService) -> None:
    """On loopback everybody reads, nobody writes without a token, and every page tells."""
    client = home.open_client()
    page = client.get("/", headers={"accept": "text/html"}).text

    assert "No sign-in required: this service only listens on localhost" in page
    assert client.get("/api/v1/runs").status_code == 200
    assert client.post("/api/v1/runs", json={}).status_code == 403
    assert client.delete("/api/v1/environments/shop/prod/lease").status_code == 403
    assert home.open_client("write").post("/api/v1/runs", json={}).status_code == 422


def test_guarded_it_does_not_say_so(house: ApiService) -> None:
    answer = house.open_client().get("/", headers={"accept": "text/html"})

    assert answer.status_code == 401
    assert "No sign-in required" not in answer.text
    assert 'href="/auth/sign-in?back=/"' in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8420", "10.0.0.1", ""])
def test_a_name_that_was_bent_to_loopback_leads_nowhere(host: str, home: ApiService) -> None:
    """A page somewhere whose name suddenly means 127.0.0.1 reads nothing of an open service."""
    with socket.create_connection(("127.0.0.1", httpx.URL(home.address).port or 0)) as wire:
        wire.sendall(f"GET /api/v1/runs HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        status = wire.recv(64).split(b" ")[1]

    assert status == b"421"
    assert home.open_client(host="localhost:8420").get("/api/v1/runs").status_code == 200


def test_nobody_is_let_in_from_outside_unawares() -> None:
    """A service that others can reach starts only when something says who may read."""
    for host in ("0.0.0.0", "::", "10.1.2.3", "state.example"):
        with pytest.raises(Problems, match="reachable from other machines"):
            build_settings({"State__Host": host})
    assert not build_settings({"State__Host": "0.0.0.0", "State__ProxySecret": "x"}).is_anonymous_allowed
    assert build_settings({"State__Host": "::1"}).is_anonymous_allowed


def test_settings_come_from_the_environment_or_the_secret() -> None:
    """`A:B` in the secret is `A__B` in the environment, which goes before it, in any case of letters."""
    secret = parse_secret('{"State:Database": "postgresql://x@y/z", "GitHub:Branch": "trunk", "State:Port": "9000"}')
    told = build_settings({"STATE__DATABASE": "postgresql://a@b/c"}, secret)

    assert (told.database, told.branch, told.port) == ("postgresql://a@b/c", "trunk", 9000)
    assert "postgresql" not in repr(told)
    with pytest.raises(Problems, match="not a JSON object") as refused:
        parse_secret('{"State:Database": 7')
    assert "7" not in refused.value.problems[0].message


def test_a_proxy_speaks_for_people_when_it_signs(filled: Store) -> None:
    """Name, role, time, method and path are signed; a request that was seen cannot be changed nor kept for later."""
    filled.clock = FakeClock(1_800_000_000.0)
    with run_api_service(filled, proxy_secret=SECRET) as made:
        client = made.open_client()

        def ask(role: str = "viewer", path: str = "/api/v1/runs", **changed: str) -> int:
            at = changed.get("at", "1800000000")
            seal = sign_proxy_request(changed.get("secret", SECRET), "ana", "viewer", at, "GET", "/api/v1/runs")
            told = {"user": changed.get("user", "ana"), "role": role, "time": at, "signature": seal}
            return client.get(path, headers={f"x-orchestrator-{name}": word for name, word in told.items()}).status_code

        assert ask() == 200
        assert ask(at="1799999950") == 200
        others = (ask("operator"), ask(user="bo"), ask(path="/api/v1/leases"), ask(secret="guessed"),
                  ask(at="1799999900"), ask(at="1800000100"), ask(at="soon"))  # fmt: skip
        assert set(others) == {401}
        assert client.get("/api/v1/runs").status_code == 401


def test_every_answer_has_a_number_that_the_log_knows(house: ApiService) -> None:
    """The asker's own where it is a fair one."""
    client = house.open_client("read")
    mine = client.get("/api/v1/runs", headers={"x-request-id": "deploy-7"}).headers["x-request-id"]
    bad = client.get("/api/v1/runs", headers={"x-request-id": "a b\tc"}).headers["x-request-id"]

    assert mine == "deploy-7"
    assert re.fullmatch("[0-9a-f]{16}", bad)
