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
from ml.training_run import HeldOut, Metrics, Preprocessing, Run, Score, Split
from orchestrator.storage.local import LocalFileStorage
from tests.ml import shop

SIZE = 48
PRODUCTS, SHOTS = 4, 8


def photos(folder: Path, products: int = PRODUCTS) -> LocalFileStorage:
    """A shop's bucket, and its data set in ``folder / "data"``."""
    storage = LocalFileStorage(folder / "bucket")
    shop.fill(storage, products, SHOTS)
    assert download(["--data", str(folder / "data"), "--local", str(folder / "bucket")]) == 0
    return storage


def network(classes: int) -> Any:
    """As MobileNetV2 is built, and a hundred times smaller."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras
    keras.utils.set_random_seed(11)
    given = keras.Input((SIZE, SIZE, 3))
    seen = keras.layers.Rescaling(1 / 127.5, offset=-1)(given)
    seen = keras.layers.Conv2D(32, 3, strides=2, activation="relu", bias_initializer="random_normal")(seen)
    seen = keras.layers.DepthwiseConv2D(3, padding="same")(seen)
    seen = keras.layers.Conv2D(48, 1, activation="relu")(seen)
    vectors = keras.layers.GlobalAveragePooling2D(name=training_run.EMBEDDING_LAYER)(seen)
    return keras.Model(given, keras.layers.Dense(classes, activation="softmax")(vectors))


def train(folder: Path, data: Path, version: str = "v1", *, classes: int = PRODUCTS, spoilt: bool = False) -> Run:
    """A finished run in ``folder``, of the data set in ``data``; ``spoilt``: one that takes products for each other."""
    import keras

    made = dataset.load(data)
    contract = Preprocessing(tuple(sorted(made.products)[:classes]), SIZE)
    known = [one for one in made.photos if one.product in contract.classes]
    held = [one for index, one in enumerate(known) if index % 4 == 3]
    learned = [one for one in known if one not in held]
    model = network(len(contract.classes))
    bones = keras.Model(model.inputs[0], model.get_layer(training_run.EMBEDDING_LAYER).output)
    features = np.asarray(bones(preprocessing.read_all([data / one.path for one in learned], contract), training=False))
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    truth = np.eye(len(contract.classes))[[contract.classes.index(one.product) for one in learned]]
    scaled = (features - mean) / spread
    weights = np.linalg.solve(scaled.T @ scaled + np.eye(scaled.shape[1]), scaled.T @ (truth - truth.mean(axis=0))) * 9
    weights = np.roll(weights, 1, axis=1) if spoilt else weights
    model.layers[-1].set_weights([weights / spread[:, None], -(mean / spread) @ weights])
    folder.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras, about NumPy
        model.save(folder / training_run.MODEL)
    dataset.save(made, folder)
    answers = np.asarray(model(preprocessing.read_all([data / one.path for one in held], contract), training=False))
    right = [contract.classes[at] == one.product for at, one in zip(answers.argmax(axis=1), held, strict=True)]
    score = {name: Score(2, sum(ok for ok, one in zip(right, held, strict=True) if one.product == name))
             for name in contract.classes}  # fmt: skip
    done = Run(
        version, made.hash, contract, contract.hash,
        Split(len(learned), len(held), tuple(HeldOut(one.path, one.product, one.sha256) for one in held)),
        Metrics(float(np.mean(right)), 1.0, 0.3, 1.0, score), {"epochs": 1, "seed": 11}, {"keras": keras.__version__},
        "c0ffee0", f"2026-11-24T10:00:0{version[-1]}Z", 1.0, features.shape[1], 0.8,
        files={name: sha256(folder / name) for name in (training_run.MODEL, training_run.DATASET)},
    )  # fmt: skip
    training_run.save(done, folder)
    return done
