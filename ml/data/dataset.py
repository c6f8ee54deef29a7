"""The data set: which photos there are, of which products, and what is wrong with some.

Written by ``ml.download_photos``, read by the training, the validation and the upload as ``dataset.json``.
A path is relative to the folder of that file (``photos/PRODUCT/NAME``, forward slashes).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ml.atomic_files import write_atomic
from orchestrator import canonical_json
from orchestrator.problems import Problems

FILE_NAME = "dataset.json"
PHOTOS_FOLDER = "photos"
MIN_PHOTOS_PER_CLASS = 8
"""Photos below which a product is too sparse to be a class; it is recognised by its prototype."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo that training may use: pixels as its file has them, perceptual hash as 16 hexadecimal digits.

    ``key`` and ``etag`` are those of the storage it comes from, empty where it comes from none.
    """

    product: str
    path: str
    sha256: str
    bytes: int
    width: int
    height: int
    phash: str
    key: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class FileIssue:
    """Something about one file, for people; ``reason`` is a sentence without its subject ("is cut off")."""

    path: str
    reason: str
    product: str = ""
    key: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """``rejected`` files are not among ``photos``; what ``noted`` speaks of is.  ``sparse``: products of few photos.

    ``place``: the options that named the storage of the photos, for the commands that come next.
    """

    photos: tuple[Photo, ...]
    rejected: tuple[FileIssue, ...] = ()
    sparse: tuple[str, ...] = ()
    noted: tuple[FileIssue, ...] = ()
    hash: str = field(default="")
    place: tuple[str, ...] = ()

    @property
    def products(self) -> Mapping[str, int]:
        """How many photos each product has, by name."""
        return dict(sorted(Counter(photo.product for photo in self.photos).items()))

    @property
    def catalogue(self) -> Mapping[str, Mapping[str, str]]:
        """ETags by key by product, rejected files included: what the bucket held.

        Files that show no product are there as well, under "".
        """
        etags_by_product: dict[str, dict[str, str]] = {}
        photo_files = [(item.product, item.key, item.etag) for item in self.photos]
        for product, key, etag in photo_files + [(item.product, item.key, item.etag) for item in self.rejected]:
            if key:
                etags_by_product.setdefault(product, {})[key] = etag
        return etags_by_product


def compute_hash(photos: tuple[Photo, ...]) -> str:
    """SHA-256 over product, path and checksum of every photo, whatever their order; 64 hexadecimal digits."""
    return canonical_json.digest(sorted((photo.product, photo.path, photo.sha256) for photo in photos))


def build(
    photos: tuple[Photo, ...],
    rejected: tuple[FileIssue, ...] = (),
    noted: tuple[FileIssue, ...] = (),
    min_photos: int = MIN_PHOTOS_PER_CLASS,
    storage_options: Sequence[str] = (),
) -> Dataset:
    """A data set with its hash and its sparse products; ``fewest``: photos that make a product a class."""
    ordered = tuple(sorted(photos, key=lambda item: (item.product, item.path)))
    counts = Counter(item.product for item in ordered)
    counts.update({item.product: 0 for item in rejected if item.product})
    sparse = tuple(sorted(name for name, count in counts.items() if count < min_photos))
    return Dataset(
        ordered,
        tuple(sorted(rejected, key=lambda item: item.path)),
        sparse,
        tuple(sorted(noted, key=lambda item: item.path)),
        compute_hash(ordered),
        tuple(storage_options),
    )


def save(dataset: Dataset, folder: Path) -> None:
    """Write ``dataset.json`` into ``folder``, at once and whole.

    Raises OSError.
    """
    text = json.dumps(json.loads(canonical_json.dump(dataset)), indent=1, ensure_ascii=False, sort_keys=True)
    write_atomic(folder / FILE_NAME, text.encode() + b"\n")


def load(folder: Path) -> Dataset:
    """The data set in ``folder``.

    Raises Problems: there is none, it cannot be read, or it was changed by hand.
    """
    path = folder / FILE_NAME
    try:
        dataset = canonical_json.load(path.read_bytes(), Dataset, str(path))
    except FileNotFoundError:
        raise Problems.from_message(
            f"{folder} holds no data set: there is no {FILE_NAME}", hint="make one: python -m ml.download_photos"
        ) from None
    if compute_hash(dataset.photos) != dataset.hash:
        raise Problems.from_message(
            f"{path}: its photos are not those its hash was made of", hint="make it again: python -m ml.download_photos"
        )
    return dataset
