"""``orchestrator model``: what the browsers load, and whether the shop has moved on since it was trained."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.manifest import schema
from orchestrator.model_registry import registry
from orchestrator.model_registry.staleness import ModelStatus
from orchestrator.storage.s3 import S3FileStorage
from tests.cli.conftest import MANIFESTS, ByHand, Run
from tests.storage.test_model_registry import version

PHOTOS = "product-photos/"


@pytest.fixture
def storage(manifests: Path, by_hand: ByHand) -> S3FileStorage:
    """The bucket that the manifests name, with photos of two products."""
    from orchestrator.aws import Clients

    text = MANIFESTS.replace("versioning: true", "versioning: true, prefixes: [product-photos, ml-models]")
    (manifests / "shop.yaml").write_text(text)
    by_hand("s3", "create_bucket", Bucket="shop-files", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    made = S3FileStorage(Clients("eu-west-1"), "shop-files")
    for product in range(2):
        for shot in range(2):
            made.put(f"{PHOTOS}p{product}/{shot}.jpg", bytes([product, shot]))
    return made


def publish(storage: S3FileStorage, folder: Path, name: str, products: dict[str, str] | None = None) -> None:
    """A version trained with what the bucket holds now; ``products`` as a mapping would say, by the end of the key."""
    then: dict[str, dict[str, str]] = {}
    for one in storage.list(PHOTOS):
        place = one.key.removeprefix(PHOTOS)
        then.setdefault((products or {}).get(place, place.partition("/")[0]), {})[one.key] = one.etag
    known = replace(version(folder / name, name, then), trained_at=f"2026-11-2{name[-1]}T10:00:00Z")
    registry.publish(storage, folder / name, known, registry.read_pointer(storage))


def test_training_is_needed_when_the_shop_has_moved_on(storage: S3FileStorage, run: Run, tmp_path: Path) -> None:
    """Before the first model, never right after, and again over the threshold; scripts read JSON and the exit code."""
    assert "Training is needed: 100% of the products changed since the training" in run("model", "status").out
    publish(storage, tmp_path, "v1")
    storage.put(f"{PHOTOS}p0/.DS_Store", b"what a desktop leaves")
    calm = run("model", "status", "--detailed-exitcode")
    assert (calm.code, calm.err) == (0, "")
    assert "Model v1; 2 products" in calm.out
    assert "No training is needed: 0% of the products changed since the training (threshold 10%)." in calm.out

    assert not storage.find("ml-models/training-needed.json")
    storage.put(f"{PHOTOS}pearl/0.jpg", b"new")
    storage.put(f"{PHOTOS}p0/0.jpg", b"again")
    storage.delete(f"{PHOTOS}p1/0.jpg")
    storage.delete(f"{PHOTOS}p1/1.jpg")
    due = run("model", "status", "--detailed-exitcode", "--publish")
    assert due.code == 2
    told = json.loads(storage.download("ml-models/training-needed.json"))
    assert (told["version"], told["needed"], told["added"], told["removed"], told["changed"]) == ("v1", True, 1, 1, 1)
    assert "product-photos" not in json.dumps(told), "the file is public"
    for line in ("1 added: pearl", "1 removed: p1", "1 with new photos: p0", "1 added, 1 replaced, 2 removed"):
        assert line in due.out
    assert "Next: python -m ml.download_photos" in due.out
    assert run("model", "status", "--threshold", "1", "--detailed-exitcode").code == 0
    told = json.loads(run("model", "status", "--format", "json").out)
    msgspec.convert(told, ModelStatus, strict=True)
    assert (told["training_needed"], told["added"], told["version"]) == (True, ["pearl"], "v1")


def test_a_mapping_is_remembered(storage: S3FileStorage, run: Run, tmp_path: Path) -> None:
    """What a CSV said when the model was trained holds for those photos; new ones go with their neighbours."""
    for name in ("a", "b"):
        storage.put(f"{PHOTOS}{name}.jpg", name.encode())
    said = {"a.jpg": "ring", "b.jpg": "chain", "p0/0.jpg": "ring", "p0/1.jpg": "ring", "p1/0.jpg": "", "p1/1.jpg": ""}
    publish(storage, tmp_path, "v1", said)
    assert "No training is needed: 0%" in (calm := run("model", "status").out)
    assert "2 products" in calm, "not the folders"

    storage.put(f"{PHOTOS}p0/2.jpg", b"of the same product")
    storage.put(f"{PHOTOS}c.jpg", b"nobody knows")
    storage.put(f"{PHOTOS}p1/2.jpg", b"in a folder of things that show no product")
    due = run("model", "status").out
    assert "1 with new photos: ring" in due
    assert f"2 new files do not belong to a known product: {PHOTOS}c.jpg, {PHOTOS}p1/2.jpg" in due
    assert "100% of the products changed since the training" in due


def test_versions_are_listed(storage: S3FileStorage, run: Run, tmp_path: Path) -> None:
    """The oldest first, the current one marked; none is said to be none."""
    empty = run("model", "list").out
    assert "No model has been uploaded" in empty
    assert "python -m ml.download_photos -f " in empty
    for name in ("v2", "v1", "v3"):
        publish(storage, tmp_path, name)
    lines = run("model", "list").out.splitlines()

    assert [line.split()[0 if line[0] == " " else 1] for line in lines] == ["v1", "v2", "v3"]
    assert [line[0] for line in lines] == [" ", " ", "*"]
    assert "2 products  top-1 0.900" in lines[0]


def test_what_is_amiss_is_told(storage: S3FileStorage, run: Run, manifests: Path) -> None:
    """A pointer to nothing, and manifests without a place for models: what, and what to do."""
    storage.put(registry.POINTER_KEY, b'{"version": "gone"}')
    lost = run("model", "status")
    assert lost.code == 1
    assert "model gone has no list of its training photos" in lost.err
    (manifests / "shop.yaml").write_text(MANIFESTS)
    nowhere = run("model", "list")
    assert nowhere.code == 1
    assert "prefixes: [product-photos, ml-models]" in nowhere.err


def test_any_version_is_taken_back(storage: S3FileStorage, run: Run, tmp_path: Path) -> None:
    """At once, by its name, without a release; the way back is said as it is typed; what is not there is told."""
    publish(storage, tmp_path, "v1")
    publish(storage, tmp_path, "v2")
    back = run("model", "use", "v1")
    assert back.code == 0, back
    assert "Model v1 is now in use, replacing v2." in back.out
    assert "To go back: orchestrator model use v2" in back.out
    now = registry.read_pointer(storage)
    assert now is not None
    assert now.version == "v1"
    assert "* v1" in run("model", "list").out
    assert "Model v1 is already in use." in run("model", "use", "v1").out
    wrong = run("model", "use", "v7")
    assert wrong.code == 1
    assert "no model v7" in wrong.err
    assert "uploaded versions: v1, v2" in wrong.err


def test_the_pointer_is_as_its_schema_says(storage: S3FileStorage, run: Run, tmp_path: Path) -> None:
    """After an upload, and after it was moved."""
    validator = schema.get_validator("model-pointer")
    for step in (lambda: publish(storage, tmp_path, "v1"), lambda: publish(storage, tmp_path, "v2"),
                 lambda: run("model", "use", "v1")):  # fmt: skip
        step()
        data, _ = storage.read(registry.POINTER_KEY)
        pointer = json.loads(data)
        assert [error.message for error in validator.iter_errors(pointer)] == []
        assert hashlib.sha256(storage.download(pointer["metadata"])).hexdigest() == pointer["sha256"]
