"""Send webhook and Slack notifications from the outbox in the background, with bounded retries.

Webhook bodies are signed: ``X-Orchestrator-Signature: sha256=`` and their HMAC-SHA-256.  Their target is an address of
a network, not of this machine or of its cloud's metadata; redirects are not followed.  API: HTTPS POST.
"""

from __future__ import annotations

import hmac
import threading
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store, outbox
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import read_connection, write_transaction
from orchestrator.state.server.webhook_target import ForbiddenTargetError, post
from orchestrator.state.server.weekly_digest import SEND_HOUR, WEEK, build_digest, format_text, start_of_week

MAX_ATTEMPTS = 6
INITIAL_RETRY_DELAY_SECONDS = 5.0
"""Seconds until the second attempt; each further delay is three times as long."""
POLL_INTERVAL_SECONDS = 2.0
POLLS_PER_SWEEP = 15


class WebhookWorker:
    """The background thread that sends notifications and ends lost runs."""

    def __init__(
        self, store: Store, settings: Settings, log: Any = None, interval_seconds: float = POLL_INTERVAL_SECONDS
    ) -> None:
        self._store = store
        self._settings = settings
        self._log = log
        self._interval_seconds = interval_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhook-worker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread after the current request."""
        self._stop.set()
        self._thread.join(10)

    def send_due(self) -> int:
        """Attempt all due notifications; return the number sent."""
        now = self._store.clock()
        query = select(t.outbox).where(t.outbox.c.due <= now).order_by(t.outbox.c.due).limit(20)
        with read_connection(self._store.engine) as connection:
            rows = connection.execute(query).all()
        return sum(self._deliver(row) for row in rows if self._claim(row, now))

    def send_digest(self) -> bool:
        """Queue the digest of last week if it is time and no replica has; return whether it was queued.

        A week in which nothing ran has none.
        """
        now = datetime.fromtimestamp(self._store.clock(), UTC)
        until = start_of_week(now)
        week = (until - WEEK).date().isoformat()
        if not (self._settings.slack_url or self._settings.webhook_url) or now < until + SEND_HOUR:
            return False
        with read_connection(self._store.engine) as connection:
            if outbox.has_digest(connection, week):
                return False
        digest = build_digest(self._store, until - WEEK, now)
        if not (digest.deploys or digest.failures or digest.rollbacks):
            return False
        url = f"{self._settings.public_url.rstrip('/')}/digest?week={week}" if self._settings.public_url else ""
        with write_transaction(self._store.engine) as connection:
            outbox.enqueue_digest(connection, week, format_text(digest, url), now.timestamp())
        return True

    def _claim(self, row: Any, now: float) -> bool:
        """Reschedule a notification before sending it, so that one replica sends it and a crash retries it later."""
        attempts = row.tries + 1
        due = now + INITIAL_RETRY_DELAY_SECONDS * 3**row.tries if attempts < MAX_ATTEMPTS else None
        claim = update(t.outbox).where(t.outbox.c.id == row.id, t.outbox.c.tries == row.tries)
        with write_transaction(self._store.engine) as connection:
            return connection.execute(claim.values(tries=attempts, due=due)).rowcount == 1

    def _deliver(self, row: Any) -> bool:
        import httpx

        url, body, headers = self._build_request(row)
        is_done = not url
        if url:
            try:
                response = post(url, body, headers, allows_loopback=bool(self._settings.webhook_loopback))
                is_done = response.is_success
                error = "" if is_done else f"status {response.status_code}"
            except (httpx.HTTPError, ForbiddenTargetError) as failure:
                error = str(failure) if isinstance(failure, ForbiddenTargetError) else type(failure).__name__
            if error:
                self._log_warning("notification_failed", target=row.target, error=error, attempt=row.tries + 1)
        if is_done:
            with write_transaction(self._store.engine) as connection:
                connection.execute(update(t.outbox).where(t.outbox.c.id == row.id).values(due=None))
        return is_done and bool(url)

    def _build_request(self, row: Any) -> tuple[str, bytes, dict[str, str]]:
        headers = {"Content-Type": "application/json", "X-Orchestrator-Delivery": row.id}
        if row.target == "slack":
            text = escape_slack(msgspec.json.decode(row.body)["text"])
            return self._settings.slack_url, msgspec.json.encode({"text": text}), headers
        body = row.body.encode()
        if self._settings.webhook_secret:
            signature = hmac.new(self._settings.webhook_secret.encode(), body, "sha256").hexdigest()
            headers["X-Orchestrator-Signature"] = f"sha256={signature}"
        return self._settings.webhook_url, body, headers

    def _run(self) -> None:
        poll_count = 0
        while not self._stop.wait(self._interval_seconds):
            poll_count += 1
            try:
                self.send_due()
                if poll_count % POLLS_PER_SWEEP == 0:
                    self._store.end_lost_runs()
                    self.send_digest()
            except SQLAlchemyError as error:
                self._log_warning("database_unavailable", error=type(error).__name__)

    def _log_warning(self, event: str, **fields: object) -> None:
        if self._log is not None:
            self._log.warning(event, **fields)


def escape_slack(text: str) -> str:
    """Return a text in which nothing is a mention, a link or a command of Slack ("Formatting text", Slack API)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
