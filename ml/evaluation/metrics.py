"""Compute a model's metrics, and decide whether it is better than another model.

A photo is recognised if its product ranks first.  Two models are compared with a sign test on the photos that exactly
one of them recognises; a difference counts if its p-value is below 0.05.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from ml.export.exported_model import Array
from orchestrator.model_registry.registry import ModelMetrics, ProductScore, Verdict

SIGNIFICANCE_LEVEL = 0.05
"""p-value below which a difference between two models counts."""
CALIBRATION_BINS = 10


@dataclass(frozen=True, slots=True)
class Predictions:
    """A model's predictions: probabilities (photos, classes), and the photos' true products."""

    classes: tuple[str, ...]
    probabilities: Array
    truth: tuple[str, ...]

    @property
    def ranked(self) -> list[list[str]]:
        """Return the products for each photo, most likely first."""
        return [
            [self.classes[class_index] for class_index in order]
            for order in np.argsort(-self.probabilities, axis=1, kind="stable")
        ]

    @property
    def correct(self) -> list[bool]:
        """Return whether each photo was recognised."""
        return [order[:1] == [name] for order, name in zip(self.ranked, self.truth, strict=True)]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models compared on the same photos.

    ``new_only``, ``old_only``: photos that only that model recognises; ``shared_*``: of products that both models know.
    ``learned_count``: compared photos that the old model may have been trained on.
    """

    photo_count: int
    new_only: int
    old_only: int
    shared_new_only: int
    shared_old_only: int
    old_accuracy: float
    new_accuracy: float
    learned_count: int = 0

    @property
    def verdict(self) -> str:
        """Return "worse" if significantly worse on shared products, "better" if so on all, else "same"."""
        if sign_test_p_value(self.shared_old_only, self.shared_new_only) < SIGNIFICANCE_LEVEL:
            return "worse"
        return "better" if sign_test_p_value(self.new_only, self.old_only) < SIGNIFICANCE_LEVEL else "same"


def compute_metrics(predictions: Predictions, latency_ms: float) -> ModelMetrics:
    """Compute accuracy over all photos and by product; ``latency_ms`` is passed through."""
    ranked, correct = predictions.ranked, predictions.correct
    per_product: dict[str, ProductScore] = {}
    for name, is_correct in zip(predictions.truth, correct, strict=True):
        score = per_product.get(name, ProductScore(0, 0))
        per_product[name] = ProductScore(score.photos + 1, score.right + is_correct)
    in_top3 = [name in order[:3] for order, name in zip(ranked, predictions.truth, strict=True)]
    top1, top3 = float(np.mean(correct)), float(np.mean(in_top3))
    return ModelMetrics(
        top1, top3, compute_calibration_error(predictions), latency_ms, dict(sorted(per_product.items()))
    )


def compute_calibration_error(predictions: Predictions) -> float:
    """Return the expected calibration error (ECE) over ``CALIBRATION_BINS`` bins of confidence."""
    confidence = np.clip(predictions.probabilities.max(axis=1), 0, 1)
    correct = np.asarray(predictions.correct, dtype=float)
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = [
        abs(confidence[bins == bin_index].mean() - correct[bins == bin_index].mean()) * (bins == bin_index).mean()
        for bin_index in set(bins)
    ]
    return float(sum(gaps))


def compare(new: Predictions, old: Predictions, learned_flags: Sequence[bool] = ()) -> Comparison:
    """Compare predictions on the same photos; ``learned_flags``: photos the old model may have been trained on."""
    pairs = list(zip(new.correct, old.correct, new.truth, strict=True))
    shared_products = set(old.classes) & set(new.classes)
    return Comparison(
        len(pairs),
        new_only=sum(new_correct and not old_correct for new_correct, old_correct, _ in pairs),
        old_only=sum(old_correct and not new_correct for new_correct, old_correct, _ in pairs),
        shared_new_only=sum(
            new_correct and not old_correct for new_correct, old_correct, name in pairs if name in shared_products
        ),
        shared_old_only=sum(
            old_correct and not new_correct for new_correct, old_correct, name in pairs if name in shared_products
        ),
        old_accuracy=float(np.mean(old.correct)),
        new_accuracy=float(np.mean(new.correct)),
        learned_count=sum(learned_flags),
    )


def sign_test_p_value(more: int, fewer: int) -> float:
    """Return the one-sided p-value of an exact sign test with ``more`` against ``fewer`` successes."""
    count = more + fewer
    toss_count: int = 2**count
    return sum(comb(count, heads) for heads in range(more, count + 1)) / toss_count


def make_verdict(against: str, comparison: Comparison | None) -> Verdict:
    """Return the verdict against model ``against``, or "first" if there is no comparison."""
    return Verdict("first") if comparison is None else Verdict(comparison.verdict, against)
