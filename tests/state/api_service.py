"""The service on loopback, and whoever speaks to it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
from sqlalchemy import select

from orchestrator.state.server import oidc
from orchestrator.state.server.access import SESSION_COOKIE, Role, TokenGrant, create_session, create_token
from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import read_connection
from tests.state.pages.page_service import serve

DAY_SECONDS = 86_400.0
SIGN_IN_SETTINGS: dict[str, Any] = {"client_id": "known", "client_secret": "hush", "repository": "shop/shop"}
"""Settings with which people have to sign in."""


class ApiService:
    """A running service; everybody who asks has a client of their own."""

    def __init__(self, address: str, store: Store, settings: Settings) -> None:
        self.address, self.store, self.settings = address, store, settings
        self._exit_stack = ExitStack()
        self._client_count = 0

    def issue_token(self, *scopes: str, environment: str = "") -> str:
        """A new token."""
        return create_token(
            self.store, f"test-{secrets.token_hex(6)}", TokenGrant(scopes, environment), DAY_SECONDS, "the tests"
        )

    def open_client(self, *scopes: str, environment: str = "", **headers: str) -> httpx.Client:
        """A client with a token of these scopes, at an address of its own; with none of them nobody in particular."""
        if scopes:
            headers["Authorization"] = f"Bearer {self.issue_token(*scopes, environment=environment)}"
        self._client_count += 1
        transport = httpx.HTTPTransport(local_address=f"127.0.1.{self._client_count % 250 + 1}", verify=False)
        client = httpx.Client(base_url=self.address, headers=headers, timeout=30, transport=transport)
        return self._exit_stack.enter_context(client)

    def sign_in(self, login: str, role: Role) -> tuple[httpx.Client, str]:
        """A browser of somebody who signed in, and the word that its forms bear."""
        client = self.open_client()
        client.cookies.set(SESSION_COOKIE, create_session(self.store, login, role))
        with read_connection(self.store.engine) as connection:
            csrf_token = (
                connection.execute(select(t.sessions.c.csrf).where(t.sessions.c.login == login)).scalars().all()[-1]
            )
        return client, str(csrf_token)

    def close(self) -> None:
        """Nobody asks any more."""
        self._exit_stack.close()


@contextmanager
def run_api_service(
    store: Store, fetch_keys: oidc.FetchJson = oidc.fetch_json, **settings: Any
) -> Iterator[ApiService]:
    """The service over ``store``; ``fetch`` gets the issuer's keys."""
    service_settings = Settings(database="", **settings)
    with serve(store, service_settings, fetch=fetch_keys) as address:
        service = ApiService(address, store, service_settings)
        yield service
        service.close()
