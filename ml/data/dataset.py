"""Describe the dataset in ``dataset.json``: its photos, their products, and the files that were rejected.

``ml.download_photos`` writes the file; training, validation and upload read it.  Paths are relative to its folder and
use forward slashes (``photos/PRODUCT/NAME``).
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
RECOMMENDED_PHOTOS = 4
"""Photos from which on a product is recognised well; with one it is found, and more are better."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo to train on: size in pixels before rotation, perceptual hash as 16 hexadecimal digits.

    ``key`` and ``etag`` identify it in the storage it was downloaded from; both are empty if it was not downloaded.
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
    """An issue with one file; ``reason`` completes a sentence that starts with its path ("is corrupt")."""

    path: str
    reason: str
    product: str = ""
    key: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """The photos to train on, and the issues found.

    ``rejected`` files are not in ``photos``; ``noted`` files are.  ``sparse``: products with few photos.
    ``place``: the command-line options that select the photo storage, reused by the next commands.
    """

    photos: tuple[Photo, ...]
    rejected: tuple[FileIssue, ...] = ()
    sparse: tuple[str, ...] = ()
    noted: tuple[FileIssue, ...] = ()
    hash: str = field(default="")
    place: tuple[str, ...] = ()

    @property
    def products(self) -> Mapping[str, int]:
        """Return the number of photos of each product, sorted by name."""
        return dict(sorted(Counter(photo.product for photo in self.photos).items()))

    @property
    def catalogue(self) -> Mapping[str, Mapping[str, str]]:
        """Return the bucket's content at download time: ETags by key by product, including rejected files.

        Files without a product are listed under "".
        """
        etags_by_product: dict[str, dict[str, str]] = {}
        photo_files = [(item.product, item.key, item.etag) for item in self.photos]
        for product, key, etag in photo_files + [(item.product, item.key, item.etag) for item in self.rejected]:
            if key:
                etags_by_product.setdefault(product, {})[key] = etag
        return etags_by_product


def compute_hash(photos: tuple[Photo, ...]) -> str:
    """Return the SHA-256 over product, path and checksum of all photos, in any order, as 64 hexadecimal digits."""
    return canonical_json.digest(sorted((photo.product, photo.path, photo.sha256) for photo in photos))


def build(
    photos: tuple[Photo, ...],
    rejected: tuple[FileIssue, ...] = (),
    noted: tuple[FileIssue, ...] = (),
    min_photos: int = RECOMMENDED_PHOTOS,
    storage_options: Sequence[str] = (),
) -> Dataset:
    """Return a dataset with its hash and sparse products; ``min_photos``: photos recommended for a product."""
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
    """Write ``dataset.json`` into ``folder`` atomically.

    Raises OSError.
    """
    text = json.dumps(json.loads(canonical_json.dump(dataset)), indent=1, ensure_ascii=False, sort_keys=True)
    write_atomic(folder / FILE_NAME, text.encode() + b"\n")


def load(folder: Path) -> Dataset:
    """Read the dataset in ``folder``.

    Raises Problems if it is missing, unreadable, or was edited by hand.
    """
    path = folder / FILE_NAME
    try:
        dataset = canonical_json.load(path.read_bytes(), Dataset, str(path))
    except FileNotFoundError:
        raise Problems.from_message(
            f"no dataset in {folder}: {FILE_NAME} does not exist", hint="create it: python -m ml.download_photos"
        ) from None
    if compute_hash(dataset.photos) != dataset.hash:
        raise Problems.from_message(
            f"{path}: the photos do not match the recorded hash", hint="recreate it: python -m ml.download_photos"
        )
    return dataset
