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
from ml.data.image_checks import ALIKE
from orchestrator.problems import Problem, Problems

HELD_OUT = 0.2
VALIDATION = 0.15
LEAST = 3
"""Groups of alike photos that a product needs to be on all three sides."""


@dataclass(frozen=True, slots=True)
class Sides:
    """``train`` learns, ``validation`` says when to stop, ``held_out`` is measured with; all of ``classes``.

    ``others``: photos of products that have too few to be a class.
    """

    classes: tuple[str, ...]
    train: tuple[Photo, ...]
    validation: tuple[Photo, ...]
    held_out: tuple[Photo, ...]
    others: tuple[Photo, ...] = ()

    @property
    def few_photos(self) -> tuple[str, ...]:
        """Products that are no class."""
        return tuple(sorted({one.product for one in self.others}))


def split(data: Dataset, fewest: int, seed: int = 0) -> Sides:
    """The sides of a data set; ``fewest``: photos that make a product a class.

    Raises Problems: there are no two products to tell apart, or none has photos that differ.
    """
    if not data.photos:
        raise Problems.one("the data set has no photo to learn from", hint="python -m ml.download_photos")
    clusters = alike(data.photos)
    kinds = Counter(name for cluster in clusters for name in {one.product for one in cluster})
    counts = data.products
    classes = tuple(sorted(name for name, count in counts.items() if count >= fewest and kinds[name] >= LEAST))
    if len(classes) < 2:
        raise _too_few(counts, kinds, fewest)
    known = [tuple(one for one in cluster if one.product in classes) for cluster in clusters]
    placed = _placed([one for one in known if one], seed)
    others = tuple(one for one in data.photos if one.product not in classes)
    train, validation, held_out = (_in_order(placed[side]) for side in ("train", "validation", "held_out"))
    return Sides(classes, train, validation, held_out, others)


def alike(photos: Sequence[Photo], most: int = ALIKE) -> list[tuple[Photo, ...]]:
    """Photos in groups: whoever looks like one of a group (``most`` bits of the hash apart) belongs to it."""
    hashes = np.array([int(one.phash, 16) for one in photos], dtype=np.uint64)
    leader = np.arange(len(photos))
    for index in range(1, len(photos)):
        near = np.flatnonzero(np.bitwise_count(hashes[:index] ^ hashes[index]) <= most)
        joined = np.unique(leader[near])
        if len(joined):
            leader[np.isin(leader, joined)] = joined[0]
            leader[index] = joined[0]
    groups: dict[int, list[Photo]] = {}
    for one, lead in zip(photos, leader.tolist(), strict=True):
        groups.setdefault(lead, []).append(one)
    return [tuple(group) for group in groups.values()]


def _placed(clusters: list[tuple[Photo, ...]], seed: int) -> dict[str, list[Photo]]:
    """Each group on one side, in the order of its lot, while every product in it has room there."""
    ordered = sorted(clusters, key=lambda cluster: _lot(cluster, seed))
    total = _counts(one for cluster in ordered for one in cluster)
    quota = {side: {name: max(1, round(count * share)) for name, count in total.items()}
             for side, share in (("held_out", HELD_OUT), ("validation", VALIDATION))}  # fmt: skip
    left = Counter(name for cluster in ordered for name in {one.product for one in cluster})
    sides: dict[str, list[Photo]] = {"train": [], "validation": [], "held_out": []}
    taken = {side: Counter[str]() for side in quota}
    rest = []
    for cluster in ordered:
        mine = _counts(cluster)
        side = next((side for side in quota if _fits(mine, taken[side], quota[side])), "")
        if not side or any(left[name] <= 1 for name in mine):
            rest.append(cluster)
            continue
        sides[side] += cluster
        taken[side].update(mine)
        left.subtract(mine.keys())
    for cluster in sorted(rest, key=len):
        sides[_still_missing(_counts(cluster), taken, left)] += cluster
    return sides


def _still_missing(mine: Counter[str], taken: Mapping[str, Counter[str]], left: Counter[str]) -> str:
    """A side that has nothing yet of a product whose groups are all too large for their quota; or train."""
    for side, got in taken.items():
        if all(left[name] > 1 for name in mine) and any(not got[name] for name in mine):
            got.update(mine)
            left.subtract(mine.keys())
            return side
    return "train"


def _fits(mine: Counter[str], taken: Counter[str], quota: Mapping[str, int]) -> bool:
    return all(taken[name] + count <= quota[name] for name, count in mine.items())


def _counts(photos: Iterable[Photo]) -> Counter[str]:
    return Counter(one.product for one in photos)


def _lot(cluster: tuple[Photo, ...], seed: int) -> str:
    return min(hashlib.sha256(f"{seed}:{one.sha256}".encode()).hexdigest() for one in cluster)


def _in_order(photos: Iterable[Photo]) -> tuple[Photo, ...]:
    return tuple(sorted(photos, key=lambda one: (one.product, one.path)))


def _too_few(counts: Mapping[str, int], kinds: Mapping[str, int], fewest: int) -> Problems:
    """What each product lacks; at most eight are named."""
    said = [
        f"{name}: {count} photos"
        + (f", but only {kinds[name]} that look different" if count >= fewest and kinds[name] < LEAST else "")
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    told = f"at least two products with {fewest} photos, {LEAST} of them different, are needed to tell them apart"
    found = "; ".join(said[:8]) + (f"; and {len(said) - 8} more" if len(said) > 8 else "")
    return Problems([Problem(f"{told}; there are {found}", hint="add photos, or take --fewest lower, then download")])
