"""Numbers about answers: shares, calibration, and a comparison that chance does not decide."""

from __future__ import annotations

import numpy as np
import pytest

from ml.evaluation import cross_validation, metrics
from ml.evaluation.metrics import Comparison, Predictions

CLASSES = ("ring", "chain", "pearl", "brooch")


def answers(*rows: tuple[str, float, str], classes: tuple[str, ...] = CLASSES) -> Predictions:
    """One row a photo: what is said, how surely, and what it is."""
    probabilities = np.full((len(rows), len(classes) + 1), 0.0, dtype=np.float32)
    for row, (said, sure, _) in zip(probabilities, rows, strict=True):
        row[:-1] = (1 - sure) / (len(classes) - 1)
        row[classes.index(said)] = sure
    return Predictions(classes, probabilities, tuple(truth for *_, truth in rows))


def test_shares_are_counted() -> None:
    """By all photos and by product; the third place counts for top-3, the fourth does not."""
    seen = answers(("ring", 0.7, "ring"), ("ring", 0.7, "pearl"), ("ring", 0.7, "brooch"), ("chain", 0.7, "chain"))
    made = metrics.to_model_metrics(metrics.measure(seen), "test photos", cross_validation.UNMEASURED, 12.5)

    assert (made.top1, made.top3, made.latency_ms, made.photos) == (0.5, 0.75, 12.5, 4)
    assert (made.separation, made.studio) == (None, None)
    assert {name: (one.photos, one.right) for name, one in made.per_product.items()} == {
        "brooch": (1, 0), "chain": (1, 1), "pearl": (1, 0), "ring": (1, 1),
    }  # fmt: skip


@pytest.mark.parametrize(("sure", "right", "error"), [(0.8, 8, 0.0), (0.8, 3, 0.5), (0.99, 10, 0.01), (0.3, 10, 0.7)])
def test_calibration_is_how_far_sureness_lies_from_truth(sure: float, right: int, error: float) -> None:
    """Ten photos, all as sure."""
    seen = answers(*[("ring", sure, "ring" if index < right else "chain") for index in range(10)])

    assert metrics.measure(seen).ece == pytest.approx(error, abs=1e-6)


@pytest.mark.parametrize(
    ("new", "old", "says"),
    [
        ("1111111111", "1111111111", "same"),
        ("1111111111", "0000011111", "better"),
        ("1111111111", "0000111111", "same"),  # 4 of 4: chance does that in one case of sixteen
        ("0000011111", "1111111111", "worse"),
        ("1000001111", "0111111111", "same"),
        ("11111000000000000000", "00000111111111111111", "worse"),
    ],
)
def test_chance_decides_nothing(new: str, old: str, says: str) -> None:
    """A model is better or worse where one case of twenty is not enough to explain it."""
    rows = [answers(*[("ring" if one == "1" else "chain", 0.9, "ring") for one in said]) for said in (new, old)]

    assert metrics.compare(rows[0], rows[1]).verdict == says


def test_new_products_hide_no_loss() -> None:
    """Photos of all products count, of those that only one model knows as well."""
    truth = ["pearl"] * 6 + ["ring"] * 20
    new = answers(*[("pearl", 0.9, one) for one in truth])
    old = answers(*[("ring", 0.9, one) for one in truth], classes=("ring", "chain"))
    seen = metrics.compare(new, old)

    assert (seen.new_only, seen.old_only) == (6, 20)
    assert seen.verdict == "worse"
    assert Comparison(26, 20, 0, 0.2, 1.0).verdict == "better"
    assert metrics.make_verdict("v1", None).says == "first"
    assert metrics.make_verdict("v1", seen, ("chain",)).lost == ("chain",)


def test_products_the_shop_does_not_have_are_told_apart() -> None:
    """Chance is a half, always is one; they are no photos of products."""
    shown = np.array([[0.8, 0.1, 0.1], [0.1, 0.7, 0.2], [0.05, 0.05, 0.9], [0.3, 0.3, 0.4]], dtype=np.float32)
    seen = metrics.measure(Predictions(("ring", "chain"), shown, ("ring", "chain", "fish", "hammer")))

    assert (seen.photos, seen.top1, seen.separation) == (2, 1.0, 1.0)
    worst = metrics.measure(Predictions(("ring", "chain"), shown, ("fish", "ring", "chain", "ring")))
    assert worst.separation == 0.0
    assert metrics.measure(Predictions(("ring",), shown[:1, 1:], ("fish",))) == cross_validation.UNMEASURED
