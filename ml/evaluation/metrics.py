"""How good a model's answers are, and whether it is better than another: numbers from numbers.

A photo counts as recognised when its product comes first.  Two models are compared on the same photos, by those that
one of them recognises and the other does not: what chance alone would do in more than one case of twenty decides
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from ml.export.exported_model import Array
from orchestrator.model_registry.registry import ModelMetrics, ProductScore, Verdict

SIGNIFICANCE_LEVEL = 0.05
"""How likely chance alone may do what is taken for a difference."""
CALIBRATION_BINS = 10


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a model said of some photos: probabilities (photos, classes); ``truth`` are the photos' products."""

    classes: tuple[str, ...]
    probabilities: Array
    truth: tuple[str, ...]

    @property
    def ranked(self) -> list[list[str]]:
        """The products of each photo, the likeliest first."""
        return [
            [self.classes[class_index] for class_index in order]
            for order in np.argsort(-self.probabilities, axis=1, kind="stable")
        ]

    @property
    def correct(self) -> list[bool]:
        """Whether each photo was recognised."""
        return [order[:1] == [name] for order, name in zip(self.ranked, self.truth, strict=True)]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same photos.

    ``won``: photos that only the new one recognises, ``lost``: that only the old one does; ``known_*``: of the products
    that both know.  ``learned``: photos of the comparison that the old one may have learned from.
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
        """Worse, where chance hardly explains what was lost of the products that both know; better likewise of all."""
        if sign_test_p_value(self.shared_old_only, self.shared_new_only) < SIGNIFICANCE_LEVEL:
            return "worse"
        return "better" if sign_test_p_value(self.new_only, self.old_only) < SIGNIFICANCE_LEVEL else "same"


def compute_metrics(predictions: Predictions, latency_ms: float) -> ModelMetrics:
    """Shares of photos, by all of them and by product."""
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
    """Expected calibration error: how far sureness is from being right, in ``BINS`` bins of sureness."""
    confidence = np.clip(predictions.probabilities.max(axis=1), 0, 1)
    correct = np.asarray(predictions.correct, dtype=float)
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = [
        abs(confidence[bins == bin_index].mean() - correct[bins == bin_index].mean()) * (bins == bin_index).mean()
        for bin_index in set(bins)
    ]
    return float(sum(gaps))


def compare(new: Predictions, old: Predictions, learned_flags: Sequence[bool] = ()) -> Comparison:
    """Both on the same photos, in the same order; ``learned``: those that the old one may have learned from."""
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
    """How likely fair coins show ``more`` or more heads out of ``more + fewer`` (an exact sign test, one-sided)."""
    count = more + fewer
    toss_count: int = 2**count
    return sum(comb(count, heads) for heads in range(more, count + 1)) / toss_count


def make_verdict(against: str, comparison: Comparison | None) -> Verdict:
    """``first`` where there is nothing to compare with."""
    return Verdict("first") if comparison is None else Verdict(comparison.verdict, against)
