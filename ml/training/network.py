"""The network: MobileNetV2, cut in two, and what stands on top of it.

    photo ─Rescaling─ trunk ─CUT─ crown ─average─ projection ─embedding─ scale ─probabilities
                     frozen      fine-tuned     └──────────── head ─────────────────────────┘

What the trunk makes of a photo is computed once and kept (``ml.training.feature_cache``); only what is
above ``CUT`` is ever trained.  The models share their layers, so what one of them learns the others know; ``finished``
copies all into one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.training import pretrained
from ml.training_run import EMBEDDING_LAYER

Array = np.ndarray[Any, np.dtype[Any]]
CUT = "block_13_project_BN"
EMBEDDING = 256
SHARPNESS = 16.0
"""By which the cosines are multiplied before they become probabilities."""
SHRINKAGE = 0.1
DROPOUT = 0.2


@dataclass(frozen=True, slots=True)
class Network:
    """``trunk``: photos to features at ``CUT``; ``crown``: those to averages; ``head``: averages to probabilities.

    ``upper`` is crown and head; ``base`` has the layers of trunk and crown.  ``average`` asks the crown, as it is then.
    """

    base: Any
    trunk: Any
    crown: Any
    head: Any
    upper: Any
    average: Callable[[Any], Any]

    def freeze(self, *, crown: bool) -> None:
        """Whether the crown stays as it is; its batch norms always do, a shop has too few photos for them."""
        self.trunk.trainable = False
        for layer in self.crown.layers:
            layer.trainable = not crown and type(layer).__name__ != "BatchNormalization"


def build(given: str, size: int, classes: int, embedding: int, mixed: bool = False) -> Network:
    """The network with a base of the ``given`` weights (``ml.training.pretrained``).

    Raises Problems.
    """
    import keras

    keras.config.set_dtype_policy("mixed_float16" if mixed else "float32")
    try:
        base = pretrained.base(given, size)
        middle = base.get_layer(CUT).output
        below = keras.Model(base.input, middle)
        photo, features, averages = (
            keras.Input(shape) for shape in ((size, size, 3), middle.shape[1:], base.output.shape[-1:])
        )
        trunk = keras.Model(photo, below(_scaling()(photo)))
        crown = keras.Model(middle, keras.layers.GlobalAveragePooling2D()(base.output))
        head = keras.Model(averages, _head(averages, classes, embedding))
        upper = keras.Model(features, head(crown(features)))
        return Network(base, trunk, crown, head, upper, compiled(crown))
    finally:
        keras.config.set_dtype_policy("float32")


def finished(network: Network, size: int) -> Any:
    """All of it as one model in float32, from values 0 to 255, with ``embedding`` a layer of its own."""
    import keras

    base = pretrained.base(pretrained.NONE, size)
    base.set_weights(network.base.get_weights())
    photo = keras.Input((size, size, 3), name="photo")
    averages = keras.layers.GlobalAveragePooling2D(name="average")(base(_scaling()(photo)))
    trained = [layer.get_weights() for layer in network.head.layers if layer.weights]
    made = keras.Model(photo, _head(averages, network.head.output.shape[-1], trained[0][0].shape[1]))
    for layer, numbers in zip([made.get_layer("projection"), made.get_layer("probabilities")], trained, strict=True):
        layer.set_weights(numbers)
    return made


def _scaling() -> Any:
    import keras

    return keras.layers.Rescaling(1 / 127.5, offset=-1)


def _head(averages: Any, classes: int, embedding: int) -> Any:
    """Layers on top: a projection, made of length 1 (in float32, whatever the policy), and the classes."""
    import keras

    layers = keras.layers
    vectors = layers.Dense(embedding, name="projection", dtype="float32")(averages)
    vectors = layers.UnitNormalization(name=EMBEDDING_LAYER, dtype="float32")(vectors)
    scaled = layers.Rescaling(SHARPNESS, name="scale", dtype="float32")(layers.Dropout(DROPOUT, seed=7)(vectors))
    return layers.Dense(classes, activation="softmax", name="probabilities", dtype="float32")(scaled)


def compiled(model: Any, dtype: str = "float32") -> Callable[[Any], Any]:
    """A model as a function that answers, not learns; traced once, whatever the size of the batch."""
    import tensorflow as tf

    batch = tf.TensorSpec((None, *model.inputs[0].shape[1:]), dtype)
    return tf.function(lambda given: model(given, training=False), input_signature=[batch])  # type: ignore[no-any-return]


def embedder(network: Network) -> Any:
    """Averages to vectors of length 1."""
    import keras

    return keras.Model(network.head.input, network.head.get_layer(EMBEDDING_LAYER).output)


def start_head(network: Network, averages: Array, labels: Array) -> None:
    """Give the head what can be said without training: a whitening projection, and the classes' mean vectors."""
    kernel, bias = whitening(averages, network.head.get_layer("projection").units)
    network.head.get_layer("projection").set_weights([kernel, bias])
    vectors = averages @ kernel + bias
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9
    means = prototypes(vectors, labels, network.head.output.shape[-1])
    network.head.get_layer("probabilities").set_weights([means.T, np.zeros(len(means), dtype=np.float32)])


def whitening(averages: Array, size: int) -> tuple[Array, Array]:
    """A projection on the ``size`` directions in which photos differ most, each made about equally long."""
    mean = averages.mean(axis=0, dtype=np.float64)
    centred = averages - mean
    # Of the covariance, not by an SVD of all rows: the same directions in a fraction of the time.
    variance, directions = np.linalg.eigh(centred.T @ centred / max(len(averages) - 1, 1))
    variance = np.maximum(variance[::-1][:size], 0)
    longest = np.sqrt(variance + SHRINKAGE * variance.mean() + 1e-9)
    kernel = directions[:, ::-1][:, :size] / longest
    return kernel.astype(np.float32), (-mean @ kernel).astype(np.float32)


def prototypes(vectors: Array, labels: Array, count: int) -> Array:
    """The mean direction of each label's vectors: (count, size), of length 1."""
    sums = np.zeros((count, vectors.shape[1]), dtype=np.float64)
    np.add.at(sums, labels, vectors)
    made: Array = sums / (np.linalg.norm(sums, axis=1, keepdims=True) + 1e-12)
    return made.astype(np.float32)
