"""The service is killed again and again while a run tells it things: afterwards every event is there once, in order."""

from __future__ import annotations

import json
import random
import threading
import time
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.emulator import Emulator, Faults
from orchestrator.state.protocol.records import StepEvent
from orchestrator.state.server.access import TokenGrant, create_token
from orchestrator.state.server.store import Store
from tests.cli.conftest import MANIFESTS
from tests.state.postgres import free_port
from tests.state.server_process import run_server

KILLS = 4
TOLD = {"change_started": "started", "step_completed": "step", "wait_started": "waiting", "change_finished": "finished"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_event_is_lost(
    aws: Emulator,
    manifests: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the run logged itself is what the service has, in its order; and no journal is left."""
    bucket = MANIFESTS.split("---")[1]
    more = (f"---\n{bucket.replace('files', f'files{number}').strip()}\n" for number in range(20))
    (manifests / "shop.yaml").write_text(MANIFESTS + "".join(more))
    monkeypatch.chdir(tmp_path)
    database, port, over = f"sqlite:///{tmp_path}/state.db", free_port(), threading.Event()
    killed: list[float] = []
    store = Store.open(database)
    monkeypatch.setenv("ORCHESTRATOR_STATE_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv(
        "ORCHESTRATOR_STATE_TOKEN", create_token(store, "ci", TokenGrant(("propose", "write")), 3600.0, "me")
    )
    ready = threading.Event()

    def kill() -> None:
        while not over.is_set():
            with run_server(database, tmp_path, port=port) as process:
                ready.set()
                if len(killed) >= KILLS:
                    over.wait()
                    return
                while not over.is_set() and not store.list_runs().items:
                    time.sleep(0.05)
                over.wait(random.uniform(0.1, 1.5))
                process.kill()
                killed.append(time.monotonic())

    killing = threading.Thread(target=kill)
    killing.start()
    try:
        assert ready.wait(60)
        aws.faults = Faults(latency_ms=150)
        given = ["--auto-approve", "--parallelism", "3", "--log-format", "json", "--verbose", "-f", str(manifests)]
        code = main(["apply", *given])
    finally:
        over.set()
        killing.join(60)
    shown = capsys.readouterr()
    lines = [json.loads(line) for line in shown.err.splitlines() if line.startswith("{")]
    logged = [(TOLD[one["event"]], one["address"]) for one in lines if one["event"] in TOLD]
    (run,) = store.list_runs().items
    kept: list[StepEvent] = []
    after = 0
    while found := store.list_events(run.id, after):
        kept += found
        after = found[-1].sequence
    store.engine.dispose()

    assert code == 0, shown.err
    assert len(killed) >= 2
    assert run.status == "succeeded"
    assert [one.sequence for one in kept] == list(range(1, len(kept) + 1))
    assert sorted((one.kind, one.address) for one in kept) == sorted(logged)
    assert list(tmp_path.rglob("*.jsonl")) == []
