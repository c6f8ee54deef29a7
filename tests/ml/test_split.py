"""Who learns and who is held out: every product on all sides, what looks alike on one, photos where they were."""

from __future__ import annotations

import random
import re
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.data import dataset
from ml.data.dataset import Photo
from ml.data.split import MIN_GROUPS_PER_CLASS, group_similar, split_dataset
from orchestrator.problems import Problems


def photo(product: str, number: int, phash: int | None = None) -> Photo:
    """A photo that looks like no other, unless its hash is given."""
    draws = random.Random(f"{product}:{number}")
    seen = draws.getrandbits(64) if phash is None else phash
    return Photo(product, f"photos/{product}/{number}.jpg", f"{draws.getrandbits(256):064x}", 1, 9, 9, f"{seen:016x}")


def shop(**counts: int) -> list[Photo]:
    return [photo(name, number) for name, count in counts.items() for number in range(count)]


@given(
    counts=st.lists(st.integers(8, 40), min_size=2, max_size=6),
    copies=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7), st.integers(0, 5), st.integers(0, 63)), max_size=8),
    seed=st.integers(0, 5),
)
def test_every_photo_is_on_one_side(counts: list[int], copies: list[tuple[int, int, int, int]], seed: int) -> None:
    """Copies with a bit changed, of their own product or another, go with the original; each product can be learned."""
    photos = [photo(f"p{at}", number) for at, count in enumerate(counts) for number in range(count)]
    for index, (product, number, other, bit) in enumerate(copies):
        whose = photo(f"p{product % len(counts)}", number)
        photos.append(photo(f"p{other % len(counts)}", 100 + index, int(whose.phash, 16) ^ (1 << bit)))
    sides = split_dataset(dataset.build(tuple(photos)), 8, seed)

    placed = [*sides.train, *sides.validation, *sides.held_out]
    assert Counter(placed) == Counter(photos)
    for here, there in combinations((sides.train, sides.validation, sides.held_out), 2):
        apart = [(int(a.phash, 16) ^ int(b.phash, 16)).bit_count() for a in here for b in there]
        assert min(apart, default=64) > 4
    assert {one.product for one in sides.train} == set(sides.classes)
    if not copies:
        assert {one.product for one in sides.held_out} == set(sides.classes)
        assert {one.product for one in sides.validation} == set(sides.classes)
        assert len(sides.held_out) == pytest.approx(0.2 * len(photos), abs=len(counts))


def test_what_looks_alike_by_way_of_others_is_one_group() -> None:
    """A looks like B and B like C: A and C never part, though they differ."""
    chain = [photo("ring", 0, 0), photo("ring", 1, 0xFF), photo("ring", 2, 0xF), photo("ring", 3, 0xFFFF_0000)]
    assert sorted(len(group) for group in group_similar(chain)) == [1, 3]


def test_held_out_photos_stay_so_when_others_come() -> None:
    """Whatever their order; with another seed others are held out."""
    before = split_dataset(dataset.build(tuple(shop(ring=20, chain=20))), 8)
    more = shop(ring=23, chain=20, brooch=12)
    random.Random(1).shuffle(more)
    after = split_dataset(dataset.build(tuple(more)), 8)
    other = split_dataset(dataset.build(tuple(shop(ring=20, chain=20))), 8, seed=1)

    kept = set(before.held_out) & set(after.held_out)
    assert len(kept) >= len(before.held_out) - 1
    trained_now = set(after.train) & set(before.held_out)
    assert len(trained_now) == len(before.held_out) - len(kept) <= 1, "no more than makes room"
    assert set(other.held_out) != set(before.held_out)


def test_products_with_few_photos_are_no_class() -> None:
    """Nor those whose photos all look the same; both are left for prototypes."""
    same = [photo("brooch", number, 7) for number in range(12)]
    sides = split_dataset(dataset.build((*shop(ring=9, chain=8, pearl=2), *same)), 8)

    assert sides.classes == ("chain", "ring")
    assert sides.sparse_products == ("brooch", "pearl")
    assert len(sides.sparse_photos) == 14


@pytest.mark.parametrize(
    ("photos", "said"),
    [
        ([], "the dataset contains no photos"),
        (shop(ring=1), f"two products with 8 photos, {MIN_GROUPS_PER_CLASS} of them different.*ring: 1 photos"),
        (shop(ring=30), "ring: 30 photos"),
        (shop(ring=30, chain=7, pearl=1), "ring: 30 photos; chain: 7 photos; pearl: 1 photos"),
        ([*shop(ring=9), *(photo("chain", n, 5) for n in range(9))], "chain: 9 photos, only 1 of them different"),
    ],
)
def test_what_cannot_be_learned_is_said(photos: list[Photo], said: str) -> None:
    """With what each product lacks."""
    with pytest.raises(Problems) as told:
        split_dataset(dataset.build(tuple(photos)), 8)
    assert re.search(said, str(told.value))
    assert "hint: " in str(told.value)
