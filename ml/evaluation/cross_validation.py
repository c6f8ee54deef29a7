"""Measure what people would see on photos that a model did not learn from, by cross-validation.

Each fold's model answers the photos of its fold: as they are (studio), and as simulated phone photos.  The percentages
are calibrated on the simulated phone photos, and on photos of products that this model did not learn, with the product
and its lookalikes taken away from the answer: they stand for products that the shop does not have.  In a shop with few
products the photos of learned ones have to stand for them, which a model tells apart more easily.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml import answers
from ml.answers import AnswerRule
from ml.data.dataset import Photo
from ml.training.network import Array
from ml.training_run import Metrics, Score

CALIBRATION_BINS = 10
MAX_PROTOTYPES = 6
"""Prototypes that a product keeps."""
UNMEASURED = Metrics(0.0, 0.0, 0.0, None, 0, {})


@dataclass(frozen=True, slots=True)
class FoldAnswers:
    """The similarities (rows, products) of measured photos: ``studio`` as they are, ``phone`` simulated.

    ``photos`` names the rows of ``studio``; ``phone`` has ``len(phone) / len(photos)`` rows for each, adjacent.
    ``unknown``: of all photos of products that were not learned, whose names are ``unknown_products``, row by row.
    """

    photos: tuple[Photo, ...]
    studio: Array
    phone: Array
    unknown: Array
    unknown_products: tuple[str, ...]


EmbeddedPhotos = tuple[Sequence[Photo], Array]
"""Photos, and the embeddings (photos, views, size) of their views; view 0 is the photo itself."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of a cross-validation: rule, metrics, and answers (rows, products + 1) to the studio photos."""

    rule: AnswerRule
    studio: Metrics
    phone: Metrics
    photos: tuple[Photo, ...]
    studio_answers: Array
    phone_answers: Array


def build_prototypes(
    photos: Sequence[Photo], view_embeddings: Array, products: Sequence[str], limit: int = MAX_PROTOTYPES
) -> tuple[Array, tuple[int, ...]]:
    """Return the prototypes of all products, and the product's index of each.

    ``view_embeddings``: (photos, views, size); view 0 is the photo itself.
    """
    names = np.array([photo.product for photo in photos])
    vectors, owners = [], []
    for index, name in enumerate(products):
        own = view_embeddings[names == name]
        if len(own):
            vectors.append(answers.choose_prototypes(own[:, 0], own.mean(axis=1), limit))
            owners += [index] * len(vectors[-1])
    return np.concatenate(vectors), tuple(owners)


def answer_fold(
    measured: EmbeddedPhotos, unknown: EmbeddedPhotos, prototypes: Array, owners: Sequence[int], product_count: int
) -> FoldAnswers:
    """Return the similarities of the photos of one fold: of products that its model learned, and of others."""

    def compare(embeddings: Array) -> Array:
        vectors = embeddings.reshape(-1, embeddings.shape[-1])
        return answers.product_similarities(vectors, prototypes, owners, product_count)

    photos, views = measured
    others, other_views = unknown
    simulated = other_views[:, 1:] if other_views.shape[1] > 1 else other_views
    names = tuple(photo.product for photo in others for _ in range(simulated.shape[1]))
    return FoldAnswers(tuple(photos), compare(views[:, 0]), compare(views[:, 1:]), compare(simulated), names)


