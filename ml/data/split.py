"""Who learns and who is held out: by product, with pictures that look alike on one side, and the same every time.

A photo's place follows from its checksum, so the photos that were held out stay held out when others are added.
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
"""Groups of alike photos that a product needs to be on all three sides."""


@dataclass(frozen=True, slots=True)
class DatasetSplits:
    """``train`` learns, ``validation`` says when to stop, ``held_out`` is measured with; all of ``classes``.

    ``others``: photos of products that have too few to be a class.
    """

    classes: tuple[str, ...]
    train: tuple[Photo, ...]
    validation: tuple[Photo, ...]
    held_out: tuple[Photo, ...]
    sparse_photos: tuple[Photo, ...] = ()

    @property
    def sparse_products(self) -> tuple[str, ...]:
        """Products that are no class."""
        return tuple(sorted({photo.product for photo in self.sparse_photos}))


def split_dataset(data: Dataset, min_photos: int, seed: int = 0) -> DatasetSplits:
    """The sides of a data set; ``fewest``: photos that make a product a class.

    Raises Problems: there are no two products to tell apart, or none has photos that differ.
    """
    if not data.photos:
        raise Problems.from_message("the data set has no photo to learn from", hint="python -m ml.download_photos")
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
    """Photos in groups: whoever looks like one of a group (``most`` bits of the hash apart) belongs to it."""
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
    """Each group on one side, in the order of its lot, while every product in it has room there."""
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
    """A side that has nothing yet of a product whose groups are all too large for their quota; or train."""
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
    """What each product lacks; at most eight are named."""
    product_lines = [
        f"{name}: {count} photos"
        + (
            f", but only {group_counts[name]} that look different"
            if count >= min_photos and group_counts[name] < MIN_GROUPS_PER_CLASS
            else ""
        )
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    requirement = (
        f"at least two products with {min_photos} photos, {MIN_GROUPS_PER_CLASS} "
        "of them different, are needed to tell them apart"
    )
    summary = "; ".join(product_lines[:8]) + (f"; and {len(product_lines) - 8} more" if len(product_lines) > 8 else "")
    return Problems(
        [Problem(f"{requirement}; there are {summary}", hint="add photos, or take --fewest lower, then download")]
    )
