"""Measure answers to photos, and decide whether a model is better than another one.

A photo is recognised if its product ranks first.  Two models are compared with a sign test on the photos that exactly
one of them recognises; a difference counts if its p-value is below 0.05.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from ml.evaluation import cross_validation
from ml.export.exported_model import Array
from ml.training_run import Metrics
from orchestrator.model_registry.registry import ModelMetrics, ProductScore, StudioMetrics, Verdict

SIGNIFICANCE_LEVEL = 0.05
"""p-value below which a difference between two models counts."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """A model's answers (photos, products + 1), "none of ours" last, and the photos' true products.

    A true product that is not among ``products`` is one that the model does not know.
    """

    products: tuple[str, ...]
    answers: Array
    truth: tuple[str, ...]

    @property
    def ranked(self) -> list[list[str]]:
        """Return the products for each photo, most likely first."""
        return [
            [self.products[index] for index in order]
            for order in np.argsort(-self.answers[:, :-1], axis=1, kind="stable")
        ]

    @property
    def correct(self) -> list[bool]:
        """Return whether each photo was recognised."""
        return [order[:1] == [name] for order, name in zip(self.ranked, self.truth, strict=True)]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models compared on the same photos; ``new_only``, ``old_only``: photos that only that model recognises.

    ``condition``: which photos, in words.
    """

    photo_count: int
    new_only: int
    old_only: int
    old_accuracy: float
    new_accuracy: float
    condition: str = ""

    @property
    def verdict(self) -> str:
        """Return "worse" or "better" if the difference is significant, else "same"."""
        if sign_test_p_value(self.old_only, self.new_only) < SIGNIFICANCE_LEVEL:
            return "worse"
        return "better" if sign_test_p_value(self.new_only, self.old_only) < SIGNIFICANCE_LEVEL else "same"


def measure(predictions: Predictions) -> Metrics:
    """Measure answers; photos of products that the model does not know measure how well "none of ours" works."""
    is_shown = np.array([name in predictions.products for name in predictions.truth])
    truth = np.array([predictions.products.index(name) for name in predictions.truth if name in predictions.products])
    if not len(truth):
        return cross_validation.UNMEASURED
    unknown = predictions.answers[~is_shown] if not is_shown.all() else None
    return cross_validation.measure(predictions.answers[is_shown], truth, predictions.products, unknown)


def to_model_metrics(measured: Metrics, condition: str, studio: Metrics, latency_ms: float) -> ModelMetrics:
    """Return the metrics that are published; ``condition`` says which photos were measured."""
    per_product = {
        name: ProductScore(score.photos, score.right) for name, score in sorted(measured.per_product.items())
    }
    published_studio = StudioMetrics(studio.top1, studio.top3, studio.ece, studio.photos) if studio.photos else None
    return ModelMetrics(
        measured.top1, measured.top3, measured.ece, latency_ms, per_product,
        condition if measured.photos else "not measured", measured.photos, measured.separation, published_studio,
    )  # fmt: skip


def compare(new: Predictions, old: Predictions, condition: str = "") -> Comparison:
    """Compare answers to the same photos."""
    pairs = list(zip(new.correct, old.correct, strict=True))
    return Comparison(
        len(pairs),
        new_only=sum(new_correct and not old_correct for new_correct, old_correct in pairs),
        old_only=sum(old_correct and not new_correct for new_correct, old_correct in pairs),
        old_accuracy=float(np.mean(old.correct)),
        new_accuracy=float(np.mean(new.correct)),
        condition=condition,
    )


def sign_test_p_value(more: int, fewer: int) -> float:
    """Return the one-sided p-value of an exact sign test with ``more`` against ``fewer`` successes."""
    count = more + fewer
    toss_count: int = 2**count
    return sum(comb(count, heads) for heads in range(more, count + 1)) / toss_count


def make_verdict(against: str, comparison: Comparison | None, lost: Sequence[str] = ()) -> Verdict:
    """Return the verdict against model ``against``, or "first" if there is no comparison."""
    return Verdict("first") if comparison is None else Verdict(comparison.verdict, against, lost=tuple(lost))
