"""A rollback needs neither the state service nor a disk for its journal; only a decision of the service stops it."""

from __future__ import annotations

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchestrator.emulator import Emulator, Faults
from orchestrator.state.client import sender
from orchestrator.state.client.api_client import StateClient
from orchestrator.state.client.journal import Journal
from orchestrator.state.protocol.lease_queue import LEASE_TTL_SECONDS
from tests.cli.conftest import MANIFESTS, Run
from tests.cli.state_service import ENVIRONMENT_KEY, RunningService, list_journals, list_write_calls
from tests.release.shop_project import MANIFESTS as RELEASED_MANIFESTS

PROBLEM = "application/problem+json"
Answer = tuple[int, str, bytes]


def problem(status: int, detail: str, problem_type: str = "about:blank") -> Answer:
    body = {"type": problem_type, "title": "t", "status": status, "detail": detail}
    return status, PROBLEM, json.dumps(body).encode()


@contextmanager
def answering(*answers: Answer) -> Iterator[str]:
    """A server that gives these answers in turn, and the last one for ever."""
    remaining = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            status, media_type, body = remaining.pop(0) if len(remaining) > 1 else remaining[0]
            self.send_response(status)
            self.send_header("content-type", media_type)
            self.send_header("content-length", str(len(body)))
            if status == 429:
                self.send_header("retry-after", "1")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 - the name that the library calls

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def released(run: Run, manifests: Path, aws: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Two releases that were deployed without a state service."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ORCHESTRATOR_STATE_URL", raising=False)
    values = {"versioning": "false", "keep": 20, "on_failure": "rollback"}
    for issuer in ("one", "two"):
        (manifests / "shop.yaml").write_text(RELEASED_MANIFESTS % {**values, "issuer": issuer})
        assert run("deploy", "--auto-approve").code == 0
    aws.clear_calls()
    return run


AWAY: dict[str, Answer] = {
    "the database is away": problem(503, "the database is not available"),
    "a fault of the service": (500, "text/plain", b"Internal Server Error"),
    "a gateway without a service": (502, "text/html", b"<html>"),
    "a firewall": (403, "text/html", b"<html>blocked</html>"),
    "a redirect to a sign-in": (302, "text/html", b""),
    "a page that is not of the service": (200, "text/html", b"<html>hello</html>"),
    "an unknown or expired token": problem(401, "no valid token or session"),
    "a service that does not understand the run": problem(422, "body.run: unknown field"),
}


IN_TOKEN_EXCHANGE = ("the database is away", "a firewall", "a redirect to a sign-in", "an unknown or expired token")
"""Answers that are tried where a workflow exchanges its token, too: one that passes, two that are no service, a no."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("credential", "names"), [("token", tuple(AWAY)), ("workflow", IN_TOKEN_EXCHANGE)])
def test_a_rollback_goes_on_whatever_is_wrong_with_the_service(
    released: Run, credential: str, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    """Docs of the state service: while it is unavailable, `rollback` works; the exchange of a token is part of it.

    Each answer goes back from where the one before went to, so two releases are enough for all.
    """
    tried = 0
    for target, name in zip(itertools.cycle("12"), names, strict=False):
        with subtests.test(msg=name):
            _roll_back_without_service(released, AWAY[name], credential, target, monkeypatch)
            tried += 1

    assert tried == len(names) >= 4


def _roll_back_without_service(
    released: Run, answer: Answer, credential: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        answering((200, "application/json", b'{"value": "oidc"}')) as issuer,
        answering((404, "application/json", b'{"message": "Not Found"}')) as github,
        answering(answer) as url,
    ):
        monkeypatch.setenv("ORCHESTRATOR_STATE_URL", url)
        if credential == "token":
            monkeypatch.setenv("ORCHESTRATOR_STATE_TOKEN", "ost_expired")
        else:
            monkeypatch.delenv("ORCHESTRATOR_STATE_TOKEN", raising=False)
            monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{issuer}/token?x=1")
            monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "job")
            monkeypatch.setenv("GITHUB_REPOSITORY", "team/shop")
            monkeypatch.setenv("GITHUB_SHA", "c0ffee")
            monkeypatch.setenv("GITHUB_TOKEN", "job")
            monkeypatch.setenv("GITHUB_API_URL", github)
        deployed = released("deploy", "--auto-approve")
        in_workflow = credential == "workflow"
        journals = set(list_journals())
        rolled_back = released(
            *(("github", "rollback") if in_workflow else ("rollback", "--auto-approve")), "--to", target
        )

    assert deployed.code == 1
    assert "nothing was changed" in deployed.err
    assert rolled_back.code == 0, rolled_back.err
    assert "Continuing without it; this run keeps a journal in" in rolled_back.err
    assert len(set(list_journals()) - journals) == 1


DENIALS: dict[str, Answer] = {
    "no permission": problem(403, "ci lacks the scope 'write'"),
    "another run writes": problem(409, "locked by bo (deploy c0ffee)", "held"),
}


@pytest.mark.parametrize("answer", DENIALS.values(), ids=DENIALS)
def test_a_rollback_stops_for_a_decision(
    released: Run, answer: Answer, aws: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else writes, or the service knows this run and says that it may not."""
    with answering(answer) as url:
        monkeypatch.setenv("ORCHESTRATOR_STATE_URL", url)
        monkeypatch.setenv("ORCHESTRATOR_STATE_TOKEN", "ost_known")
        stopped = released("rollback", "--auto-approve", "--to", "1")

    assert stopped.code == 1
    assert "nothing was changed" in stopped.err
    assert (list_write_calls(aws), list_journals()) == ([], [])


