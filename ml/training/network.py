"""Build the network: a MobileNetV2 base, cut in two, and a classification head.

    photo ─Rescaling─ trunk ─CUT_LAYER─ top blocks ─average─ projection ─embedding─ scale ─probabilities
                     frozen            fine-tuned          └──────────── head ─────────────────────────┘

The trunk's features are computed once and cached (``ml.training.feature_cache``); only layers above ``CUT_LAYER`` are
trained.  The models share their layers and weights; ``build_final_model`` copies everything into one model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.training import pretrained
from ml.training_run import EMBEDDING_LAYER

Array = np.ndarray[Any, np.dtype[Any]]
CUT_LAYER = "block_13_project_BN"
EMBEDDING_SIZE = 256
COSINE_SCALE = 16.0
"""Factor on the cosine similarities before softmax."""
SHRINKAGE = 0.1
DROPOUT_RATE = 0.2


@dataclass(frozen=True, slots=True)
class Network:
    """``trunk``: photos to features at ``CUT_LAYER``; ``top_blocks``: to averages; ``head``: to probabilities.

    ``top_model`` is top blocks and head; ``base`` has the layers of trunk and top blocks.  ``compute_averages`` calls
    the top blocks with their current weights.
    """

    base: Any
    trunk: Any
    top_blocks: Any
    head: Any
    top_model: Any
    compute_averages: Callable[[Any], Any]

    def freeze(self, *, top_blocks: bool) -> None:
        """Freeze or unfreeze the top blocks; batch norms stay frozen, a shop has too few photos to train them."""
        self.trunk.trainable = False
        for layer in self.top_blocks.layers:
            layer.trainable = not top_blocks and type(layer).__name__ != "BatchNormalization"


def build(weights_source: str, size: int, classes: int, embedding: int, mixed_precision: bool = False) -> Network:
    """Build the network with the initial weights of ``weights_source`` (``ml.training.pretrained``).

    Raises Problems if the weights cannot be loaded.
    """
    import keras

    keras.config.set_dtype_policy("mixed_float16" if mixed_precision else "float32")
    try:
        base = pretrained.build_base(weights_source, size)
        cut_output = base.get_layer(CUT_LAYER).output
        lower_model = keras.Model(base.input, cut_output)
        photo, features, averages = (
            keras.Input(shape) for shape in ((size, size, 3), cut_output.shape[1:], base.output.shape[-1:])
        )
        trunk = keras.Model(photo, lower_model(_scaling_layer()(photo)))
        top_blocks = keras.Model(cut_output, keras.layers.GlobalAveragePooling2D()(base.output))
        head = keras.Model(averages, _build_head(averages, classes, embedding))
        top_model = keras.Model(features, head(top_blocks(features)))
        return Network(base, trunk, top_blocks, head, top_model, compile_predictor(top_blocks))
    finally:
        keras.config.set_dtype_policy("float32")


def build_final_model(network: Network, size: int) -> Any:
    """Return everything as one float32 model with inputs from 0 to 255 and a layer ``embedding``."""
    import keras

    base = pretrained.build_base(pretrained.NONE, size)
    base.set_weights(network.base.get_weights())
    photo = keras.Input((size, size, 3), name="photo")
    averages = keras.layers.GlobalAveragePooling2D(name="average")(base(_scaling_layer()(photo)))
    trained = [layer.get_weights() for layer in network.head.layers if layer.weights]
    model = keras.Model(photo, _build_head(averages, network.head.output.shape[-1], trained[0][0].shape[1]))
    for layer, layer_weights in zip(
        [model.get_layer("projection"), model.get_layer("probabilities")], trained, strict=True
    ):
        layer.set_weights(layer_weights)
    return model


def _scaling_layer() -> Any:
    import keras

    return keras.layers.Rescaling(1 / 127.5, offset=-1)


def _build_head(averages: Any, classes: int, embedding: int) -> Any:
    """Add the head: a projection to unit length and the classes, in float32 under any dtype policy."""
    import keras

    layers = keras.layers
    vectors = layers.Dense(embedding, name="projection", dtype="float32")(averages)
    vectors = layers.UnitNormalization(name=EMBEDDING_LAYER, dtype="float32")(vectors)
    scaled = layers.Rescaling(COSINE_SCALE, name="scale", dtype="float32")(
        layers.Dropout(DROPOUT_RATE, seed=7)(vectors)
    )
    return layers.Dense(classes, activation="softmax", name="probabilities", dtype="float32")(scaled)


def compile_predictor(model: Any, dtype: str = "float32") -> Callable[[Any], Any]:
    """Return a model as an inference function, traced once for all batch sizes."""
    import tensorflow as tf

    batch_spec = tf.TensorSpec((None, *model.inputs[0].shape[1:]), dtype)
    return tf.function(lambda inputs: model(inputs, training=False), input_signature=[batch_spec])  # type: ignore[no-any-return]


def build_embedder(network: Network) -> Any:
    """Return a model from averages to embeddings of length 1."""
    import keras

    return keras.Model(network.head.input, network.head.get_layer(EMBEDDING_LAYER).output)


def initialise_head(network: Network, averages: Array, labels: Array) -> None:
    """Initialise the head without training: a whitening projection, and the mean vector of each class."""
    kernel, bias = compute_whitening(averages, network.head.get_layer("projection").units)
    network.head.get_layer("projection").set_weights([kernel, bias])
    vectors = averages @ kernel + bias
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9
    means = compute_prototypes(vectors, labels, network.head.output.shape[-1])
    network.head.get_layer("probabilities").set_weights([means.T, np.zeros(len(means), dtype=np.float32)])


def compute_whitening(averages: Array, size: int) -> tuple[Array, Array]:
    """Return kernel and bias of a whitening projection on the ``size`` directions of largest variance."""
    mean = averages.mean(axis=0, dtype=np.float64)
    centred = averages - mean
    # Eigenvectors of the covariance are much faster than an SVD of all rows, with the same result.
    variance, directions = np.linalg.eigh(centred.T @ centred / max(len(averages) - 1, 1))
    variance = np.maximum(variance[::-1][:size], 0)
    scales = np.sqrt(variance + SHRINKAGE * variance.mean() + 1e-9)
    kernel = directions[:, ::-1][:, :size] / scales
    return kernel.astype(np.float32), (-mean @ kernel).astype(np.float32)


def compute_prototypes(vectors: Array, labels: Array, count: int) -> Array:
    """Return the mean direction of each label's vectors: (count, size), of length 1."""
    sums = np.zeros((count, vectors.shape[1]), dtype=np.float64)
    np.add.at(sums, labels, vectors)
    directions: Array = sums / (np.linalg.norm(sums, axis=1, keepdims=True) + 1e-12)
    return directions.astype(np.float32)
