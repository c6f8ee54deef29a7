"""Ctrl-C and SIGTERM in every phase of a deploy: it ends at once, says that it was interrupted, and frees its lock.

A cancelled job gets SIGINT, then SIGTERM after 7.5 seconds, then is killed 2.5 seconds later (GitHub Docs, "Workflow
cancellation reference").  Builds are in ``test_builds``, migrations in the VPC in ``tests/components``.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.emulator import Emulator, Faults
from orchestrator.emulator.faults import Rule
from orchestrator.release import bucket_lease
from orchestrator.release.ledger_store import LedgerStore
from tests.emulator.account import wait_until
from tests.release.site_checkout import V1, V2, SiteCheckout

MAX_SECONDS = 7.5
CDN = """
---
apiVersion: orchestrator/v1
kind: Cdn
metadata: {name: web}
spec: {origin: bucket.web%s}
"""
NEVER_RIGHT = ", smoke: [{path: /about.html, contains: nobody-writes-this, withinSeconds: 100}]"


def has_called(operation: str, count: int = 1) -> Callable[[Emulator, str], bool]:
    """Return whether AWS was asked for an operation so often."""
    return lambda emulator, _: sum(fnmatchcase(call.operation, operation) for call in emulator.calls) >= count


def has_shown(words: str) -> Callable[[Emulator, str], bool]:
    """Return whether the run has said something."""
    return lambda _, shown: words in shown


@dataclass(frozen=True)
class Phase:
    """What keeps a deploy in a phase, and how one sees that it is there."""

    is_reached: Callable[[Emulator, str], bool]
    faults: Faults = field(default_factory=Faults)
    cdn_options: str = ""
    next_step: str = "AWS completes the calls that it has accepted. Run the command again"
    released_before: bool = False
    """Whether a release comes first, to which this deploy would go back."""
    verb: str = "deploy"
    """``rollback`` goes back to the first of two releases."""
    lock_holder: str = ""
    """Who else holds the lock, for which this run waits."""


UNCHANGED = "Run the same command again: it continues from the current state of AWS."
PHASES = {
    "reading AWS": Phase(has_called("ListBuckets"), Faults(latency_ms=300), next_step=UNCHANGED),
    "reading, throttled": Phase(
        has_called("ListDistributions", 3),
        Faults(rules=(Rule("throttle", "cloudfront", access="read"),)),
        next_step=UNCHANGED,
    ),
    "uploading, throttled": Phase(has_called("PutObject", 3), Faults(rules=(Rule("throttle", "s3", "PutObject"),))),
    "locking, throttled": Phase(
        has_called("PutObject", 3),
        Faults(rules=(Rule("throttle", "s3", "PutObject"),)),
        next_step=UNCHANGED,
        released_before=True,
    ),
    "writing, throttled": Phase(
        has_called("CreateOriginAccessControl", 2), Faults(rules=(Rule("throttle", "cloudfront", access="write"),))
    ),
    "waiting for AWS": Phase(has_called("GetDistribution", 2), Faults(settle_seconds={"cloudfront": 6})),
    "copying, throttled": Phase(
        has_called("CopyObject", 2), Faults(rules=(Rule("throttle", "s3", "CopyObject"),)), released_before=True
    ),
    "probing": Phase(
        has_shown("probing"), cdn_options=NEVER_RIGHT, next_step="but the release is not recorded as verified"
    ),
    "going back": Phase(
        has_shown("Failed: cdn.web"),
        Faults(latency_ms=100),
        NEVER_RIGHT.replace("100", "1"),
        next_step="To complete the rollback, run: orchestrator rollback",
        released_before=True,
    ),
    "waiting for the lock": Phase(
        has_shown("Waiting for the lock"), next_step=UNCHANGED, released_before=True, lock_holder="ana"
    ),
    "rolling back, locking": Phase(
        has_called("PutObject", 3),
        Faults(rules=(Rule("throttle", "s3", "PutObject"),)),
        next_step=UNCHANGED,
        released_before=True,
        verb="rollback",
    ),
    "rolling back, throttled": Phase(
        has_called("CopyObject", 2),
        Faults(rules=(Rule("throttle", "s3", "CopyObject"),)),
        next_step="AWS completes the calls that it has accepted. Run the command again",
        released_before=True,
        verb="rollback",
    ),
    "rolling back, waiting for the lock": Phase(
        has_shown("Waiting for the lock"), next_step=UNCHANGED, released_before=True, verb="rollback", lock_holder="ana"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("phase", PHASES)
def test_a_deploy_ends_at_once_in_every_phase(
    phase: str, number: signal.Signals, tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 130 and the next command, once; the next deploy is not locked out."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    wanted = PHASES[phase]
    shop = SiteCheckout(tmp_path, emulator, extra_documents=CDN % wanted.cdn_options)
    shop.build(V1)
    options = ["--auto-approve", "-f", str(tmp_path), "-e", "prod"]
    words = ["deploy", *options]
    if wanted.released_before:
        with without_smoke(tmp_path):
            assert main(words) == 0
            shop.build(V2)
            for _ in range(wanted.verb == "rollback"):
                assert main(words) == 0
    if wanted.verb == "rollback":
        words = ["rollback", "--to", "1", *options]
    with held_by(shop, wanted.lock_holder):
        _stop_in_phase(shop, words, wanted, number)
    with without_smoke(tmp_path):
        assert main(words) == 0, "the next run waits for what AWS began, and is not locked out"


def _stop_in_phase(shop: SiteCheckout, words: list[str], wanted: Phase, number: signal.Signals) -> None:
    """Start the command, send the signal once it is in the phase, and check what it says and how soon it ends."""
    emulator = shop.emulator
    emulator.faults = wanted.faults
    emulator.clear_calls()
    process, shown = start_command(shop.folder, [*words, "--wait"])
    try:
        wait_until(
            lambda: process.poll() is not None or wanted.is_reached(emulator, shown.read_text()),
            bool,
            timeout_seconds=60,
        )
        assert process.poll() is None, shown.read_text()
        stopped_at = time.monotonic()
        process.send_signal(number)
        process.wait(60)
        stopped_after = time.monotonic() - stopped_at
    finally:
        process.kill()
        emulator.faults = Faults()

    text = shown.read_text()
    assert process.returncode == 130, text
    assert stopped_after < MAX_SECONDS, text
    assert "Traceback" not in text
    assert text.count("Interrupted") == 1, text
    assert wanted.next_step in " ".join(text.split()), text


@contextmanager
def held_by(shop: SiteCheckout, holder: str) -> Iterator[None]:
    """Hold the lock in the release bucket as somebody else, if there is a name."""
    with ExitStack() as stack:
        if holder:
            store = LedgerStore(shop.clients, "shop-releases", "prod")
            stack.enter_context(bucket_lease.acquire(store, holder, "deploy"))
        yield


def start_command(folder: Path, words: list[str]) -> tuple[subprocess.Popen[bytes], Path]:
    """Start the command as a process; return it and the file that it writes to."""
    shown = folder / "shown"
    with shown.open("w") as output:
        command = [sys.executable, "-c", "from orchestrator.cli.main import main; main()", *words]
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT), shown


@contextmanager
def without_smoke(folder: Path) -> Iterator[None]:
    """Leave out, for a moment, the probe that never passes."""
    manifest = folder / "shop.yaml"
    text = manifest.read_text()
    manifest.write_text(re.sub(r", smoke: \[.*?\]", "", text))
    try:
        yield
    finally:
        manifest.write_text(text)
