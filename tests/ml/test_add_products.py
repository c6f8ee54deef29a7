"""A product or photos are added to a model in seconds, without training; validated and uploaded like any other."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ml import add_products, training_run, validate_model
from ml.data import preprocessing
from ml.download_photos import main as download
from ml.export import exported_model
from orchestrator.problems import Problems
from tests.ml import fast_training, sample_photos

pytestmark = [pytest.mark.tensorflow, pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(600)]
NEW = 7
"""A product that the training never saw."""
LATER = datetime(2026, 12, 1, 10, 30, tzinfo=UTC)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A trained shop that got a new product and lost another."""
    storage = fast_training.make_photos(tmp_path)
    fast_training.train(tmp_path / "runs/v1", tmp_path / "data")
    for shot in range(3):
        storage.put(f"product-photos/p{NEW}/{shot}.jpg", sample_photos.draw_photo(NEW, shot))
    for shot in range(fast_training.SHOTS):
        storage.delete(f"product-photos/p1/{shot}.jpg")
    return tmp_path


def fetch(shop: Path) -> None:
    assert download(["--data", str(shop / "data"), "--local", str(shop / "bucket")]) == 0


def test_a_new_product_is_recognised(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In photos nobody has seen, beside the others; the one that went is gone; the old run is as it was."""
    fetch(shop)
    before = (shop / "runs/v1/run.json").read_bytes()
    words = [str(shop / "runs/v1"), "--data", str(shop / "data"), "--runs", str(shop / "runs")]
    assert add_products.main(words) == 0
    told = capsys.readouterr().out
    (folder,) = (shop / "runs").glob("2*")
    done = training_run.load(folder)
    assert done.classes == ("p0", "p2", "p3", f"p{NEW}")
    assert f"Added: p{NEW}" in told
    assert "Removed: p1" in told
    assert f"Next: python -m ml.validate_model {folder}" in told
    assert done.unmeasured == (f"p{NEW}",)
    paths = []
    for product in (0, 2, NEW):
        paths.append(shop / f"{product}.jpg")
        paths[-1].write_bytes(sample_photos.draw_photo(product, 60))
    model = exported_model.load(folder / "web")
    shown = model.answer(preprocessing.read_all(paths, done.preprocessing).astype(np.float32))
    assert [model.products[at] for at in shown[:, :-1].argmax(axis=1)] == ["p0", "p2", f"p{NEW}"]
    assert (shop / "runs/v1/run.json").read_bytes() == before

    words = [str(folder), "--data", str(shop / "data"), "--local", str(shop / "bucket"), "--no-browser"]
    assert validate_model.main(words) == 0, capsys.readouterr()


def test_nothing_new_is_said(shop: Path) -> None:
    """Before the photos are downloaded there is nothing to add."""
    with pytest.raises(Problems, match="contains only photos that are already in training run v1"):
        add_products.add_products(shop / "runs/v1", shop / "data", shop / "runs", LATER)
    assert not list((shop / "runs").glob("2*"))
