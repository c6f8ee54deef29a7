"""Telling others: the outbox is emptied in the background, with bounded retries, never while somebody waits.

A webhook's body is signed: ``X-Orchestrator-Signature: sha256=`` HMAC-SHA-256 of it.  API: HTTPS POST.
"""

from __future__ import annotations

import hmac
import threading
from typing import Any

import msgspec
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import reading, writing

TRIES = 6
FIRST = 5.0
"""Seconds until the second try; each further one waits three times as long."""
EVERY = 2.0
SWEEP = 15


class Messenger:
    """The background thread: sends notices, and ends runs of which nothing is heard."""

    def __init__(self, store: Store, settings: Settings, log: Any = None, every: float = EVERY) -> None:
        self._store = store
        self._settings = settings
        self._log = log
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="messenger", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after what is under way."""
        self._stop.set()
        self._thread.join(10)

    def send(self) -> int:
        """Try what is due; how many were sent."""
        at = self._store.clock()
        query = select(t.outbox).where(t.outbox.c.due <= at).order_by(t.outbox.c.due).limit(20)
        with reading(self._store.engine) as connection:
            rows = connection.execute(query).all()
        return sum(self._try(row) for row in rows if self._claim(row, at))

    def _claim(self, row: Any, at: float) -> bool:
        """Put off the next try before this one: of several replicas one sends, and a crash sends again later."""
        tries = row.tries + 1
        due = at + FIRST * 3**row.tries if tries < TRIES else None
        mine = update(t.outbox).where(t.outbox.c.id == row.id, t.outbox.c.tries == row.tries)
        with writing(self._store.engine) as connection:
            return connection.execute(mine.values(tries=tries, due=due)).rowcount == 1

    def _try(self, row: Any) -> bool:
        import httpx

        url, body, headers = self._letter(row)
        done = not url
        if url:
            try:
                answer = httpx.post(url, content=body, headers=headers, timeout=5)
                done = answer.is_success
            except httpx.HTTPError as error:
                self._say("notice not sent", target=row.target, error=type(error).__name__, tries=row.tries + 1)
        if done:
            with writing(self._store.engine) as connection:
                connection.execute(update(t.outbox).where(t.outbox.c.id == row.id).values(due=None))
        return done and bool(url)

    def _letter(self, row: Any) -> tuple[str, bytes, dict[str, str]]:
        headers = {"Content-Type": "application/json", "X-Orchestrator-Delivery": row.id}
        if row.target == "slack":
            text = msgspec.json.decode(row.body)["text"]
            return self._settings.slack_url, msgspec.json.encode({"text": text}), headers
        body = row.body.encode()
        if self._settings.webhook_secret:
            mark = hmac.new(self._settings.webhook_secret.encode(), body, "sha256").hexdigest()
            headers["X-Orchestrator-Signature"] = f"sha256={mark}"
        return self._settings.webhook_url, body, headers

    def _work(self) -> None:
        rounds = 0
        while not self._stop.wait(self._every):
            rounds += 1
            try:
                self.send()
                if rounds % SWEEP == 0:
                    self._store.sweep()
            except SQLAlchemyError as error:
                self._say("the database does not answer", error=type(error).__name__)

    def _say(self, what: str, **more: object) -> None:
        if self._log is not None:
            self._log.warning(what, **more)
