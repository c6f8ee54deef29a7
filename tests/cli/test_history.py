"""What somebody types who looks after the service: verify, export, import; and its settings out of a secret."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from orchestrator.cli.main import main
from orchestrator.emulator import Emulator
from orchestrator.problems import Problems
from orchestrator.state.protocol.records import Run, RunResult, StepEvent
from orchestrator.state.server.startup import load_settings
from orchestrator.state.server.store import Store
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import write_transaction

AT = "2026-11-24T10:00:00.000Z"


def filled(url: str) -> Store:
    """One run with one event."""
    store = Store.open(url)
    fence = store.begin_run(Run("r1", "shop/prod", "deploy", "ana", "c0ffee", AT), "ana").fence
    store.append_events("r1", fence, (StepEvent(1, AT, "step", "s3_bucket.files", what="s3:CreateBucket"),))
    store.end_run("r1", fence, RunResult("succeeded", AT), "ana")
    return store


def test_a_history_goes_out_and_in_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Verified on both sides; what is there already is not written over; a forger is named."""
    here, there = (f"sqlite:///{tmp_path}/{name}.db" for name in ("here", "there"))
    store = filled(here)
    assert main(["history", "verify", "--database", here]) == 0
    assert "The history is intact: 2 entries" in capsys.readouterr().out
    assert main(["history", "export", "--database", here]) == 0
    export = tmp_path / "all.jsonl"
    export.write_text(capsys.readouterr().out)

    assert main(["history", "verify", str(export)]) == 0
    assert main(["history", "import", str(export), "--database", there]) == 0
    copy = Store.open(there)
    assert copy.list_runs().items == store.list_runs().items
    assert copy.list_events("r1") == store.list_events("r1")
    assert main(["history", "import", str(export), "--database", there]) == 1
    assert "nothing was imported" in capsys.readouterr().err

    with write_transaction(copy.engine) as connection:
        connection.execute(update(t.history).where(t.history.c.number == 1).values(by="eve"))
    assert main(["history", "verify", "--database", there]) == 1
    assert "entry 1" in capsys.readouterr().err
    export.write_text(export.read_text().replace("ana", "eve"))
    assert main(["history", "verify", str(export)]) == 1
    for one in (store, copy):
        one.engine.dispose()


def test_settings_come_out_of_one_secret(aws: Emulator, by_hand: Callable[..., Any]) -> None:
    """Keys as an application's are; the environment goes before them, and a secret that is not there is named."""
    kept = {"State:Database": "postgresql://u:hush@db/state", "GitHub:RepositoryId": "4711", "State:ProxySecret": "x"}
    arn = by_hand("secretsmanager", "create_secret", Name="state", SecretString=json.dumps(kept))["ARN"]
    found = load_settings({**os.environ, "State__Secret": arn, "GITHUB__REPOSITORYID": "7"}, host="0.0.0.0")

    assert (found.database, found.repository_id, found.is_authentication_required) == (
        "postgresql://u:hush@db/state",
        "7",
        True,
    )
    assert "hush" not in repr(found)
    with pytest.raises(Problems, match=r"cannot read the secret .*: secretsmanager:GetSecretValue"):
        load_settings({**os.environ, "State__Secret": arn.replace("state", "stage")})
