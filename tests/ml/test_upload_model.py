"""A validated model goes into the bucket whole, and into use in one step; what is not fit is refused, with reasons."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ml import training_run, upload_model
from ml.data import dataset
from ml.training_run import Preprocessing
from orchestrator import canonical_json
from orchestrator.emulator import Emulator, start
from orchestrator.model_registry import registry
from orchestrator.model_registry.registry import METADATA_FILE, ModelMetadata, Parity, Verdict
from orchestrator.problems import Problems
from orchestrator.storage import StoredFile
from orchestrator.storage.local import LocalFileStorage
from tests.emulator.account import make_client
from tests.ml import small_disk
from tests.ml.finished_runs import make_run
from tests.state.pages.page_service import make_settings, serve
from tests.storage.test_model_registry import CONTRACT, version

REASON = "the shop asked for it"


def validated(
    folder: Path, name: str, against: str = "", says: str = "", lost: tuple[str, ...] = (), **more: Any
) -> Path:
    """A run as ``ml.validate_model`` leaves it, without a network: the upload never looks into one."""
    place = folder / "runs" / name
    place.mkdir(parents=True)
    known = version(place / "web", name)
    contract = Preprocessing(**{**CONTRACT, "classes": tuple(CONTRACT["classes"])})  # type: ignore[arg-type]
    known = replace(known, preprocessing_hash=contract.hash, verdict=Verdict(says or ("same" if against else "first"),
                    against, lost=lost), **more)  # fmt: skip
    (place / "web" / METADATA_FILE).write_bytes(registry.encode_metadata(known))
    training_run.save(make_run(name, contract), place)
    dataset.save(dataset.build(()), place)
    return place


class Upload:
    """The command, on a folder that stands for a bucket; what it printed."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.storage = LocalFileStorage(folder / "bucket")
        self._capsys = capsys

    def __call__(self, place: Path, *words: str, code: int = 0) -> str:
        self._capsys.readouterr()
        ended = upload_model.main([str(place), "--local", str(self.folder / "bucket"), *words])
        told = self._capsys.readouterr()
        assert ended == code, told
        assert "Traceback" not in told.err
        return told.out + told.err

    @property
    def in_use(self) -> str:
        pointer = registry.read_pointer(self.storage)
        return pointer.version if pointer else ""


@pytest.fixture
def upload(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Upload:
    return Upload(tmp_path, capsys)


def test_a_model_comes_into_use(upload: Upload) -> None:
    """All of it below its version, with what is known of it; the same again changes nothing, the next takes over."""
    told = upload(validated(upload.folder, "v1"))
    assert "Model v1 is now in use: 2 products, top-1 accuracy 90.0%." in told
    assert upload.in_use == "v1"
    known = registry.read_metadata(upload.storage, "v1")
    for name, file in known.files.items():
        assert registry.describe_file(upload.folder / "bucket" / registry.key_of("v1", name)) == file
    assert "is already in use" in upload(upload.folder / "runs/v1")

    told = upload(validated(upload.folder, "v2", against="v1", says="better"))
    assert "now in use, replacing v1" in told
    assert upload.in_use == "v2"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"says": "worse"}, "model v2 is worse than v1"),
        ({"parity": Parity(1e-4, 3, 1e-6, 0.4, "resize: box")}, "failed the parity check: resize: box"),
        ({"parity": Parity(1e-4, 0, None, None)}, "failed the parity check: not compared"),
        ({"against": "v0"}, "the model in use is v1, but v2 was compared with v0"),
        ({"lost": ("ring",)}, "does not recognise 1 product (ring)"),
    ],
)
def test_what_is_not_fit_is_refused(upload: Upload, more: dict[str, Any], sentence: str) -> None:
    """Nothing of it is uploaded; a reason lifts that, and is kept."""
    upload(validated(upload.folder, "v1"))
    place = validated(upload.folder, "v2", **{"against": "v1", **more})
    told = upload(place, code=1)
    assert sentence in told
    assert "nothing was uploaded" in told
    commands = [line for line in told.splitlines() if "python -m ml." in line]
    assert all(f"--local {upload.folder / 'bucket'}" in line for line in commands), told
    assert bool(commands) is (more.get("says") != "worse")
    assert upload.in_use == "v1"
    assert registry.list_versions(upload.storage) == ["v1"]

    assert f"Forced: {REASON}" in upload(place, "--force", REASON)
    assert upload.in_use == "v2"
    assert registry.read_metadata(upload.storage, "v2").verdict.forced == REASON


def _not_validated(place: Path) -> None:
    (place / "web" / METADATA_FILE).unlink()


def _exported_again(place: Path) -> None:
    (place / "web/model.json").write_text("another")


def _other_schema(place: Path) -> None:
    path = place / "web" / METADATA_FILE
    known = json.loads(path.read_bytes())
    known["metrics"]["top1"] = 3
    path.write_text(json.dumps(known))


def _torn(place: Path) -> None:
    (place / "web" / METADATA_FILE).write_text('{"version"')


def _of_another(place: Path) -> None:
    path = place / "run.json"
    path.write_text(path.read_text().replace('"v1"', '"v9"'))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (shutil.rmtree, "no finished training run in"),
        (_not_validated, "training run v1 has not been validated"),
        (_exported_again, "model.json differs from the validated file"),
        (_other_schema, "metadata: $.metrics.top1"),
        (_torn, "metadata.json is not valid JSON"),
        (_of_another, "describes model v1, but the run is v9"),
    ],
)
def test_what_cannot_be_uploaded_is_told(upload: Upload, spoil: Any, sentence: str) -> None:
    """In a sentence, and nothing is in use by it."""
    place = validated(upload.folder, "v1")
    spoil(place)
    assert sentence in upload(place, code=1)
    assert upload.in_use == ""


