"""Telling others: signed, once, again when they do not answer, and never for ever."""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

from sqlalchemy import select

from orchestrator.state.protocol.records import DriftedResource, DriftReport, Run, RunResult
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.webhooks import INITIAL_RETRY_DELAY_SECONDS, MAX_ATTEMPTS, WebhookWorker
from tests.state.pages.sample_history import FakeClock

START = 1_790_000_000.0
AT = format_timestamp(START)


class Receiver:
    """What came in; ``status`` is what it answers."""

    def __init__(self) -> None:
        self.status = 200
        self.letters: list[tuple[str, dict[str, str], bytes]] = []
        self.url = ""

    def bodies(self, path: str) -> list[Any]:
        return [json.loads(body) for where, _, body in self.letters if where == path]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Somebody who listens on loopback."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            made.letters.append((self.path, {name.lower(): word for name, word in self.headers.items()}, body))
            self.send_response(made.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


def settings(to: Receiver) -> Settings:
    return Settings(webhook_url=f"{to.url}/hook", webhook_secret="shared", slack_url=f"{to.url}/slack")


def happen(store: Store) -> None:
    """A deploy that fails, one that does not, a rollback, and drift that stays."""
    for number, (verb, end) in enumerate(
        (("deploy", RunResult("failed", AT, "it broke")), ("deploy", RunResult("succeeded", AT)),
         ("rollback", RunResult("succeeded", AT)))
    ):  # fmt: skip
        run = Run(f"r{number}", "shop/prod", verb, "ana", "c0ffee", AT, reason="prices were wrong")  # type: ignore[arg-type]
        fence = store.begin_run(run, "ana").fence
        store.end_run(run.id, fence, end, "ana")
    drifted = (DriftedResource("s3_bucket.files", "drifted"), DriftedResource("s3_bucket.web", "drifted"))
    for minute in range(2):
        at = format_timestamp(START + 60 * minute)
        store.record_drift_report(DriftReport("shop/prod", at, "ci", f"c{minute}", 9, drifted), "ci")


def test_what_went_wrong_is_told_signed_and_once(store: Store) -> None:
    """A failed deploy, a rollback and new drift; a deploy that went well and drift that stays are no news."""
    store.clock = FakeClock(START)
    happen(store)
    with receiver() as there:
        sent = WebhookWorker(store, settings(there)).send_due()
        again = WebhookWorker(store, settings(there)).send_due()
        hooks = there.bodies("/hook")
        slack = there.bodies("/slack")
        _, headers, body = next(one for one in there.letters if one[0] == "/hook")

    assert (sent, again, len(there.letters)) == (6, 0, 6)
    assert sorted(one["event"] for one in hooks) == ["drift", "run.failed", "run.rollback"]
    assert {one["environment"] for one in hooks} == {"shop/prod"}
    assert sorted(one["text"] for one in slack) == [
        "Deploy of shop/prod failed: it broke",
        "Drift in shop/prod: s3_bucket.files and 1 more",
        "ana rolled back shop/prod: prices were wrong",
    ]
    assert all(one.keys() == {"text"} for one in slack)
    mark = hmac.new(b"shared", body, "sha256").hexdigest()
    assert headers["x-orchestrator-signature"] == f"sha256={mark}"
    assert len({one[1]["x-orchestrator-delivery"] for one in there.letters}) == 6
    assert not [one for one in there.letters if "x-orchestrator-signature" in one[1] and one[0] == "/slack"]


def test_a_receiver_that_is_away_is_tried_again_and_then_left(store: Store) -> None:
    """Each time later, with the same id, until it has been enough; nothing is sent before it is due."""
    clock = FakeClock(START)
    store.clock = clock
    run = Run("r1", "shop/prod", "deploy", "ana", "c", AT)
    store.end_run("r1", store.begin_run(run, "ana").fence, RunResult("failed", AT, "it broke"), "ana")
    with receiver() as there:
        there.status = 503
        messenger = WebhookWorker(store, Settings(webhook_url=f"{there.url}/hook"))
        times = []
        for _ in range(150):
            before = len(there.letters)
            messenger.send_due()
            if len(there.letters) > before:
                times.append(clock.now - START)
            clock.now += INITIAL_RETRY_DELAY_SECONDS
        ids = {headers["x-orchestrator-delivery"] for _, headers, _ in there.letters}
        signed = [one for one in there.letters if "x-orchestrator-signature" in one[1]]

    assert len(times) == MAX_ATTEMPTS
    assert [later - earlier for earlier, later in pairwise(times)] == [
        INITIAL_RETRY_DELAY_SECONDS * 3**tries for tries in range(MAX_ATTEMPTS - 1)
    ]
    assert len(ids) == 1
    assert signed == []  # there is no secret to sign with


def test_two_services_tell_once(store: Store) -> None:
    """Whoever claims a notice sends it; the other sees that it is claimed."""
    store.clock = FakeClock(START)
    happen(store)
    with receiver() as there:
        messengers = [WebhookWorker(store, settings(there)) for _ in range(2)]
        threads = [threading.Thread(target=one.send_due) for one in messengers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        ids = [headers["x-orchestrator-delivery"] for _, headers, _ in there.letters]

    assert len(ids) == len(set(ids)) == 6


def test_nobody_to_tell_is_no_trouble(store: Store) -> None:
    """Without addresses the outbox empties by itself."""
    store.clock = FakeClock(START)
    happen(store)
    WebhookWorker(store, Settings()).send_due()

    with store.engine.connect() as connection:
        assert set(connection.execute(select(t.outbox.c.due)).scalars()) == {None}
