"""A training that took a second: a small network with given filters, and a head that is solved for, not learned."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ml import training_run
from ml.atomic_files import sha256
from ml.data import dataset, preprocessing
from ml.download_photos import main as download
from ml.training_run import HeldOut, Metrics, Preprocessing, Score, Split, TrainingRun
from orchestrator.storage.local import LocalFileStorage
from tests.ml import sample_photos

SIZE = 48
PRODUCTS, SHOTS = 4, 8


def make_photos(folder: Path, products: int = PRODUCTS) -> LocalFileStorage:
    """A shop's bucket, and its data set in ``folder / "data"``."""
    storage = LocalFileStorage(folder / "bucket")
    sample_photos.fill_storage(storage, products, SHOTS)
    assert download(["--data", str(folder / "data"), "--local", str(folder / "bucket")]) == 0
    return storage


def build_network(class_count: int) -> Any:
    """As MobileNetV2 is built, and a hundred times smaller."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras
    keras.utils.set_random_seed(11)
    inputs = keras.Input((SIZE, SIZE, 3))
    outputs = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    outputs = keras.layers.Conv2D(32, 3, strides=2, activation="relu", bias_initializer="random_normal")(outputs)
    outputs = keras.layers.DepthwiseConv2D(3, padding="same")(outputs)
    outputs = keras.layers.Conv2D(48, 1, activation="relu")(outputs)
    vectors = keras.layers.GlobalAveragePooling2D(name=training_run.EMBEDDING_LAYER)(outputs)
    return keras.Model(inputs, keras.layers.Dense(class_count, activation="softmax")(vectors))


def train(
    folder: Path, data: Path, version: str = "v1", *, class_count: int = PRODUCTS, is_degraded: bool = False
) -> TrainingRun:
    """A finished run in ``folder``, of the data set in ``data``; ``spoilt``: one that takes products for each other."""
    import keras

    data_set = dataset.load(data)
    contract = Preprocessing(tuple(sorted(data_set.products)[:class_count]), SIZE)
    class_photos = [photo for photo in data_set.photos if photo.product in contract.classes]
    held_out = [photo for index, photo in enumerate(class_photos) if index % 4 == 3]
    train_photos = [photo for photo in class_photos if photo not in held_out]
    model = build_network(len(contract.classes))
    feature_model = keras.Model(model.inputs[0], model.get_layer(training_run.EMBEDDING_LAYER).output)
    features = np.asarray(
        feature_model(preprocessing.read_all([data / photo.path for photo in train_photos], contract), training=False)
    )
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    truth = np.eye(len(contract.classes))[[contract.classes.index(photo.product) for photo in train_photos]]
    scaled = (features - mean) / spread
    weights = np.linalg.solve(scaled.T @ scaled + np.eye(scaled.shape[1]), scaled.T @ (truth - truth.mean(axis=0))) * 9
    weights = np.roll(weights, 1, axis=1) if is_degraded else weights
    model.layers[-1].set_weights([weights / spread[:, None], -(mean / spread) @ weights])
    folder.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras, about NumPy
        model.save(folder / training_run.MODEL_FILE)
    dataset.save(data_set, folder)
    answers = np.asarray(
        model(preprocessing.read_all([data / photo.path for photo in held_out], contract), training=False)
    )
    correct = [
        contract.classes[class_index] == photo.product
        for class_index, photo in zip(answers.argmax(axis=1), held_out, strict=True)
    ]
    score = {
        name: Score(
            2, sum(is_correct for is_correct, photo in zip(correct, held_out, strict=True) if photo.product == name)
        )
        for name in contract.classes
    }
    done = TrainingRun(
        version,
        data_set.hash,
        contract,
        contract.hash,
        Split(
            len(train_photos),
            len(held_out),
            tuple(HeldOut(photo.path, photo.product, photo.sha256) for photo in held_out),
        ),
        Metrics(float(np.mean(correct)), 1.0, 0.3, 1.0, score),
        {"epochs": 1, "seed": 11},
        {"keras": keras.__version__},
        "c0ffee0",
        f"2026-11-24T10:00:0{version[-1]}Z",
        1.0,
        features.shape[1],
        0.8,
        files={name: sha256(folder / name) for name in (training_run.MODEL_FILE, training_run.DATASET_FILE)},
    )
    training_run.save(done, folder)
    return done
