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

import pytest
from sqlalchemy import select

from orchestrator.release import Release, Vector
from orchestrator.release.shipped_commits import ShippedCommit, ShippedCommits
from orchestrator.state.protocol.records import DriftedResource, DriftReport, ReleaseRecord, Run, RunResult
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server import webhook_target
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
        self.url = self.location = ""

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
            if made.location:
                self.send_header("location", made.location)
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
    return Settings(
        webhook_url=f"{to.url}/hook", webhook_secret="shared", slack_url=f"{to.url}/slack", webhook_loopback="yes"
    )


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
        messenger = WebhookWorker(store, Settings(webhook_url=f"{there.url}/hook", webhook_loopback="yes"))
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


FORBIDDEN = (
    "127.0.0.1", "127.8.9.1", "localhost", "[::1]", "0.0.0.0", "[::]", "169.254.169.254", "169.254.170.2",
    "[fe80::1]", "[fd00:ec2::254]", "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]",
    "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[2002:7f00:1::]", "224.0.0.1", "255.255.255.255",
)  # fmt: skip
"""This machine, its links and the metadata of its cloud, in the ways in which they may be written (RFC 6890, RFC 6052,
inet_aton(3), Amazon EC2 User Guide "Instance metadata")."""


@pytest.mark.parametrize("host", FORBIDDEN)
def test_nothing_is_sent_to_this_machine_or_its_metadata(host: str) -> None:
    with receiver() as there:
        port = there.url.rpartition(":")[2]
        with pytest.raises(webhook_target.ForbiddenTargetError, match="cannot be a webhook target"):
            webhook_target.post(f"http://{host}:{port}/hook", b"{}", {})
        assert there.letters == []


def test_the_address_that_was_checked_is_the_one_that_is_asked() -> None:
    """A name whose addresses change between the check and the request, or of which one is forbidden."""
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    with receiver() as there:
        port = there.url.rpartition(":")[2]
        url = f"http://hooks.example:{port}/hook"
        answer = webhook_target.post(url, b"{}", {}, allows_loopback=True, resolve=resolve)
        assert (answer.status_code, there.letters[0][1]["host"]) == (200, f"hooks.example:{port}")
        assert asked == ["hooks.example"]
        with pytest.raises(webhook_target.ForbiddenTargetError):
            webhook_target.post(url, b"{}", {}, resolve=lambda *_: ["93.184.216.34", "::1"])
    for address in ("10.0.0.9", "172.16.4.1", "192.168.1.1", "93.184.216.34", "2606:2800:220:1::1"):
        webhook_target.check_address(address)  # a receiver in one's own network is fine


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(store: Store, status: int) -> None:
    """To wherever they lead: what is delivered is what answers 2xx itself."""
    store.clock = FakeClock(START)
    happen(store)
    with receiver() as there:
        there.status = status
        there.location = f"{there.url}/elsewhere"
        assert WebhookWorker(store, settings(there)).send_due() == 0
        assert {path for path, _, _ in there.letters} == {"/hook", "/slack"}


def test_a_deploy_says_what_it_shipped(store: Store) -> None:
    """Pull requests and commits, with their authors; whoever reads the channel asks for nothing else."""
    store.clock = FakeClock(START)
    run = Run("r1", "shop/prod", "deploy", "ana", "c0ffee", AT)
    fence = store.begin_run(run, "ana").fence
    added = tuple(
        ShippedCommit("c" * 40, AT, "Ben", title, number)
        for title, number in (
            ("Correct <!channel> & prices", 12),
            ("Tidy up", None),
            *((f"More {i}", i) for i in range(30)),
        )
    )
    release = Release(7, AT, "ana", "c0ffee", Vector("m"), "healthy")
    store.record_release(ReleaseRecord("shop/prod", release, "r1", commits=ShippedCommits(added)), None, "ana")
    store.end_run("r1", fence, RunResult("succeeded", AT, release=7), "ana")
    with receiver() as there:
        WebhookWorker(store, settings(there)).send_due()
    (message,) = (letter["text"] for letter in there.bodies("/slack"))

    lines = message.splitlines()
    assert lines[:3] == [
        "ana deployed release 7 to shop/prod", "• Correct &lt;!channel&gt; &amp; prices (#12), Ben", "• Tidy up, Ben"
    ]  # fmt: skip
    assert (len(lines), lines[-1]) == (22, "and 12 more")
