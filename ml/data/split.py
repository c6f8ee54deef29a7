"""Split a dataset into training, validation and held-out sets: per product, reproducibly, lookalikes together.

The order follows from the photos' checksums, so held-out photos stay held out when others are added.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ml.data.dataset import Dataset, Photo
from ml.data.image_checks import MAX_HASH_DISTANCE
from orchestrator.problems import Problem, Problems

HELD_OUT_RATIO = 0.2
VALIDATION_RATIO = 0.15
MIN_GROUPS_PER_CLASS = 3
"""Groups of similar photos that a product needs to be in all three sets."""


@dataclass(frozen=True, slots=True)
class DatasetSplits:
    """The three sets, with photos of ``classes`` only: ``train``, ``validation`` (early stopping), ``held_out`` (test).

    ``sparse_photos``: photos of products with too few photos to be a class.
    """

    classes: tuple[str, ...]
    train: tuple[Photo, ...]
    validation: tuple[Photo, ...]
    held_out: tuple[Photo, ...]
    sparse_photos: tuple[Photo, ...] = ()

    @property
    def sparse_products(self) -> tuple[str, ...]:
        """Return the products that are not a class, sorted."""
        return tuple(sorted({photo.product for photo in self.sparse_photos}))


def split_dataset(data: Dataset, min_photos: int, seed: int = 0) -> DatasetSplits:
    """Split a dataset; ``min_photos``: photos a product needs to be a class.

    Raises Problems if fewer than two products have enough different photos.
    """
    if not data.photos:
        raise Problems.from_message(
            "the dataset contains no photos", hint="download them: python -m ml.download_photos"
        )
    clusters = group_similar(data.photos)
    group_counts = Counter(name for cluster in clusters for name in {item.product for item in cluster})
    counts = data.products
    classes = tuple(
        sorted(
            name for name, count in counts.items() if count >= min_photos and group_counts[name] >= MIN_GROUPS_PER_CLASS
        )
    )
    if len(classes) < 2:
        raise _too_few_photos(counts, group_counts, min_photos)
    class_groups = [tuple(item for item in cluster if item.product in classes) for cluster in clusters]
    assigned = _assign_groups([item for item in class_groups if item], seed)
    sparse_photos = tuple(item for item in data.photos if item.product not in classes)
    train, validation, held_out = (
        _sort_photos(assigned[split_name]) for split_name in ("train", "validation", "held_out")
    )
    return DatasetSplits(classes, train, validation, held_out, sparse_photos)


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


def _assign_groups(clusters: list[tuple[Photo, ...]], seed: int) -> dict[str, list[Photo]]:
    """Assign each group to one set, in pseudo-random order, while every product in it is below its quota there."""
    ordered = sorted(clusters, key=lambda cluster: _order_key(cluster, seed))
    total = _count_products(photo for cluster in ordered for photo in cluster)
    quota = {split_name: {name: max(1, round(count * share)) for name, count in total.items()}
             for split_name, share in (("held_out", HELD_OUT_RATIO), ("validation", VALIDATION_RATIO))}  # fmt: skip
    remaining = Counter(name for cluster in ordered for name in {photo.product for photo in cluster})
    splits: dict[str, list[Photo]] = {"train": [], "validation": [], "held_out": []}
    assigned = {split_name: Counter[str]() for split_name in quota}
    unassigned = []
    for cluster in ordered:
        cluster_counts = _count_products(cluster)
        split_name = next(
            (
                split_name
                for split_name in quota
                if _fits_quota(cluster_counts, assigned[split_name], quota[split_name])
            ),
            "",
        )
        if not split_name or any(remaining[name] <= 1 for name in cluster_counts):
            unassigned.append(cluster)
            continue
        splits[split_name] += cluster
        assigned[split_name].update(cluster_counts)
        remaining.subtract(cluster_counts.keys())
    for cluster in sorted(unassigned, key=len):
        splits[_choose_missing_split(_count_products(cluster), assigned, remaining)] += cluster
    return splits


def _choose_missing_split(
    cluster_counts: Counter[str], assigned: Mapping[str, Counter[str]], remaining: Counter[str]
) -> str:
    """Return a set without any photo of a product whose groups exceed all quotas; or train."""
    for split_name, assigned_counts in assigned.items():
        if all(remaining[name] > 1 for name in cluster_counts) and any(
            not assigned_counts[name] for name in cluster_counts
        ):
            assigned_counts.update(cluster_counts)
            remaining.subtract(cluster_counts.keys())
            return split_name
    return "train"


def _fits_quota(cluster_counts: Counter[str], assigned_counts: Counter[str], quota: Mapping[str, int]) -> bool:
    return all(assigned_counts[name] + count <= quota[name] for name, count in cluster_counts.items())


def _count_products(photos: Iterable[Photo]) -> Counter[str]:
    return Counter(photo.product for photo in photos)


def _order_key(cluster: tuple[Photo, ...], seed: int) -> str:
    return min(hashlib.sha256(f"{seed}:{photo.sha256}".encode()).hexdigest() for photo in cluster)


def _sort_photos(photos: Iterable[Photo]) -> tuple[Photo, ...]:
    return tuple(sorted(photos, key=lambda photo: (photo.product, photo.path)))


def _too_few_photos(counts: Mapping[str, int], group_counts: Mapping[str, int], min_photos: int) -> Problems:
    """Say which products have too few photos, naming at most eight."""
    product_lines = [
        f"{name}: {count} photos"
        + (
            f", only {group_counts[name]} of them different"
            if count >= min_photos and group_counts[name] < MIN_GROUPS_PER_CLASS
            else ""
        )
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    requirement = (
        f"training needs at least two products with {min_photos} photos, {MIN_GROUPS_PER_CLASS} of them different"
    )
    summary = "; ".join(product_lines[:8]) + (f"; and {len(product_lines) - 8} more" if len(product_lines) > 8 else "")
    return Problems(
        [Problem(f"{requirement}; found {summary}", hint="add photos and download them, or lower --fewest")]
    )
