"""Divide a dataset into folds for cross-validation: per product, reproducibly, lookalike photos together.

Every photo is measured by a model that learned from the other fold; the published model learns from all photos.
Each fold's model leaves out some products whole: their photos stand for products that the shop does not have.
The order follows from the photos' checksums, so a photo stays in its fold when others are added.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.data.dataset import Dataset, Photo
from ml.data.image_checks import MAX_HASH_DISTANCE
from orchestrator.problems import Problems

FOLD_COUNT = 2
UNKNOWN_INTERVAL = 5
"""One of so many products is left out of the training of a fold's model."""
MIN_PRODUCTS = 10
"""Products that a shop needs, so that some can be left out."""
ALWAYS_LEARNED = -1
"""Fold of photos that are never measured, because their product has no other photos."""


@dataclass(frozen=True, slots=True)
class DatasetFolds:
    """The photos with their folds; ``folds`` is in the order of ``photos``."""

    photos: tuple[Photo, ...]
    folds: tuple[int, ...]

    @property
    def products(self) -> tuple[str, ...]:
        """Return all products, sorted."""
        return tuple(sorted({photo.product for photo in self.photos}))

    @property
    def used_folds(self) -> tuple[int, ...]:
        """Return the folds that have photos to measure."""
        return tuple(sorted(set(self.folds) - {ALWAYS_LEARNED}))

    @property
    def measured(self) -> tuple[Photo, ...]:
        """Return the photos that a model measures that did not learn from them."""
        return tuple(photo for fold in self.used_folds for photo in self.measured_in(fold))

    @property
    def unmeasured_products(self) -> tuple[str, ...]:
        """Return the products of which no photo is measured: they have one photo, or photos that look the same."""
        return tuple(sorted({photo.product for photo in self.photos} - {photo.product for photo in self.measured}))

    def in_fold(self, fold: int) -> tuple[Photo, ...]:
        """Return the photos of ``fold``."""
        return tuple(photo for photo, own in zip(self.photos, self.folds, strict=True) if own == fold)

    def measured_in(self, fold: int) -> tuple[Photo, ...]:
        """Return the photos in ``fold`` of products that its model learns."""
        unknown = self.unknown_products(fold)
        return tuple(photo for photo in self.in_fold(fold) if photo.product not in unknown)

    def unknown_in(self, fold: int) -> tuple[Photo, ...]:
        """Return the photos in ``fold`` of products that its model does not learn."""
        unknown = self.unknown_products(fold)
        return tuple(photo for photo in self.in_fold(fold) if photo.product in unknown)

    def outside(self, fold: int) -> tuple[Photo, ...]:
        """Return the photos that prototypes are made of when ``fold`` is measured."""
        return tuple(photo for photo, own in zip(self.photos, self.folds, strict=True) if own != fold)

    def learned(self, fold: int) -> tuple[Photo, ...]:
        """Return the photos that the model measured in ``fold`` learns from."""
        unknown = self.unknown_products(fold)
        return tuple(photo for photo in self.outside(fold) if photo.product not in unknown)

    def unknown_products(self, fold: int) -> frozenset[str]:
        """Return the products that the model measured in ``fold`` does not learn: other ones in each fold.

        Only products that another fold measures, in the order of their photos' checksums.
        """
        checksums: dict[str, str] = {}
        folds_by_product: dict[str, set[int]] = defaultdict(set)
        for photo, own in zip(self.photos, self.folds, strict=True):
            checksums[photo.product] = min(photo.sha256, checksums.get(photo.product, photo.sha256))
            folds_by_product[photo.product].add(own)
        if len(checksums) < MIN_PRODUCTS:
            return frozenset()
        candidates = [name for name in checksums if len(folds_by_product[name] - {ALWAYS_LEARNED}) == FOLD_COUNT]
        return frozenset(sorted(candidates, key=checksums.__getitem__)[fold::UNKNOWN_INTERVAL])


def split_dataset(data: Dataset, seed: int = 0) -> DatasetFolds:
    """Divide a dataset into folds.  Raises Problems if it has fewer than two products with photos."""
    if not data.photos:
        raise Problems.from_message(
            "the dataset contains no photos", hint="download them: python -m ml.download_photos"
        )
    if len(data.products) < 2:
        raise Problems.from_message(
            f"the dataset contains photos of one product only: {data.photos[0].product}",
            hint="add photos of another product to the storage, then download them: python -m ml.download_photos",
        )
    groups = sorted(group_similar(data.photos), key=lambda group: _order_key(group, seed))
    fold_by_photo = {
        photo.path: fold for group, fold in zip(groups, _assign_folds(groups), strict=True) for photo in group
    }
    photos = tuple(sorted(data.photos, key=lambda photo: (photo.product, photo.path)))
    return DatasetFolds(photos, tuple(fold_by_photo[photo.path] for photo in photos))


def group_similar(photos: Sequence[Photo], max_distance: int = MAX_HASH_DISTANCE) -> list[tuple[Photo, ...]]:
    """Group similar photos: a photo joins a group if its hash is within ``max_distance`` bits of any member."""
    hashes = np.array([int(photo.phash, 16) for photo in photos], dtype=np.uint64)
    leader = np.arange(len(photos))
    for index in range(1, len(photos)):
        similar = np.flatnonzero(np.bitwise_count(hashes[:index] ^ hashes[index]) <= max_distance)
        joined_leaders = np.unique(leader[similar])
        if len(joined_leaders):
            leader[np.isin(leader, joined_leaders)] = joined_leaders[0]
            leader[index] = joined_leaders[0]
    groups: dict[int, list[Photo]] = {}
    for photo, group_leader in zip(photos, leader.tolist(), strict=True):
        groups.setdefault(group_leader, []).append(photo)
    return [tuple(group) for group in groups.values()]


def _assign_folds(groups: Sequence[tuple[Photo, ...]]) -> list[int]:
    """Return the fold of each group: the one with the fewest photos of its products so far.

    Each product keeps photos outside of every fold: where all its groups came into one, the first is always learned.
    """
    counts = [Counter[str]() for _ in range(FOLD_COUNT)]
    folds: list[int] = []
    groups_by_product: dict[str, list[int]] = defaultdict(list)
    for number, group in enumerate(groups):
        products = Counter(photo.product for photo in group)
        fold = min(range(FOLD_COUNT), key=lambda fold: sum(counts[fold][name] for name in products))
        counts[fold].update(products)
        folds.append(fold)
        for name in products:
            groups_by_product[name].append(number)
    for numbers in groups_by_product.values():
        own_folds = {folds[number] for number in numbers}
        if len(own_folds) == 1 and ALWAYS_LEARNED not in own_folds:
            folds[numbers[0]] = ALWAYS_LEARNED
    return folds


def _order_key(group: tuple[Photo, ...], seed: int) -> str:
    return min(hashlib.sha256(f"{seed}:{photo.sha256}".encode()).hexdigest() for photo in group)
