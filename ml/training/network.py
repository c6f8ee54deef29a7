"""Build the network: an encoder, cut in two, a projection to the embedding, and proxies to train it.

    photo ─Rescaling─ trunk ─── cut ─── top blocks ─average─ projection ─embedding─ proxies
                     frozen            └────────── fine-tuned ──────────────────┘ training only

The trunk's features are computed once and cached (``ml.training.feature_cache``); only layers above the cut are
trained.  A proxy is a vector of length 1 for each product, and training moves the embeddings of its photos closer to it
than to all others, by a margin (``margin_loss``).  The proxies are a training aid: answers come from prototypes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.training import encoders, pretrained
from ml.training_run import EMBEDDING_LAYER

Array = np.ndarray[Any, np.dtype[Any]]
EMBEDDING_SIZE = 128
COSINE_SCALE = 16.0
"""Factor on the cosine similarities before softmax."""
MARGIN = 0.2
"""Cosine by which a photo has to be closer to its own product's proxy than to others."""
SHRINKAGE = 1.0
DROPOUT_RATE = 0.1


@dataclass(frozen=True, slots=True)
class Network:
    """``trunk``: photos to features at ``cut_layer``; ``top_blocks``: to averages; ``head``: to cosines of proxies.

    ``top_model`` is top blocks and head; ``base`` has the layers of trunk and top blocks.  ``compute_averages`` and
    ``embed`` (from features) use the current weights; ``initial_weights`` are those of the top blocks before training.
    """

    base: Any
    cut_layer: str
    trunk: Any
    top_blocks: Any
    head: Any
    top_model: Any
    compute_averages: Callable[[Any], Any]
    embed: Callable[[Any], Any]
    initial_weights: Sequence[Array]

    def freeze(self) -> None:
        """Freeze the trunk, and all batch norms: a shop has too few photos to train them."""
        self.trunk.trainable = False
        for layer in self.top_blocks.layers:
            layer.trainable = type(layer).__name__ != "BatchNormalization"


def build(
    encoder: str, weights: str, size: int, products: int, embedding: int, mixed_precision: bool = False
) -> Network:
    """Build the network on an encoder with initial weights (``ml.training.encoders``).

    ``embedding``: numbers of an embedding, at most the encoder's channels.

    Raises Problems if they cannot be loaded.
    """
    import keras

    keras.config.set_dtype_policy("mixed_float16" if mixed_precision else "float32")
    try:
        base = encoders.build(encoder, weights, size)
        cut_layer = encoders.find_cut_layer(base)
        cut_output = base.get_layer(cut_layer).output
        lower_model = keras.Model(base.input, cut_output)
        photo, features, averages = (
            keras.Input(shape) for shape in ((size, size, 3), cut_output.shape[1:], base.output.shape[-1:])
        )
        trunk = keras.Model(photo, lower_model(_scaling_layer()(photo)))
        top_blocks = keras.Model(cut_output, keras.layers.GlobalAveragePooling2D()(base.output))
        embedded = _add_embedding(averages, min(embedding, base.output.shape[-1]))
        head = keras.Model(averages, _add_proxies(embedded, products))
        top_model = keras.Model(features, head(top_blocks(features)))
        embedder = keras.Model(features, keras.Model(averages, embedded)(top_blocks(features)))
        return Network(
            base, cut_layer, trunk, top_blocks, head, top_model, compile_predictor(top_blocks),
            compile_predictor(embedder), top_blocks.get_weights(),
        )  # fmt: skip
    finally:
        keras.config.set_dtype_policy("float32")


def build_final_model(network: Network, encoder: str, size: int) -> Any:
    """Return the model from photos, 0 to 255, to embeddings, in float32."""
    import keras

    base = encoders.build(encoder, pretrained.NONE, size)
    base.set_weights(network.base.get_weights())
    photo = keras.Input((size, size, 3), name="photo")
    averages = keras.layers.GlobalAveragePooling2D(name="average")(base(_scaling_layer()(photo)))
    projection = network.head.get_layer("projection").get_weights()
    model = keras.Model(photo, _add_embedding(averages, projection[0].shape[1]))
    model.get_layer("projection").set_weights(projection)
    return model


def _scaling_layer() -> Any:
    import keras

    return keras.layers.Rescaling(1 / 127.5, offset=-1)


def _add_embedding(averages: Any, size: int) -> Any:
    """Add the projection to vectors of length 1, in float32 under any dtype policy."""
    import keras

    vectors = keras.layers.Dense(size, name="projection", dtype="float32")(averages)
    return keras.layers.UnitNormalization(name=EMBEDDING_LAYER, dtype="float32")(vectors)


def _add_proxies(embedded: Any, products: int) -> Any:
    """Add the cosines of the embedding with one proxy for each product."""
    import keras

    dropped = keras.layers.Dropout(DROPOUT_RATE, seed=7, dtype="float32")(embedded)
    return keras.layers.Dense(
        products, use_bias=False, kernel_constraint=keras.constraints.UnitNorm(axis=0), name="proxies", dtype="float32"
    )(dropped)


def margin_loss(labels: Any, cosines: Any) -> Any:
    """Return the cross-entropy of scaled cosines, with ``MARGIN`` taken off the own product's (CosFace)."""
    import keras

    own = keras.ops.one_hot(keras.ops.cast(keras.ops.reshape(labels, (-1,)), "int32"), cosines.shape[-1])
    return keras.losses.categorical_crossentropy(own, COSINE_SCALE * (cosines - MARGIN * own), from_logits=True)


def compile_predictor(model: Any, dtype: str = "float32") -> Callable[[Any], Any]:
    """Return a model as an inference function, traced once for all batch sizes."""
    import tensorflow as tf

    batch_spec = tf.TensorSpec((None, *model.inputs[0].shape[1:]), dtype)
    return tf.function(lambda inputs: model(inputs, training=False), input_signature=[batch_spec])  # type: ignore[no-any-return]


def initialise_head(network: Network, averages: Array, labels: Array) -> None:
    """Initialise the head: a whitening projection, and the mean of each product as its proxy.

    ``averages``: (rows, channels) of the pretrained top blocks; every label has a row.
    """
    projection, proxies = network.head.get_layer("projection"), network.head.get_layer("proxies")
    kernel, bias = compute_whitening(averages, projection.units)
    projection.set_weights([kernel, bias])
    vectors = averages @ kernel + bias
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9
    proxies.set_weights([mean_directions(vectors, labels, proxies.units).T])


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


def mean_directions(vectors: Array, labels: Array, count: int) -> Array:
    """Return the mean direction of each label's vectors: (count, size), of length 1."""
    sums = np.zeros((count, vectors.shape[1]), dtype=np.float64)
    np.add.at(sums, labels, vectors)
    directions: Array = sums / (np.linalg.norm(sums, axis=1, keepdims=True) + 1e-12)
    return directions.astype(np.float32)
