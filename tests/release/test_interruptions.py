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
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.emulator import Emulator, Faults
from tests.emulator.account import wait_until
from tests.release.site_checkout import V1, SiteCheckout

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
    return lambda emulator, _: [call.operation for call in emulator.calls].count(operation) >= count


@dataclass(frozen=True)
class Phase:
    """What keeps a deploy in a phase, and how one sees that it is there."""

    is_reached: Callable[[Emulator, str], bool]
    faults: Faults = field(default_factory=Faults)
    cdn_options: str = ""
    number: signal.Signals = signal.SIGINT


PHASES = {
    "reading AWS": Phase(has_called("ListBuckets"), Faults(latency_ms=300), number=signal.SIGTERM),
    "waiting for AWS": Phase(
        has_called("GetDistribution", 2), Faults(settle_seconds={"cloudfront": 10}), number=signal.SIGTERM
    ),
    "probing": Phase(lambda _, shown: "probing" in shown, cdn_options=NEVER_RIGHT),
}


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
def test_a_deploy_ends_at_once_in_every_phase(
    phase: str, tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 130 and the next command, once; the next deploy is not locked out."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    wanted = PHASES[phase]
    shop = SiteCheckout(tmp_path, emulator, extra_documents=CDN % wanted.cdn_options)
    shop.build(V1)
    emulator.faults = wanted.faults
    emulator.clear_calls()
    words = ["deploy", "--auto-approve", "-f", str(tmp_path), "-e", "prod"]
    shown = tmp_path / "shown"
    with shown.open("w") as output:
        command = [sys.executable, "-c", "from orchestrator.cli.main import main; main()", *words]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(
            lambda: process.poll() is not None or wanted.is_reached(emulator, shown.read_text()),
            bool,
            timeout_seconds=60,
        )
        assert process.poll() is None, shown.read_text()
        stopped_at = time.monotonic()
        process.send_signal(wanted.number)
        process.wait(60)
    finally:
        process.kill()
        emulator.faults = Faults()

    text = shown.read_text()
    assert process.returncode == 130, text
    assert time.monotonic() - stopped_at < MAX_SECONDS, text
    assert "Traceback" not in text
    assert re.search("Interrupted|the run was stopped", text), text
    (tmp_path / "shop.yaml").write_text((tmp_path / "shop.yaml").read_text().replace(NEVER_RIGHT, ""))
    assert main(words) == 0, "the next deploy waits for what AWS began, and is not locked out"
