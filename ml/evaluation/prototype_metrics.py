"""Numbers from what a model says of held-out photos, and the prototypes of all products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.data.dataset import Photo
from ml.data.split import Sides
from ml.training import network
from ml.training.network import Array
from ml.training_run import EMBEDDING_LAYER, Metrics, Score


@dataclass(frozen=True, slots=True)
class Measured:
    """``probabilities`` of the held-out photos (in the order of ``Sides.held_out``); ``vectors`` are prototypes.

    ``trained``: whether each of ``products`` is a class; ``model`` is the Keras model that was asked.
    """

    model: Any
    metrics: Metrics
    probabilities: Array
    truth: Array
    products: tuple[str, ...]
    vectors: Array
    trained: Array
    threshold: float


def with_embedding(model: Any) -> Any:
    """A model that gives probabilities and embedding."""
    import keras

    return keras.Model(model.inputs, [model.outputs[0], model.get_layer(EMBEDDING_LAYER).output])


def measured(
    sides: Sides, known: Sequence[Photo], vectors: Array, probabilities: Array, seen: Array, model: Any
) -> Measured:
    """``vectors`` are embeddings of ``known`` photos, ``seen`` those of the held-out ones."""
    products = (*sides.classes, *sides.few_photos)
    owners = np.array([products.index(one.product) for one in known])
    prototypes = network.prototypes(vectors, owners, len(products))
    trained = np.array([name in sides.classes for name in products])
    truth = np.array([sides.classes.index(one.product) for one in sides.held_out])
    return Measured(
        model, _metrics(sides, probabilities, truth, seen @ prototypes[trained].T), probabilities, truth, products,
        prototypes, trained, threshold(seen @ prototypes[trained].T, truth),
    )  # fmt: skip


def _metrics(sides: Sides, probabilities: Array, truth: Array, near: Array) -> Metrics:
    ranked = np.argsort(-probabilities, axis=1, kind="stable")
    right = ranked[:, 0] == truth
    sure = np.clip(probabilities[np.arange(len(truth)), truth], 1e-7, 1)
    scores = {name: Score(int((truth == at).sum()), int(right[truth == at].sum()))
              for at, name in enumerate(sides.classes)}  # fmt: skip
    return Metrics(
        float(right.mean()), float((ranked[:, :3] == truth[:, None]).any(axis=1).mean()),
        float(-np.log(sure).mean()), float((near.argmax(axis=1) == truth).mean()), scores,
    )  # fmt: skip


def threshold(near: Array, truth: Array) -> float:
    """The cosine that tells best whether a photo shows the product of the nearest prototype.

    ``near``: cosines of photos to prototypes.  Halfway between two that occur, where strangers and the product itself
    are mistaken least often; strangers are tried by leaving each photo's own prototype out.
    """
    own = near[np.arange(len(truth)), truth]
    others = near.copy()
    others[np.arange(len(truth)), truth] = -np.inf
    strange = others.max(axis=1)
    steps = np.unique(np.concatenate([own, strange]))
    tried = np.concatenate([steps[:1] - 1e-3, (steps[1:] + steps[:-1]) / 2])
    wrong = [(own < one).mean() + (strange >= one).mean() for one in tried]
    return float(np.clip(tried[int(np.argmin(wrong))], -1, 1))