def evaluate(folds: Sequence[FoldAnswers], products: tuple[str, ...], owners: tuple[int, ...]) -> Evaluation:
    """Calibrate the percentages on all folds, and measure what people would see.

    ``owners``: of the prototypes of the final model, for the rule.
    """
    folds = [fold for fold in folds if len(fold.photos)]
    if not folds:
        scale, none = answers.calibrate(np.empty((0, 0)), np.empty(0), np.empty((0, 0)))
        empty = np.empty((0, len(products) + 1), dtype=np.float32)
        return Evaluation(AnswerRule(scale, none, owners), UNMEASURED, UNMEASURED, (), empty, empty)
    photos = tuple(photo for fold in folds for photo in fold.photos)
    studio, phone = (np.concatenate([getattr(fold, name) for fold in folds]) for name in ("studio", "phone"))
    truth = np.array([products.index(photo.product) for photo in photos])
    calibration, calibration_truth = (
        (phone, np.repeat(truth, len(phone) // len(truth))) if len(phone) else (studio, truth)
    )
    unknown_names = [name for fold in folds for name in fold.unknown_products]
    unknown, unknown_truth = calibration, calibration_truth
    if unknown_names:
        unknown = np.concatenate([fold.unknown for fold in folds])
        unknown_truth = np.array([products.index(name) for name in unknown_names])
    scale, none, groups = _calibrate(calibration, calibration_truth, (unknown, unknown_truth), products)
    unknown = _without_own(unknown, unknown_truth, groups, products)
    phone_answers, studio_answers = (answers.probabilities(rows, scale, none) for rows in (phone, studio))
    return Evaluation(
        AnswerRule(scale, none, owners, groups),
        measure(studio_answers, truth, products),
        measure(phone_answers, calibration_truth, products, answers.probabilities(unknown, scale, none))
        if len(phone)
        else UNMEASURED,
        photos,
        studio_answers,
        phone_answers,
    )


def _calibrate(
    similarities: Array, truth: Array, unknown: tuple[Array, Array], products: tuple[str, ...]
) -> tuple[float, float, tuple[tuple[str, ...], ...]]:
    """Return scale, logit of "none" and groups: first with every product by itself, then with its lookalikes.

    ``unknown``: similarities, and true products as indices, of photos that stand for products of nobody.
    """
    scale, none = answers.calibrate(similarities, truth, _without_own(*unknown, (), products))
    shown = answers.probabilities(similarities, scale, none)[:, :-1]
    means = np.zeros((len(products), len(products)))
    np.add.at(means, truth, shown)
    means /= np.maximum(np.bincount(truth, minlength=len(products)), 1)[:, None]
    groups = answers.find_groups(means, products)
    return *answers.calibrate(similarities, truth, _without_own(*unknown, groups, products)), groups


def _without_own(
    similarities: Array, truth: Array, groups: Sequence[tuple[str, ...]], products: tuple[str, ...]
) -> Array:
    """Return the similarities as if the shop had neither the photo's product nor its lookalikes."""
    removed = np.eye(len(products), dtype=bool)
    for group in groups:
        indices = [products.index(name) for name in group]
        removed[np.ix_(indices, indices)] = True
    return np.where(removed[truth], -1.0, similarities)


def measure(shown: Array, truth: Array, products: Sequence[str], unknown: Array | None = None) -> Metrics:
    """Return the metrics of answers (rows, products + 1) to photos of known products ``truth``, as indices.

    ``unknown``: answers to photos of other products, to measure how well these are told apart.
    """
    ranked = np.argsort(-shown[:, :-1], axis=1, kind="stable")
    is_correct = ranked[:, 0] == truth
    scores = {name: Score(int((truth == index).sum()), int(is_correct[truth == index].sum()))
              for index, name in enumerate(products) if (truth == index).any()}  # fmt: skip
    separation = None if unknown is None else answers.rank_auc(-shown[:, -1], -unknown[:, -1])
    return Metrics(
        float(is_correct.mean()), float((ranked[:, :3] == truth[:, None]).any(axis=1).mean()),
        calibration_error(shown[:, :-1].max(axis=1), is_correct), separation, len(truth), scores,
    )  # fmt: skip


def error_floor(confidence: Array, draws: int = 200) -> float:
    """Return the calibration error that perfect percentages would have on as many photos, on average.

    Few photos leave a few in each bin, whose share of right answers differs from their percentage by chance: see
    "Mitigating bias in calibration error estimation" (Roelofs et al., AISTATS 2022).
    """
    random = np.random.default_rng(0)
    errors = [calibration_error(confidence, random.random(len(confidence)) < confidence) for _ in range(draws)]
    return float(np.mean(errors))


def calibration_error(confidence: Array, is_correct: Any) -> float:
    """Return the expected calibration error (ECE) over ``CALIBRATION_BINS`` bins of confidence."""
    confidence, correct = np.clip(confidence, 0, 1), np.asarray(is_correct, dtype=float)
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = [
        abs(confidence[bins == number].mean() - correct[bins == number].mean()) * (bins == number).mean()
        for number in set(bins.tolist())
    ]
    return float(sum(gaps))
