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
from orchestrator.model_registry.registry import Metrics, Score, Verdict

CHANCE = 0.05
"""How likely chance alone may do what is taken for a difference."""
BINS = 10


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model said of some photos: probabilities (photos, classes); ``truth`` are the photos' products."""

    classes: tuple[str, ...]
    probabilities: Array
    truth: tuple[str, ...]

    @property
    def ranked(self) -> list[list[str]]:
        """The products of each photo, the likeliest first."""
        return [[self.classes[at] for at in order] for order in np.argsort(-self.probabilities, axis=1, kind="stable")]

    @property
    def right(self) -> list[bool]:
        """Whether each photo was recognised."""
        return [order[:1] == [name] for order, name in zip(self.ranked, self.truth, strict=True)]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same photos.

    ``won``: photos that only the new one recognises, ``lost``: that only the old one does; ``known_*``: of the products
    that both know.  ``learned``: photos of the comparison that the old one may have learned from.
    """

    photos: int
    won: int
    lost: int
    known_won: int
    known_lost: int
    before: float
    after: float
    learned: int = 0

    @property
    def says(self) -> str:
        """Worse, where chance hardly explains what was lost of the products that both know; better likewise of all."""
        if by_chance(self.known_lost, self.known_won) < CHANCE:
            return "worse"
        return "better" if by_chance(self.won, self.lost) < CHANCE else "same"


def measured(answers: Answers, latency_ms: float) -> Metrics:
    """Shares of photos, by all of them and by product."""
    ranked, right = answers.ranked, answers.right
    per_product: dict[str, Score] = {}
    for name, hit in zip(answers.truth, right, strict=True):
        before = per_product.get(name, Score(0, 0))
        per_product[name] = Score(before.photos + 1, before.right + hit)
    among = [name in order[:3] for order, name in zip(ranked, answers.truth, strict=True)]
    top1, top3 = float(np.mean(right)), float(np.mean(among))
    return Metrics(top1, top3, calibration(answers), latency_ms, dict(sorted(per_product.items())))


def calibration(answers: Answers) -> float:
    """Expected calibration error: how far sureness is from being right, in ``BINS`` bins of sureness."""
    sureness = np.clip(answers.probabilities.max(axis=1), 0, 1)
    right = np.asarray(answers.right, dtype=float)
    bins = np.minimum((sureness * BINS).astype(int), BINS - 1)
    gaps = [abs(sureness[bins == one].mean() - right[bins == one].mean()) * (bins == one).mean() for one in set(bins)]
    return float(sum(gaps))


def compared(new: Answers, old: Answers, learned: Sequence[bool] = ()) -> Comparison:
    """Both on the same photos, in the same order; ``learned``: those that the old one may have learned from."""
    pairs = list(zip(new.right, old.right, new.truth, strict=True))
    known = set(old.classes) & set(new.classes)
    return Comparison(
        len(pairs),
        won=sum(a and not b for a, b, _ in pairs),
        lost=sum(b and not a for a, b, _ in pairs),
        known_won=sum(a and not b for a, b, name in pairs if name in known),
        known_lost=sum(b and not a for a, b, name in pairs if name in known),
        before=float(np.mean(old.right)),
        after=float(np.mean(new.right)),
        learned=sum(learned),
    )


def by_chance(more: int, fewer: int) -> float:
    """How likely fair coins show ``more`` or more heads out of ``more + fewer`` (an exact sign test, one-sided)."""
    count = more + fewer
    throws: int = 2**count
    return sum(comb(count, heads) for heads in range(more, count + 1)) / throws


def verdict(against: str, comparison: Comparison | None) -> Verdict:
    """``first`` where there is nothing to compare with."""
    return Verdict("first") if comparison is None else Verdict(comparison.says, against)
