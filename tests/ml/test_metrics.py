"""Numbers about answers: shares, calibration, and a comparison that chance does not decide."""

from __future__ import annotations

import numpy as np
import pytest

from ml.evaluation import metrics
from ml.evaluation.metrics import Comparison, Predictions

CLASSES = ("ring", "chain", "pearl", "brooch")


def answers(*rows: tuple[str, float, str], classes: tuple[str, ...] = CLASSES) -> Predictions:
    """One row a photo: what is said, how surely, and what it is."""
    probabilities = np.full((len(rows), len(classes)), 0.0, dtype=np.float32)
    for row, (said, sure, _) in zip(probabilities, rows, strict=True):
        row[:] = (1 - sure) / (len(classes) - 1)
        row[classes.index(said)] = sure
    return Predictions(classes, probabilities, tuple(truth for *_, truth in rows))


def test_shares_are_counted() -> None:
    """By all photos and by product; the third place counts for top-3, the fourth does not."""
    seen = answers(("ring", 0.7, "ring"), ("ring", 0.7, "pearl"), ("ring", 0.7, "brooch"), ("chain", 0.7, "chain"))
    made = metrics.compute_metrics(seen, 12.5)

    assert (made.top1, made.top3, made.latency_ms) == (0.5, 0.75, 12.5)
    assert {name: (one.photos, one.right) for name, one in made.per_product.items()} == {
        "brooch": (1, 0), "chain": (1, 1), "pearl": (1, 0), "ring": (1, 1),
    }  # fmt: skip


@pytest.mark.parametrize(("sure", "right", "error"), [(0.8, 8, 0.0), (0.8, 3, 0.5), (0.99, 10, 0.01), (0.3, 10, 0.7)])
def test_calibration_is_how_far_sureness_lies_from_truth(sure: float, right: int, error: float) -> None:
    """Ten photos, all as sure."""
    seen = answers(*[("ring", sure, "ring" if index < right else "chain") for index in range(10)])

    assert metrics.compute_calibration_error(seen) == pytest.approx(error, abs=1e-6)


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
    """A model that knows more and forgets what the other knew is worse."""
    truth = ["pearl"] * 20 + ["ring"] * 6
    new = answers(*[("pearl", 0.9, one) for one in truth])
    old = answers(*[("ring", 0.9, one) for one in truth], classes=("ring", "chain"))
    seen = metrics.compare(new, old)

    assert (seen.new_only, seen.old_only, seen.shared_old_only, seen.shared_new_only) == (20, 6, 6, 0)
    assert seen.verdict == "worse"
    assert Comparison(26, 20, 0, 0, 0, 0.2, 1.0).verdict == "better"
    assert metrics.make_verdict("v1", None).says == "first"
