"""The service on loopback, and whoever speaks to it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
from sqlalchemy import select

from orchestrator.state.server import oidc
from orchestrator.state.server.access import COOKIE, Grant, Role, create_token, open_session
from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import reading
from tests.state.pages.house import serving

DAY = 86_400.0
PEOPLE: dict[str, Any] = {"client_id": "known", "client_secret": "hush", "repository": "shop/shop"}
"""Settings with which people have to sign in."""


class Desk:
    """A running service; everybody who asks has a client of their own."""

    def __init__(self, address: str, store: Store, settings: Settings) -> None:
        self.address, self.store, self.settings = address, store, settings
        self._open = ExitStack()
        self._clients = 0

    def token(self, *scopes: str, only: str = "") -> str:
        """A new token."""
        return create_token(self.store, f"test-{secrets.token_hex(6)}", Grant(scopes, only), DAY, "the tests")

    def asks(self, *scopes: str, only: str = "", **headers: str) -> httpx.Client:
        """A client with a token of these scopes, at an address of its own; with none of them nobody in particular."""
        if scopes:
            headers["Authorization"] = f"Bearer {self.token(*scopes, only=only)}"
        self._clients += 1
        place = httpx.HTTPTransport(local_address=f"127.0.1.{self._clients % 250 + 1}", verify=False)
        made = httpx.Client(base_url=self.address, headers=headers, timeout=30, transport=place)
        return self._open.enter_context(made)

    def person(self, login: str, role: Role) -> tuple[httpx.Client, str]:
        """A browser of somebody who signed in, and the word that its forms bear."""
        client = self.asks()
        client.cookies.set(COOKIE, open_session(self.store, login, role))
        with reading(self.store.engine) as connection:
            word = connection.execute(select(t.sessions.c.csrf).where(t.sessions.c.login == login)).scalars().all()[-1]
        return client, str(word)

    def close(self) -> None:
        """Nobody asks any more."""
        self._open.close()


@contextmanager
def desk(store: Store, fetch: oidc.Fetch = oidc.fetch, **settings: Any) -> Iterator[Desk]:
    """The service over ``store``; ``fetch`` gets the issuer's keys."""
    told = Settings(database="", **settings)
    with serving(store, told, fetch=fetch) as address:
        made = Desk(address, store, told)
        yield made
        made.close()
