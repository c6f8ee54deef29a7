"""Turn the embedding of a photo into the answer that people see: one ranked list, with percentages and "none of ours".

The answer has one scale.  Each product has a few prototypes, vectors of length 1; its similarity is the largest cosine
between one of them and the photo's embedding.  The probabilities are a softmax over ``scale * similarity`` of all
products, and ``none`` for "none of our products", so they sum to 1.  ``ml/web/predict.js`` computes the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
ASSUMED_UNKNOWN_SHARE = 0.1
"""Share of photos that are expected to show none of the shop's products, when percentages are calibrated."""
CERTAIN_PROBABILITY = 0.5
"""Smallest probability at which one product, one group of lookalikes or "none" is the answer; below, it is unsure."""
GROUP_SHARE = 0.2
"""Two products are lookalikes if photos of one give the other at least this probability on average."""


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """How similarities become probabilities, and which products look alike.

    ``owners``: the product of each prototype, as an index.  ``groups``: products that photos often cannot tell apart.
    """

    scale: float
    none: float
    owners: tuple[int, ...]
    groups: tuple[tuple[str, ...], ...] = ()


def product_similarities(embeddings: Array, prototypes: Array, owners: Sequence[int], product_count: int) -> Array:
    """Return (photos, products) cosines: of each product's most similar prototype; -1 for a product without any."""
    cosines = embeddings @ prototypes.T
    similarities = np.full((len(embeddings), product_count), -1.0, dtype=np.float32)
    for column, owner in enumerate(owners):
        np.maximum(similarities[:, owner], cosines[:, column], out=similarities[:, owner])
    return similarities


def probabilities(similarities: Array, scale: float, none: float) -> Array:
    """Return (photos, products + 1) probabilities, each row summing to 1; the last column is "none of ours"."""
    logits = np.concatenate([similarities * scale, np.full((len(similarities), 1), none)], axis=1)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), dtype=np.float32)


def calibrate(similarities: Array, truth: Array, unknown: Array) -> tuple[float, float]:
    """Return the scale and the logit of "none" with the highest likelihood on photos no prototype was made of.

    ``similarities`` (photos, products) of photos that show product ``truth``; ``unknown``: the same for photos whose
    product is none of the columns (simulated by a column of -1), weighted as ``ASSUMED_UNKNOWN_SHARE``.
    """
    if not len(similarities):
        return 16.0, 8.0
    best = (math.inf, 16.0, 8.0)
    for scale in np.geomspace(4, 64, 25):
        true_peaks = _log_sum(similarities * scale)
        unknown_peaks = _log_sum(unknown * scale)
        true_logits = similarities[np.arange(len(truth)), truth] * scale
        for threshold in np.linspace(0.0, 1.3, 53):
            none = float(scale * threshold)
            true_loss = np.mean(np.logaddexp(true_peaks, none) - true_logits)
            unknown_loss = np.mean(np.logaddexp(unknown_peaks, none) - none) if len(unknown) else 0.0
            loss = (1 - ASSUMED_UNKNOWN_SHARE) * true_loss + ASSUMED_UNKNOWN_SHARE * unknown_loss
            best = min(best, (float(loss), float(scale), none))
    return best[1], best[2]


def _log_sum(logits: Array) -> Array:
    peaks = logits.max(axis=1)
    return np.asarray(peaks + np.log(np.exp(logits - peaks[:, None]).sum(axis=1)))


def find_groups(mean_probabilities: Array, products: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of lookalikes, given the mean probabilities (true product, product) of their photos."""
    confused = mean_probabilities >= GROUP_SHARE
    confused |= confused.T
    groups: list[set[int]] = []
    for first, second in zip(*np.nonzero(np.triu(confused, 1)), strict=True):
        joined = [group for group in groups if group & {int(first), int(second)}]
        groups = [group for group in groups if group not in joined]
        groups.append({int(first), int(second)}.union(*joined))
    return tuple(tuple(products[index] for index in sorted(group)) for group in sorted(groups, key=min))


def choose_prototypes(embeddings: Array, view_means: Array, limit: int) -> Array:
    """Return at most ``limit`` prototypes of one product: the mean of all views, then photos that differ most.

    ``embeddings``: of its photos; ``view_means``: their means over all simulated views.  All vectors have length 1.
    """
    chosen = [_normalise(view_means.sum(axis=0))]
    candidates = list(range(len(embeddings)))
    while candidates and len(chosen) < limit:
        nearest = (embeddings[candidates] @ np.stack(chosen).T).max(axis=1)
        chosen.append(embeddings[candidates.pop(int(nearest.argmin()))])
    return np.stack(chosen).astype(np.float32)


def _normalise(vector: Array) -> Array:
    return np.asarray(vector / (np.linalg.norm(vector) + 1e-12), dtype=np.float32)


def rank_auc(higher: Array, lower: Array) -> float:
    """Return the probability that one of ``higher`` scores above one of ``lower`` (AUROC); ties count half."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([higher, lower]))
    wins = ranks[: len(higher)].sum() - len(higher) * (len(higher) + 1) / 2
    return float(wins / (len(higher) * len(lower)))
