"""Compute metrics on the held-out photos during training, and the prototypes of all products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.data.dataset import Photo
from ml.data.split import DatasetSplits
from ml.training import network
from ml.training.network import Array
from ml.training_run import EMBEDDING_LAYER, Metrics, Score


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model's results on the held-out photos.

    ``probabilities`` are in the order of ``DatasetSplits.held_out``; ``trained``: whether each of ``products`` is a
    class; ``threshold``: minimum cosine similarity to a prototype; ``model``: the evaluated Keras model.
    """

    model: Any
    metrics: Metrics
    probabilities: Array
    truth: Array
    products: tuple[str, ...]
    prototypes: Array
    trained: Array
    threshold: float


def add_embedding_output(model: Any) -> Any:
    """Return a model with the outputs probabilities and embedding."""
    import keras

    return keras.Model(model.inputs, [model.outputs[0], model.get_layer(EMBEDDING_LAYER).output])


def evaluate(
    splits: DatasetSplits,
    known_photos: Sequence[Photo],
    known_embeddings: Array,
    probabilities: Array,
    held_out_embeddings: Array,
    model: Any,
) -> Evaluation:
    """Evaluate predictions on the held-out photos; prototypes come from the embeddings of ``known_photos``."""
    products = (*splits.classes, *splits.sparse_products)
    labels = np.array([products.index(photo.product) for photo in known_photos])
    prototypes = network.compute_prototypes(known_embeddings, labels, len(products))
    trained = np.array([name in splits.classes for name in products])
    truth = np.array([splits.classes.index(photo.product) for photo in splits.held_out])
    return Evaluation(
        model,
        _compute_metrics(splits, probabilities, truth, held_out_embeddings @ prototypes[trained].T),
        probabilities,
        truth,
        products,
        prototypes,
        trained,
        find_threshold(held_out_embeddings @ prototypes[trained].T, truth),
    )


def _compute_metrics(splits: DatasetSplits, probabilities: Array, truth: Array, similarities: Array) -> Metrics:
    ranked = np.argsort(-probabilities, axis=1, kind="stable")
    is_correct = ranked[:, 0] == truth
    true_probabilities = np.clip(probabilities[np.arange(len(truth)), truth], 1e-7, 1)
    scores = {name: Score(int((truth == class_index).sum()), int(is_correct[truth == class_index].sum()))
              for class_index, name in enumerate(splits.classes)}  # fmt: skip
    return Metrics(
        float(is_correct.mean()), float((ranked[:, :3] == truth[:, None]).any(axis=1).mean()),
        float(-np.log(true_probabilities).mean()), float((similarities.argmax(axis=1) == truth).mean()), scores,
    )  # fmt: skip


def find_threshold(similarities: Array, truth: Array) -> float:
    """Return the cosine threshold above which a photo shows the product of its nearest prototype.

    ``similarities``: cosines (photos, prototypes).  The threshold minimises false negatives plus false positives, and
    lies halfway between two observed values.  A photo of an unknown product is simulated by leaving out its prototype.
    """
    own_similarities = similarities[np.arange(len(truth)), truth]
    other_similarities = similarities.copy()
    other_similarities[np.arange(len(truth)), truth] = -np.inf
    best_others = other_similarities.max(axis=1)
    levels = np.unique(np.concatenate([own_similarities, best_others]))
    candidates = np.concatenate([levels[:1] - 1e-3, (levels[1:] + levels[:-1]) / 2])
    error_rates = [
        (own_similarities < candidate).mean() + (best_others >= candidate).mean() for candidate in candidates
    ]
    return float(np.clip(candidates[int(np.argmin(error_rates))], -1, 1))
