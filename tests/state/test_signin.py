"""Signing in with GitHub: who may come in as what, and that a sign-in belongs to the browser that began it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from orchestrator.state.server.access import SESSION_COOKIE
from orchestrator.state.server.signin import STATE_COOKIE, role_for_repository
from orchestrator.state.server.store import Store
from tests.state.api_service import SIGN_IN_SETTINGS, ApiService, run_api_service

READS = {"admin": False, "maintain": False, "push": False, "triage": False, "pull": True}
PUSHES = {**READS, "triage": True, "push": True}


class Hub:
    """What this GitHub knows: what each login may do, and whether the repository is private."""

    def __init__(self) -> None:
        self.may: dict[str, dict[str, bool]] = {"marta": PUSHES, "aina": READS}
        self.is_private = True
        self.asked: list[str] = []

    def answer(self, path: str, token: str) -> tuple[int, Any]:
        self.asked.append(path)
        if path == "/login/oauth/access_token":
            return 200, {"access_token": "opens-little", "scope": "", "token_type": "bearer"}
        login = token.removeprefix("Bearer opens-little-") or "marta"
        if path == "/user":
            return 200, {"login": login}
        known = self.may.get(login)
        return (200, {"private": self.is_private, "permissions": known}) if known else (404, {"message": "Not Found"})


@contextmanager
def github(hub: Hub, login: str) -> Iterator[str]:
    """A GitHub where ``login`` says yes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            status, told = hub.answer(self.path, f"Bearer opens-little-{login}")
            data = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815 - the library's name

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def house(store: Store, hub: Hub, login: str, **more: Any) -> Iterator[ApiService]:
    with (
        github(hub, login) as address,
        run_api_service(store, **SIGN_IN_SETTINGS, github_url=address, github_api=address, **more) as made,
    ):
        yield made


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.open(f"sqlite:///{tmp_path_factory.mktemp('signin')}/state.db")


def through(client: httpx.Client, back: str = "/history") -> httpx.Response:
    """To GitHub and back, as a browser goes."""
    away = client.get("/auth/sign-in", params={"back": back})
    asked = parse_qs(urlsplit(away.headers["location"]).query)
    assert "scope" not in asked
    return client.get("/auth/callback", params={"code": "once", "state": asked["state"][0]})


def test_the_repository_says_who_is_what() -> None:
    """Everybody reads a public repository; that makes nobody one of the team."""
    assert role_for_repository({"private": True, "permissions": PUSHES}) == "operator"
    assert role_for_repository({"private": True, "permissions": READS}) == "viewer"
    assert role_for_repository({"private": False, "permissions": READS}) is None
    assert role_for_repository({"private": False, "permissions": {**READS, "triage": True}}) == "viewer"
    assert role_for_repository({"private": False, "permissions": PUSHES}) == "operator"
    assert role_for_repository({"private": True}) is None
    assert role_for_repository({"message": "Not Found"}) is None


def test_somebody_of_the_team_comes_back_to_where_they_were(store: Store) -> None:
    """The session's cookie is out of reach for scripts and other sites, and only goes by HTTPS."""
    hub = Hub()
    with house(store, hub, "marta", public_url="https://state.example") as made:
        client = made.open_client()
        began = client.get("/auth/sign-in").headers["set-cookie"]
        client.cookies.clear()
        with httpx.Client(base_url=made.address) as plain:  # httpx keeps Secure cookies to HTTPS, so they are carried
            away = plain.get("/auth/sign-in", params={"back": "/history"})
            state = parse_qs(urlsplit(away.headers["location"]).query)["state"][0]
            kept = away.headers["set-cookie"].split(";")[0]
            done = plain.get("/auth/callback", params={"code": "c", "state": state}, headers={"cookie": kept})
        session = next(one for one in done.headers.get_list("set-cookie") if one.startswith(SESSION_COOKIE))
        page = client.get("/", headers={"cookie": session.split(";")[0], "accept": "text/html"}).text

    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/auth"} <= {part.strip() for part in began.split(";")}
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= {part.strip() for part in session.split(";")}
    assert (done.status_code, done.headers["location"]) == (303, "/history")
    assert "marta" in page
    assert "Sign out" in page
    assert hub.asked == ["/login/oauth/access_token", "/user", "/repos/shop/shop"]


@pytest.mark.parametrize(
    ("login", "private", "status"), [("stranger", True, 403), ("aina", False, 403), ("aina", True, 303)]
)
def test_strangers_stay_outside(store: Store, login: str, private: bool, status: int) -> None:
    hub = Hub()
    hub.is_private = private
    with house(store, hub, login) as made:
        client = made.open_client()
        answer = through(client)

        assert answer.status_code == status
        assert client.get("/api/v1/runs").status_code == (200 if status == 303 else 401)


def test_a_sign_in_that_another_began_is_refused(store: Store) -> None:
    """Otherwise somebody could be made to look at another's session without knowing."""
    with house(store, Hub(), "marta") as made:
        client, other = made.open_client(), made.open_client()
        state = parse_qs(urlsplit(other.get("/auth/sign-in").headers["location"]).query)["state"][0]
        without = client.get("/auth/callback", params={"code": "c", "state": state})
        client.get("/auth/sign-in")
        wrong = [client.get("/auth/callback", params={"code": "c", "state": word}) for word in (state, "", "ö")]

    assert [one.status_code for one in (without, *wrong)] == [400] * 4


@pytest.mark.parametrize("back", ["https://evil.example", "//evil.example", "/\\evil.example", "", "/\n/evil.example"])
def test_nobody_is_sent_elsewhere(back: str, store: Store) -> None:
    with house(store, Hub(), "marta") as made:
        assert through(made.open_client(), back).headers["location"] == "/"


def test_signing_out_ends_the_session(store: Store) -> None:
    """By the page's own form; the cookie is worth nothing afterwards, wherever it was copied to."""
    with house(store, Hub(), "marta") as made:
        client = made.open_client()
        through(client)
        kept = client.cookies[SESSION_COOKIE]
        page = client.get("/", headers={"accept": "text/html"}).text
        word = page.split('action="/auth/sign-out"')[1].split('name="csrf" value="')[1].split('"')[0]
        stranger = client.post("/auth/sign-out", data={"csrf": "x"}).status_code
        left = client.post("/auth/sign-out", data={"csrf": word})
        copied = made.open_client(cookie=f"{SESSION_COOKIE}={kept}").get("/api/v1/runs").status_code

    assert (stranger, left.status_code, copied) == (403, 303, 401)
    assert STATE_COOKIE not in client.cookies


def test_a_github_that_is_away_is_said_to_be(store: Store) -> None:
    """503, and the sign-in can be begun again."""
    with run_api_service(
        store, **SIGN_IN_SETTINGS, github_url="http://127.0.0.1:9", github_api="http://127.0.0.1:9"
    ) as made:
        answer = through(made.open_client())

    assert answer.status_code == 503
    assert "cannot get your identity from GitHub" in answer.json()["detail"]
