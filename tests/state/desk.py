"""The service on loopback, and whoever speaks to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx

from orchestrator.state.access import COOKIE, Grant, Role, create_token, open_session
from orchestrator.state.settings import Settings
from orchestrator.state.store import Store
from tests.state.pages.house import serving

DAY = 86_400.0
PEOPLE = {"client_id": "known", "client_secret": "hush", "repository": "shop/shop"}
"""Settings with which people have to sign in."""


class Desk:
    """A running service; everybody who asks has a client of their own."""

    def __init__(self, address: str, store: Store, settings: Settings) -> None:
        self.address, self.store, self.settings = address, store, settings
        self._open = ExitStack()
        self._tokens = 0

    def token(self, *scopes: str, only: str = "") -> str:
        """A new token."""
        self._tokens += 1
        return create_token(self.store, f"test-{self._tokens}", Grant(scopes, only), DAY, "the tests")

    def asks(self, *scopes: str, only: str = "", **headers: str) -> httpx.Client:
        """A client with a token of these scopes; with none of them nobody in particular."""
        if scopes:
            headers["Authorization"] = f"Bearer {self.token(*scopes, only=only)}"
        made = httpx.Client(base_url=self.address, headers=headers, timeout=30)
        return self._open.enter_context(made)

    def person(self, login: str, role: Role) -> tuple[httpx.Client, str]:
        """A browser of somebody who signed in, and the word that its forms bear."""
        client = self.asks()
        client.cookies.set(COOKIE, open_session(self.store, login, role))
        session = client.get("/api/v1/me").json()
        return client, str(session["csrf"])

    def close(self) -> None:
        """Nobody asks any more."""
        self._open.close()


@contextmanager
def desk(store: Store, **settings: Any) -> Iterator[Desk]:
    """The service over ``store``."""
    told = Settings(database="", **settings)
    with serving(store, told) as address:
        made = Desk(address, store, told)
        yield made
        made.close()