class Interrupted(LocalFileStorage):
    """A network that is gone from the ``after``-th write on."""

    def __init__(self, root: Path, after: int) -> None:
        super().__init__(root)
        self.after = after

    def put(self, key: str, content: bytes | Path, **more: Any) -> StoredFile:
        self.after -= 1
        if self.after < 0:
            raise Problems.from_message(
                "the bucket does not answer", hint="see that this machine is online, then again"
            )
        return super().put(key, content, **more)


def test_wherever_it_is_cut_off_the_old_model_stays(upload: Upload) -> None:
    """Before each write in turn; the same command goes on, and sends nothing twice."""
    upload(validated(upload.folder, "v1"))
    place = validated(upload.folder, "v2", against="v1")
    for after in range(5):
        with pytest.raises(Problems, match="does not answer"):
            upload_model.upload(Interrupted(upload.folder / "bucket", min(after, 1) if after < 4 else 1), place)
        assert upload.in_use == "v1"
    assert upload_model.upload(Interrupted(upload.folder / "bucket", 1), place).is_new
    assert upload.in_use == "v2"


def test_a_disk_that_fills_leaves_the_old_model(upload: Upload) -> None:
    """In the folder that stands for a bucket, and for a file to hand in; with room the same command ends well."""
    upload(validated(upload.folder, "v1"))
    place = validated(upload.folder, "v2", against="v1")
    file = ("--file", str(upload.folder / "model.zip"))
    for words in ((), file):
        with small_disk.limit_file_size(100):
            told = upload(place, *words, code=1)
        assert "File too large" in told
        assert "hint: " in told
    assert upload.in_use == "v1"
    assert not [*upload.folder.rglob("*.part"), *upload.folder.glob("*.zip")]
    assert "now in use, replacing v1" in upload(place)
    assert "Upload it to the state service" in upload(place, *file)


@pytest.fixture(scope="module")
def aws() -> Iterator[Emulator]:
    with start() as emulator:
        make_client(emulator, "s3").create_bucket(
            Bucket="files", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        yield emulator


SLOW = """
import sys
from ml import upload_model
from orchestrator.storage.s3 import S3FileStorage

class Slow(S3FileStorage):
    def put(self, key, *more, **said):
        if key.endswith("current.json"):
            print("ready", flush=True)
            sys.stdin.readline()
        return super().put(key, *more, **said)

import orchestrator.storage.s3 as s3
s3.S3FileStorage = Slow
raise SystemExit(upload_model.main(sys.argv[1:]))
"""


def test_of_two_processes_at_once_one_wins(aws: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both stand before the switch when they are let go; the loser says who won, and goes on once it has compared."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    assert upload_model.main([str(validated(tmp_path, "v1")), "--bucket", "files"]) == 0
    runs = {name: validated(tmp_path, name, against="v1") for name in ("v2", "v3")}
    started = {
        name: subprocess.Popen(
            [sys.executable, "-c", SLOW, str(place), "--bucket", "files"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name, place in runs.items()
    }  # fmt: skip
    for process in started.values():
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    told = {name: process.communicate("go\n", timeout=60) for name, process in started.items()}
    codes = {name: process.returncode for name, process in started.items()}

    assert sorted(codes.values()) == [0, 1], told
    (winner,) = [name for name, code in codes.items() if code == 0]
    (loser,) = codes.keys() - {winner}
    body = make_client(aws, "s3").get_object(Bucket="files", Key="ml-models/current.json")["Body"].read()
    assert json.loads(body)["version"] == winner
    assert f"model {winner} became current while {loser} was being uploaded" in told[loser][1]
    assert upload_model.main([str(runs[loser]), "--bucket", "files"]) == 1, "it was compared with v1"

    path = runs[loser] / "web" / METADATA_FILE
    known = canonical_json.load(path.read_bytes(), ModelMetadata)
    path.write_bytes(registry.encode_metadata(replace(known, verdict=Verdict("better", winner))))
    assert upload_model.main([str(runs[loser]), "--bucket", "files"]) == 0


MANIFESTS = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {repository: team/shop, region: eu-west-1, account: "123456789012"}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: files}
spec: {name: files-by-name, prefixes: [product-photos, ml-models]}
"""


def test_the_state_service_is_told(
    aws: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the service down the model is in use all the same; the same command again tells it."""
    from orchestrator.state.server.access import TokenGrant, create_token
    from orchestrator.state.server.store import Store

    make_client(aws, "s3").create_bucket(
        Bucket="files-by-name", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests/shop.yaml").write_text(textwrap.dedent(MANIFESTS))
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    words = [str(validated(tmp_path, "v1")), "-e", "prod", "-f", str(tmp_path / "manifests")]
    monkeypatch.setenv("ORCHESTRATOR_STATE_URL", "http://127.0.0.1:9")
    began = time.monotonic()
    assert upload_model.main(words) == 0
    told = capsys.readouterr().out
    assert "Model v1 is now in use" in told
    assert "The model is not registered with the state service: the state service at http://127.0.0.1:9" in told
    assert time.monotonic() - began < 30

    known = make_settings(tmp_path)
    store = Store.open(known.database)
    with serve(store, known) as address:
        monkeypatch.setenv("ORCHESTRATOR_STATE_URL", address)
        monkeypatch.setenv("ORCHESTRATOR_STATE_TOKEN", create_token(store, "ana", TokenGrant(("write",)), 60, "test"))
        assert upload_model.main(words) == 0
        assert f"Registered with the state service: {address}/models" in capsys.readouterr().out
        (kept,) = store.list_model_versions("shop/prod")
        assert (kept.version, kept.current, kept.metrics["top1"]) == ("v1", True, 0.9)