def test_a_busy_service_is_waited_for_and_then_done_without() -> None:
    """RFC 9110, 429 and Retry-After: busy passes, so it is waited for longer than for one that is away."""
    with (
        answering(problem(429, "wait"), problem(429, "wait"), (200, "application/json", b"{}")) as url,
        StateClient(url, "ost_x") as client,
    ):
        started = time.monotonic()
        assert client.request("POST", "/runs", timeout_seconds=0.2, busy_timeout_seconds=10.0) == b"{}"
        assert time.monotonic() - started > 0.9


def test_a_configuration_that_is_wrong_stops_no_rollback(released: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL without TLS, or none at all: no token is sent there, and the way back stays open."""
    for url in ("http://state.example.com", "http://[broken"):
        monkeypatch.setenv("ORCHESTRATOR_STATE_URL", url)
        assert released("deploy", "--auto-approve").code == 1
    rolled_back = released("rollback", "--auto-approve", "--to", "1")

    assert rolled_back.code == 0, rolled_back.err
    assert "Continuing without the state service" in rolled_back.err


@pytest.mark.parametrize("option", [[], ["--without-record"]])
def test_a_disk_that_keeps_no_journal_stops_no_rollback(
    released: Run, service: RunningService, option: list[str]
) -> None:
    """open(2), ENOTDIR, ENOSPC, EROFS: a deploy has to be recorded and stops with a hint, a rollback says so."""
    Path(".orchestrator").write_text("in the way")
    stopped = released("deploy", "--auto-approve", *option)
    rolled_back = released("rollback", "--auto-approve", "--to", "1", *option)

    assert stopped.code == 1
    assert "cannot write the journal" in stopped.err
    assert "hint: free some disk space" in stopped.err
    assert rolled_back.code == 0, rolled_back.err
    assert "Continuing without a journal: cannot write the journal" in rolled_back.err
    if not option:
        assert service.only_run().status == "succeeded"


class FullDisk:
    """A file on a disk that is full after some bytes: the rest of a write is refused, as write(2) does it."""

    def __init__(self, file: Any, free_bytes: int) -> None:
        self._file, self._free_bytes = file, free_bytes

    def write(self, data: bytes) -> int:
        written = min(len(data), self._free_bytes)
        if not written:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._free_bytes -= written
        return int(self._file.write(data[:written]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_a_disk_that_fills_up_is_no_error_of_the_run(tmp_path: Path) -> None:
    """The journal ends there and says why; nothing after the gap is written."""
    journal = Journal(tmp_path / "run.jsonl")
    journal._file = FullDisk(journal._file, 600)  # type: ignore[assignment]
    for _ in range(40):
        journal.append("POST", "/runs/r/events", {"events": []})
    journal.close()

    assert "No space left on device" in journal.failure
    assert journal.path.stat().st_size == 600


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_in_mid_run_frees_the_lease(aws: Emulator, run: Run, service: RunningService) -> None:
    """full(4): every write to it fails with ENOSPC; the service has the run, and its lease is free."""
    Path(".orchestrator/journal").mkdir(parents=True)
    stop = threading.Event()

    def divert() -> None:
        """Every journal that appears is the full device."""
        while not stop.is_set():
            for descriptor in Path("/proc/self/fd").iterdir():
                try:
                    target = str(descriptor.readlink())
                except OSError:
                    continue
                if target.endswith(".jsonl"):
                    full = os.open("/dev/full", os.O_WRONLY)
                    os.dup2(full, int(descriptor.name))
                    os.close(full)
            time.sleep(0.005)

    diverting = threading.Thread(target=divert, daemon=True)
    diverting.start()
    applied = run("apply", "--auto-approve")
    stop.set()
    diverting.join(5)

    assert applied.code == 0, applied.err
    assert service.only_run().status == "succeeded"
    assert service.store.get_lease(ENVIRONMENT_KEY).holder is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_without_a_state_service_ends_a_run_in_order(
    aws: Emulator, manifests: Path, tmp_path: Path, number: int
) -> None:
    """GitHub sends SIGTERM, a closed terminal SIGHUP: as with Ctrl-C the run reports, and ends with 130."""
    (manifests / "shop.yaml").write_text(MANIFESTS)
    aws.faults = Faults(latency_ms=300)
    command = [sys.executable, "-m", "orchestrator", "apply", "--auto-approve", "-f", str(manifests)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_STATE")}
    inherited = signal.signal(number, signal.SIG_DFL)  # the tests themselves may run under nohup
    process = subprocess.Popen(command, env=environ, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    signal.signal(number, inherited)
    deadline = time.monotonic() + 30
    while not list_write_calls(aws) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130, errors
    assert b"Traceback" not in errors


def test_a_lease_is_not_believed_after_a_suspension() -> None:
    """clock_gettime(2): CLOCK_MONOTONIC stands still while the machine is suspended, CLOCK_BOOTTIME does not."""
    now = [1000.0]
    with answering(problem(409, "this run no longer holds the lock", "lost-lease")) as url, StateClient(url) as client:
        heartbeat = sender.LeaseHeartbeat(client, "r1", 1, interval_seconds=3600.0, clock=lambda: now[0])
        assert heartbeat.is_lease_held()
        now[0] += LEASE_TTL_SECONDS + 1
        assert not heartbeat.is_lease_held()
        assert "no longer holds the lock" in heartbeat.lost_reason
        heartbeat.stop()


def test_a_rollback_to_the_current_release_is_done(released: Run, aws: Emulator) -> None:
    """Repeating a command that was carried out is no failure: `apply` and `deploy` exit 0 as well."""
    first = released("rollback", "--auto-approve", "--to", "1")
    aws.clear_calls()
    again = released("rollback", "--auto-approve", "--to", "1")

    assert (first.code, again.code) == (0, 0), again.err
    assert "Release 1 is already current" in again.out
    assert [name for name in list_write_calls(aws) if "Object" not in name] == []
