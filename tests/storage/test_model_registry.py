"""Models in a storage: uploaded whole, switched once, compared with the catalogue."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.model_registry import registry, staleness
from orchestrator.model_registry.registry import ModelFile, ModelMetadata, ModelMetrics, Parity, Verdict
from orchestrator.problems import Problems
from orchestrator.storage import ConflictError
from orchestrator.storage.local import LocalFileStorage

CONTRACT = {
    "classes": ["ring", "chain"], "size": 224, "orientation": "exif", "transparent": "white", "fit": "centre-crop",
    "resize": "triangle", "channels": "RGB", "scaling": "x / 127.5 - 1",
}  # fmt: skip


@pytest.fixture
def storage(tmp_path: Path) -> LocalFileStorage:
    return LocalFileStorage(tmp_path / "bucket")


def version(folder: Path, name: str, photos: dict[str, dict[str, str]] | None = None) -> ModelMetadata:
    """An export in ``folder`` and what is known of it."""
    folder.mkdir(exist_ok=True)
    contents = {"model.json": name, "weights-1.bin": "w" * 9, "catalogue.json": json.dumps(photos or {})}
    for file, content in contents.items():
        (folder / file).write_text(content)
    files: dict[str, ModelFile] = {file: registry.describe_file(folder / file) for file in contents}
    return ModelMetadata(
        name,
        "data",
        CONTRACT,
        "0" * 64,
        ModelMetrics(0.9, 1.0, 0.05, 12.0),
        Parity(1e-4, 3, 1e-6, 1e-6),
        Verdict("first"),
        {"epochs": 3},
        {"keras": "3"},
        "c0ffee",
        "2026-11-24T10:00:00Z",
        files,
    )


def test_a_version_is_uploaded_and_made_the_current_one(storage: LocalFileStorage, tmp_path: Path) -> None:
    """All files, the metadata, then the pointer; again it changes nothing."""
    known = version(tmp_path / "v1", "v1")
    pointer = registry.publish(storage, tmp_path / "v1", known, None)
    again = registry.publish(storage, tmp_path / "v1", known, pointer)

    assert registry.read_pointer(storage) == pointer == again
    assert pointer.model == "ml-models/v1/model.json"
    assert storage.download(pointer.model) == b"v1"
    assert registry.read_metadata(storage, "v1") == known
    assert registry.list_versions(storage) == ["v1"]
    assert known.size == 11


def test_of_two_uploads_at_once_one_wins(storage: LocalFileStorage, tmp_path: Path) -> None:
    """Both began from the same current model; the other is told what won, and its version is there, unused."""
    first = registry.publish(storage, tmp_path / "v1", version(tmp_path / "v1", "v1"), None)
    gate = threading.Barrier(2)
    told: dict[str, str] = {}

    def upload(name: str) -> None:
        known = version(tmp_path / name, name)
        gate.wait()
        try:
            told[name] = registry.publish(storage, tmp_path / name, known, first).version
        except ConflictError as conflict:
            told[name] = str(conflict)

    threads = [threading.Thread(target=upload, args=(name,)) for name in ("v2", "v3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    now = registry.read_pointer(storage)
    assert now is not None
    (loser,) = {"v2", "v3"} - {now.version}
    assert told[now.version] == now.version
    assert f"model {now.version} became current while {loser} was being uploaded" in told[loser]
    assert registry.list_versions(storage) == ["v1", "v2", "v3"]


def test_any_uploaded_version_is_used_at_once(storage: LocalFileStorage, tmp_path: Path) -> None:
    """Only the pointer moves, there and back; what was never uploaded, or is not whole, is never pointed to."""
    first = registry.publish(storage, tmp_path / "v1", version(tmp_path / "v1", "v1"), None)
    second = registry.publish(storage, tmp_path / "v2", version(tmp_path / "v2", "v2"), first)
    before = {stored.key: stored.etag for stored in storage.list("") if stored.key != registry.POINTER_KEY}

    assert registry.use(storage, "v2") == ("v2", second)
    previous, pointer = registry.use(storage, "v1")
    assert (previous, pointer.version) == ("v2", "v1")
    assert registry.read_pointer(storage) == pointer
    assert registry.use(storage, "v2")[1].version == "v2"
    assert {stored.key: stored.etag for stored in storage.list("") if stored.key != registry.POINTER_KEY} == before
    with pytest.raises(Problems, match=r"no model v9 .*uploaded versions: v1, v2"):
        registry.use(storage, "v9")
    storage.delete("ml-models/v1/weights-1.bin")
    with pytest.raises(Problems, match=r"model v1 is incomplete .*weights-1\.bin"):
        registry.use(storage, "v1")
    now = registry.read_pointer(storage)
    assert now is not None
    assert now.version == "v2"


def test_only_what_browsers_need_is_public(storage: LocalFileStorage, tmp_path: Path) -> None:
    """Keys and etags of photos lie elsewhere; where an older version has them, they are found."""
    known = version(tmp_path / "v1", "v1", {"ring": {"product-photos/ring/1.jpg": "e1"}})
    registry.publish(storage, tmp_path / "v1", known, None)
    public = {stored.key for stored in storage.list("ml-models/")}

    assert public == {"ml-models/current.json", *(f"ml-models/v1/{name}" for name in (
        "metadata.json", "model.json", "weights-1.bin"))}  # fmt: skip
    assert all(b"product-photos" not in storage.download(key) for key in public)
    assert b"product-photos" in registry.read_training_file(storage, "v1", registry.CATALOGUE_FILE)
    storage.put("ml-models/v0/catalogue.json", b"{}")
    assert registry.read_training_file(storage, "v0", registry.CATALOGUE_FILE) == b"{}"


def test_a_version_is_never_another(storage: LocalFileStorage, tmp_path: Path) -> None:
    """The same name with other content is refused before anything moves; so is a file that changed since."""
    first = registry.publish(storage, tmp_path / "v1", version(tmp_path / "v1", "v1"), None)
    other = version(tmp_path / "other", "v1", {"ring": {"a": "1"}})
    with pytest.raises(Problems, match="already exists with different content"):
        registry.publish(storage, tmp_path / "other", other, first)
    known = version(tmp_path / "v2", "v2")
    (tmp_path / "v2" / "weights-1.bin").write_text("broken")
    with pytest.raises(Problems, match="differs from the validated file"):
        registry.publish(storage, tmp_path / "v2", known, first)

    assert registry.read_pointer(storage) == first


def _nothing(known: ModelMetadata) -> ModelMetadata:
    return known


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda known: replace(known, preprocessing={**CONTRACT, "classes": ["ring"]}), "preprocessing.classes"),
        (lambda known: replace(known, preprocessing_hash="none"), "preprocessing_hash"),
        (lambda known: replace(known, metrics=replace(known.metrics, top1=1.5)), "metrics.top1"),
        (lambda known: replace(known, version="../v1"), "version"),
        (_nothing, None),
    ],
)
def test_metadata_keeps_to_its_schema(
    tmp_path: Path, change: Callable[[ModelMetadata], ModelMetadata], complaint: str | None
) -> None:
    """What breaks it is named; what keeps to it passes."""
    known = change(version(tmp_path / "v", "v1"))
    if complaint is None:
        assert json.loads(registry.encode_metadata(known))["version"] == "v1"
        return
    with pytest.raises(Problems, match=complaint.replace(".", r"\.")):
        registry.encode_metadata(known)


@pytest.mark.parametrize(
    ("parity", "holds"),
    [
        (Parity(1e-4, 3, 1e-6, 1e-6), True),
        (Parity(1e-4, 3, 1e-6, 1e-3), False),
        (Parity(1e-4, 3, 1e-6, 1e-6, "scaling"), False),
        (Parity(1e-4, 0, None, None), False),
    ],
)
def test_parity_holds_where_all_agree(parity: Parity, holds: bool) -> None:
    """Nobody asked is nobody who agrees."""
    assert parity.is_consistent is holds


def test_the_catalogue_moves_on(storage: LocalFileStorage, tmp_path: Path) -> None:
    """Products that came, went, or were photographed anew are named; over the threshold training is due."""
    for key, content in (("ring/a.jpg", b"1"), ("ring/b.jpg", b"2"), ("chain/a.jpg", b"3")):
        storage.put(f"product-photos/{key}", content)
    then = {name: dict(photos) for name, photos in staleness.build_catalogue(storage.list("product-photos/")).items()}
    registry.publish(storage, tmp_path / "v1", version(tmp_path / "v1", "v1", then), None)
    assert staleness.check_staleness(storage).share == 0

    storage.put("product-photos/ring/b.jpg", b"another")
    storage.delete("product-photos/chain/a.jpg")
    storage.put("product-photos/pearl/a.jpg", b"4")
    seen = staleness.check_staleness(storage, threshold=0.5)

    assert (seen.version, seen.added, seen.removed, seen.changed) == ("v1", ("pearl",), ("chain",), ("ring",))
    assert (seen.photos_added, seen.photos_changed, seen.photos_removed) == (1, 1, 1)
    assert seen.is_retraining_due


def test_a_model_that_says_nothing_of_its_photos(storage: LocalFileStorage) -> None:
    """Is no reason for a guess."""
    storage.put(registry.POINTER_KEY, b'{"version": "old"}')

    with pytest.raises(Problems, match="has no list of its training photos"):
        staleness.check_staleness(storage)
