"""Who measures whom: no photo by who learned it or its like, no product by who never saw it."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.data import dataset
from ml.data.dataset import Photo
from ml.data.split import FOLD_COUNT, group_similar, split_dataset
from orchestrator.problems import Problems


def photo(product: str, number: int, phash: int | None = None) -> Photo:
    """A photo that looks like no other, unless its hash is given."""
    draws = random.Random(f"{product}:{number}")
    seen = draws.getrandbits(64) if phash is None else phash
    return Photo(product, f"photos/{product}/{number}.jpg", f"{draws.getrandbits(256):064x}", 1, 9, 9, f"{seen:016x}")


def shop(**counts: int) -> list[Photo]:
    return [photo(name, number) for name, count in counts.items() for number in range(count)]


@given(
    counts=st.lists(st.integers(1, 12), min_size=2, max_size=6),
    copies=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 5), st.integers(0, 63)), max_size=8),
    seed=st.integers(0, 5),
)
def test_every_photo_has_a_fold(counts: list[int], copies: list[tuple[int, int, int, int]], seed: int) -> None:
    """Copies with a bit changed, of any product, go with the original; no product is measured by who never saw it."""
    photos = [photo(f"p{at}", number) for at, count in enumerate(counts) for number in range(count)]
    for index, (product, number, other, bit) in enumerate(copies):
        whose = photo(f"p{product % len(counts)}", number % counts[product % len(counts)])
        photos.append(photo(f"p{other % len(counts)}", 100 + index, int(whose.phash, 16) ^ (1 << bit)))
    made = split_dataset(dataset.build(tuple(photos)), seed)

    assert Counter(made.photos) == Counter(photos)
    for fold in made.used_folds:
        learned, measured = made.outside(fold), made.in_fold(fold)
        assert Counter((*learned, *measured)) == Counter(photos)
        assert {one.product for one in learned} == {one.product for one in photos}
        apart = [(int(a.phash, 16) ^ int(b.phash, 16)).bit_count() for a in learned for b in measured]
        assert min(apart, default=64) > 4
    if not copies:
        assert set(made.unmeasured_products) == {f"p{at}" for at, count in enumerate(counts) if count == 1}
        for at, count in enumerate(counts):
            if count > 3:
                sizes = [sum(one.product == f"p{at}" for one in made.in_fold(fold)) for fold in range(FOLD_COUNT)]
                assert max(sizes) - min(sizes) <= 1


@given(counts=st.lists(st.integers(1, 6), min_size=2, max_size=24), seed=st.integers(0, 3))
def test_some_products_are_learned_by_no_model_that_measures_them(counts: list[int], seed: int) -> None:
    """They stand for products of nobody; each is a known one elsewhere, and a small shop can spare none."""
    made = split_dataset(dataset.build(tuple(shop(**{f"p{at}": count for at, count in enumerate(counts)}))), seed)
    unknown = [made.unknown_products(fold) for fold in range(FOLD_COUNT)]

    assert not unknown[0] & unknown[1]
    for fold in made.used_folds:
        assert not unknown[fold] & {one.product for one in made.learned(fold)}
        assert (
            unknown[fold] == {one.product for one in made.unknown_in(fold)} <= {p.product for p in made.outside(fold)}
        )
        assert Counter((*made.measured_in(fold), *made.unknown_in(fold))) == Counter(made.in_fold(fold))
        assert {one.product for one in (*made.learned(fold), *made.unknown_in(fold))} == set(made.products)
    assert set(made.unmeasured_products) == {f"p{at}" for at, count in enumerate(counts) if count == 1}
    several = sum(count > 1 for count in counts)
    assert bool(unknown[0]) == (len(counts) >= 10 and several > 0)
    assert len(unknown[0]) == (-(-several // 5) if len(counts) >= 10 else 0)


def test_what_looks_alike_by_way_of_others_is_one_group() -> None:
    """A looks like B and B like C: A and C never part, though they differ."""
    chain = [photo("ring", 0, 0), photo("ring", 1, 0xFF), photo("ring", 2, 0xF), photo("ring", 3, 0xFFFF_0000)]
    assert sorted(len(group) for group in group_similar(chain)) == [1, 3]


def test_photos_stay_in_their_fold_when_others_come() -> None:
    """Mostly, whatever their order; with another seed they are in others."""
    before = split_dataset(dataset.build(tuple(shop(ring=20, chain=20))))
    more = shop(ring=20, chain=20, brooch=12)
    random.Random(1).shuffle(more)
    after = split_dataset(dataset.build(tuple(more)))
    other = split_dataset(dataset.build(tuple(shop(ring=20, chain=20))), seed=1)

    assert set(before.in_fold(0)) == {one for one in after.in_fold(0) if one.product != "brooch"}
    assert set(other.in_fold(0)) != set(before.in_fold(0))


def test_photos_that_all_look_the_same_are_not_measured() -> None:
    """They are learned, as the only photo of a product is."""
    same = [photo("brooch", number, 7) for number in range(12)]
    made = split_dataset(dataset.build((*shop(ring=9, pearl=1), *same)))

    assert made.products == ("brooch", "pearl", "ring")
    assert made.unmeasured_products == ("brooch", "pearl")
    assert all({"brooch", "pearl"} <= {one.product for one in made.outside(fold)} for fold in made.used_folds)


@pytest.mark.parametrize(
    ("photos", "said"),
    [([], "the dataset contains no photos"), (shop(ring=30), "the dataset contains photos of one product only: ring")],
)
def test_what_cannot_be_learned_is_said(photos: list[Photo], said: str) -> None:
    """With the way out."""
    with pytest.raises(Problems, match=said) as told:
        split_dataset(dataset.build(tuple(photos)))
    assert "hint: " in str(told.value)
