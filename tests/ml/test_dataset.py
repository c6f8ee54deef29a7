"""The data set's file and hash, and photos as the model's input."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ml.data import dataset, preprocessing
from ml.data.dataset import FileIssue, Photo
from ml.training_run import Preprocessing
from orchestrator.problems import Problems

PHOTOS = st.lists(
    st.builds(
        Photo,
        product=st.sampled_from(["ring", "chain", "perla ñ"]),
        path=st.text("ab/. é", min_size=1, max_size=6),
        sha256=st.text("0123456789abcdef", min_size=4, max_size=4),
        bytes=st.integers(1, 9), width=st.integers(1, 9), height=st.integers(1, 9), phash=st.just("f" * 16),
        key=st.text("kx/", max_size=3), etag=st.text("ab", max_size=3),
    ),
    max_size=12, unique_by=lambda one: one.path,
)  # fmt: skip


@given(photos=PHOTOS, seed=st.integers())
def test_the_hash_is_of_the_photos_alone(photos: list[Photo], seed: int) -> None:
    """Not of their order, nor of where they were fetched; of every product, path and checksum."""
    shuffled = photos.copy()
    random.Random(seed).shuffle(shuffled)
    moved = [replace(one, key="elsewhere", etag="other") for one in shuffled]
    whole = dataset.build(tuple(photos))

    assert dataset.build(tuple(moved)).hash == whole.hash
    for one in photos:
        for field, value in (("sha256", "changed"), ("product", "another"), ("path", "z")):
            change: dict[str, Any] = {field: value}
            other = tuple(replace(each, **change) if each is one else each for each in photos)
            assert dataset.build(other).hash != whole.hash


@given(photos=PHOTOS, fewest=st.integers(1, 4))
def test_what_is_saved_is_loaded(photos: list[Photo], fewest: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """All of it; products with few photos, or none that is any good, are sparse."""
    folder = tmp_path_factory.mktemp("data")
    gone = FileIssue("photos/brooch/1.jpg", "is cut off", "brooch", "product-photos/brooch/1.jpg", "e1")
    made = dataset.build(tuple(photos), (gone,), min_photos=fewest)
    dataset.save(made, folder)

    assert dataset.load(folder) == made
    assert set(made.sparse) == {"brooch", *(name for name, count in made.products.items() if count < fewest)}
    assert made.catalogue["brooch"] == {gone.key: "e1"}


def test_a_data_set_that_is_none_is_refused(tmp_path: Path) -> None:
    """Missing, torn, and changed manually; each says how to go on."""
    with pytest.raises(Problems, match=r"dataset\.json does not exist(.|\n)*python -m ml\.download_photos"):
        dataset.load(tmp_path)
    dataset.save(dataset.build((Photo("ring", "photos/ring/1.jpg", "ab", 1, 2, 3, "0" * 16),)), tmp_path)
    text = (tmp_path / dataset.FILE_NAME).read_text()
    (tmp_path / dataset.FILE_NAME).write_text(text.replace('"ring"', '"chain"'))
    with pytest.raises(Problems, match="do not match the recorded hash"):
        dataset.load(tmp_path)
    (tmp_path / dataset.FILE_NAME).write_text(text[:40])
    with pytest.raises(Problems, match="is not valid JSON"):
        dataset.load(tmp_path)


def test_a_photo_is_turned_laid_on_white_and_cropped(tmp_path: Path) -> None:
    """As its EXIF says; transparent places are white; of a wide one the middle is kept, or all of it squeezed."""
    contract = Preprocessing(("a", "b"), 16)
    wide = Image.new("RGB", (64, 32), "red")
    wide.paste("blue", (16, 0, 48, 32))
    exif = Image.Exif()
    exif[0x0112] = 6
    tall = Image.new("RGB", (32, 64), "red")
    tall.paste("blue", (0, 16, 32, 48))
    tall.save(tmp_path / "turned.png", exif=exif)
    wide.save(tmp_path / "wide.png")
    glass = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    glass.save(tmp_path / "glass.png")

    cropped, turned, white = (
        preprocessing.read(tmp_path / name, contract) for name in ("wide.png", "turned.png", "glass.png")
    )
    assert (cropped == (0, 0, 255)).all()
    assert (turned == cropped).all()
    assert (white == 255).all()
    assert (preprocessing.read(tmp_path / "wide.png", replace(contract, channels="BGR")) == (255, 0, 0)).all()
    squeezed = preprocessing.read(tmp_path / "wide.png", replace(contract, fit="stretch"))
    assert np.abs(squeezed[8, 0].astype(int) - (255, 0, 0)).max() < 2
    assert preprocessing.read_all([], contract).shape == (0, 16, 16, 3)


@pytest.mark.parametrize(
    "content", [b"", b"no photo", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, b"\xff\xd8\xff\xe0\0\x10JFIF"]
)
def test_what_is_no_photo_is_said(content: bytes, tmp_path: Path) -> None:
    """With its path, and no traceback."""
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(Problems, match=r"cannot read .*a\.jpg as a photo"):
        preprocessing.read(tmp_path / "a.jpg", Preprocessing(("a", "b"), 16))
