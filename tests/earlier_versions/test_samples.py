"""This version reads what each earlier one wrote.

A folder of ``samples`` is named after the version, and after the commit where it was in development: a first deploy
with ``--without-record``, a second one and a rollback that a state service recorded, and an uploaded model, by that
version's own command line on an emulated AWS.  ``state.sql`` is the dump of its SQLite database.  Nothing in them is
ever edited; ``python -m tests.earlier_versions`` writes those of this version, once, before it is released.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import orchestrator
from orchestrator import canonical_json
from orchestrator.cli import plan_file
from orchestrator.cli.main import main
from orchestrator.model_registry import registry
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.state.client import journal
from orchestrator.state.client.api_client import StateClient
from orchestrator.state.server.store import Store
from orchestrator.storage.local import LocalFileStorage
from tests.cli import state_service

SAMPLES = Path(__file__).parent / "samples"
VERSIONS = sorted(path.name for path in SAMPLES.iterdir())
MAX_SAMPLE_BYTES = 250_000
CHECKSUMS = SAMPLES.parent / "checksums.json"


class Bucket:
    """A release bucket that holds one ledger."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def call(self, service: str, operation: str, parameters: Any) -> Any:
        assert (service, operation, parameters["Key"]) == ("s3", "get_object", "ledger/prod.json")
        return {"Body": io.BytesIO(self._data), "ETag": '"1"', "ResponseMetadata": {"HTTPHeaders": {}}}


def list_files(version: str) -> list[Path]:
    return sorted(path for path in (SAMPLES / version).rglob("*") if path.is_file())


def test_this_version_and_an_earlier_form_have_samples() -> None:
    assert orchestrator.__version__ in VERSIONS
    assert len(VERSIONS) >= 2


def test_samples_stay_as_they_were_written_and_small() -> None:
    """A reader for an old form is written, never the old form edited."""
    sums = {
        str(path.relative_to(SAMPLES)): hashlib.sha256(path.read_bytes()).hexdigest()
        for version in VERSIONS
        for path in list_files(version)
    }

    assert sums == json.loads(CHECKSUMS.read_text())
    assert [name for name in VERSIONS if sum(path.stat().st_size for path in list_files(name)) > MAX_SAMPLE_BYTES] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_the_ledger_is_read(version: str) -> None:
    """Two deploys and the rollback; and what is written from it has all that was in it."""
    data = (SAMPLES / version / "ledger.json").read_bytes()
    ledger = LedgerStore(Bucket(data), "shop-releases-prod", "prod").read()  # type: ignore[arg-type]

    assert [release.number for release in ledger.releases] == [1, 2, 3]
    assert ledger.releases[2].of == 1
    assert ledger.releases[2].vector.sites == ledger.releases[0].vector.sites
    assert [pin.part for pin in ledger.pins] == ["site:bucket.web"]
    assert_contains(json.loads(canonical_json.dump(ledger)), json.loads(data))


def assert_contains(new: Any, old: Any, path: str = "") -> None:
    """Every member of the old document is in the new one, with its value."""
    if isinstance(old, dict):
        for key, value in old.items():
            assert key in new, f"{path}.{key} is lost"
            assert_contains(new[key], value, f"{path}.{key}")
    elif isinstance(old, list):
        assert len(new) == len(old), path
        for position, value in enumerate(old):
            assert_contains(new[position], value, f"{path}[{position}]")
    else:
        assert new == old, path


@pytest.mark.parametrize("version", VERSIONS)
def test_the_plan_is_read(version: str) -> None:
    plan = plan_file.read(SAMPLES / version / "plan.json")

    assert (plan.project, plan.environment, plan.version) == ("shop", "prod", 1)
    assert len(plan.pending_changes) > 10
    assert len(plan.digest) == 64


@pytest.mark.parametrize("version", VERSIONS)
def test_the_database_is_migrated_and_verified(
    version: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An upgrade is no alarm: the history is intact, and the tables are what it says."""
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((SAMPLES / version / "state.sql").read_text())
    connection.close()
    url = f"sqlite:///{path}"

    assert main(["history", "verify", "--database", url]) == 0, capsys.readouterr().err
    assert "The history is intact" in capsys.readouterr().out
    runs = Store.open(url).list_runs().items
    assert {(run.verb, run.status) for run in runs} >= {("deploy", "succeeded"), ("rollback", "succeeded")}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_journal_is_imported(version: str, tmp_path: Path) -> None:
    """By a service of this version; twice, which changes nothing."""
    path = tmp_path / "journal.jsonl"
    shutil.copy(SAMPLES / version / "journal.jsonl", path)
    with (
        state_service.run_service(tmp_path) as (service, token),
        StateClient(service.address, token) as client,
    ):
        assert journal.submit(path, client) == journal.submit(path, client) > 10
        [run] = service.store.list_runs().items

    assert (run.verb, run.status, run.release) == ("deploy", "succeeded", 1)
    assert len(run.outcomes) > 5


@pytest.mark.parametrize("version", [name for name in VERSIONS if (SAMPLES / name / "bucket").is_dir()])
def test_the_model_is_read(version: str, tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / version / "bucket", tmp_path / "bucket")
    storage = LocalFileStorage(tmp_path / "bucket")
    pointer = registry.read_pointer(storage)

    assert pointer is not None
    assert registry.list_versions(storage) == [pointer.version]
    metadata = registry.read_metadata(storage, pointer.version)
    assert metadata.metrics.top1 == pytest.approx(0.9)
    raw = next((tmp_path / "bucket").rglob("metadata.json")).read_bytes()
    assert_contains(json.loads(registry.encode_metadata(metadata)), json.loads(raw))


@pytest.mark.parametrize("version", [name for name in VERSIONS if (SAMPLES / name / "history.jsonl").is_file()])
def test_the_export_is_read(version: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Into an empty database, which then is intact."""
    export, url = str(SAMPLES / version / "history.jsonl"), f"sqlite:///{tmp_path / 'state.db'}"

    assert main(["history", "verify", export]) == 0
    assert main(["history", "import", export, "--database", url]) == 0
    assert main(["history", "verify", "--database", url]) == 0, capsys.readouterr().err
