"""Train by the recipe of the Keras guide to transfer learning, in a separate process: all epochs run the frozen base.

Learns from one fold of our cross-validation and is measured on the other, at the same size, from the same weights;
Keras layers augment the photos anew in every epoch.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from ml.data import dataset, preprocessing
from ml.data.split import split_dataset
from ml.training import pretrained
from ml.training_run import Preprocessing

DEFAULT_EPOCHS = 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--weights")
    parser.add_argument("--size", type=int)
    parser.add_argument("--epochs", type=int, default=DEFAULT_EPOCHS)
    args = parser.parse_args()
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    folds = split_dataset(dataset.load(args.data))
    contract = Preprocessing(folds.products, args.size)
    base = pretrained.build_base(args.weights, args.size)
    base.trainable = False
    model = build_model(base, args.size, len(folds.products))

    def make_stream(photos: Any, *, is_shuffled: bool) -> Any:
        labels = [folds.products.index(photo.product) for photo in photos]
        paths = [str(args.data / photo.path) for photo in photos]
        pairs = tf.data.Dataset.from_tensor_slices((paths, labels))
        pairs = pairs.shuffle(len(paths), seed=0) if is_shuffled else pairs

        def read(path: Any, label: Any) -> Any:
            pixels = tf.numpy_function(
                lambda encoded_path: preprocessing.read(Path(encoded_path.decode()), contract), [path], tf.uint8
            )
            return tf.ensure_shape(pixels, (args.size, args.size, 3)), label

        return pairs.map(read, num_parallel_calls=tf.data.AUTOTUNE).batch(32).prefetch(2)

    started_at = time.perf_counter()
    model.fit(make_stream(folds.outside(0), is_shuffled=True), epochs=args.epochs, verbose=0)
    training_seconds = time.perf_counter() - started_at
    _, accuracy = model.evaluate(make_stream(folds.in_fold(0), is_shuffled=False), verbose=0)
    print(json.dumps({"top1": float(np.float64(accuracy)), "learning": training_seconds}))


def build_model(base: Any, size: int, class_count: int) -> Any:
    """Build the model of the guide."""
    import keras

    layers = keras.layers
    inputs = keras.Input((size, size, 3))
    outputs = inputs
    for layer in (layers.RandomFlip("horizontal"), layers.RandomRotation(0.05), layers.RandomZoom(0.2),
                  layers.RandomBrightness(0.2)):  # fmt: skip
        outputs = layer(outputs)
    outputs = base(layers.Rescaling(1 / 127.5, offset=-1)(outputs), training=False)
    outputs = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(outputs))
    model = keras.Model(inputs, layers.Dense(class_count, activation="softmax")(outputs))
    model.compile(
        keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
    )
    return model


if __name__ == "__main__":
    main()
