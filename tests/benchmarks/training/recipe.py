"""The plain recipe of Keras's guide to transfer learning, in a process of its own: all epochs through the frozen base.

The same photos, sides, size and weights as ours; variations are made by Keras's layers, anew in every epoch.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from ml.data import dataset, preprocessing
from ml.data.split import split
from ml.training import pretrained
from ml.training_run import Preprocessing

EPOCHS = 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--weights")
    parser.add_argument("--size", type=int)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    given = parser.parse_args()
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    sides = split(dataset.load(given.data), 8)
    contract = Preprocessing(sides.classes, given.size)
    base = pretrained.base(given.weights, given.size)
    base.trainable = False
    model = plain(base, given.size, len(sides.classes))

    def stream(photos: Any, *, shuffled: bool) -> Any:
        labels = [sides.classes.index(one.product) for one in photos]
        paths = [str(given.data / one.path) for one in photos]
        made = tf.data.Dataset.from_tensor_slices((paths, labels))
        made = made.shuffle(len(paths), seed=0) if shuffled else made

        def read(path: Any, label: Any) -> Any:
            pixels = tf.numpy_function(lambda one: preprocessing.read(Path(one.decode()), contract), [path], tf.uint8)
            return tf.ensure_shape(pixels, (given.size, given.size, 3)), label

        return made.map(read, num_parallel_calls=tf.data.AUTOTUNE).batch(32).prefetch(2)

    began = time.perf_counter()
    model.fit(stream(sides.train, shuffled=True), validation_data=stream(sides.validation, shuffled=False),
              epochs=given.epochs, verbose=0)  # fmt: skip
    learned = time.perf_counter() - began
    _, right = model.evaluate(stream(sides.held_out, shuffled=False), verbose=0)
    print(json.dumps({"top1": float(np.float64(right)), "learning": learned}))


def plain(base: Any, size: int, classes: int) -> Any:
    """As the guide has it."""
    import keras

    layers = keras.layers
    given = keras.Input((size, size, 3))
    seen = given
    for layer in (layers.RandomFlip("horizontal"), layers.RandomRotation(0.05), layers.RandomZoom(0.2),
                  layers.RandomBrightness(0.2)):  # fmt: skip
        seen = layer(seen)
    seen = base(layers.Rescaling(1 / 127.5, offset=-1)(seen), training=False)
    seen = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(seen))
    model = keras.Model(given, layers.Dense(classes, activation="softmax")(seen))
    model.compile(
        keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
    )
    return model


if __name__ == "__main__":
    main()
