"""A training that took a second: a small network with given filters, and a head that is solved for, not learned."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ml import answers, training_run
from ml.answers import AnswerRule
from ml.atomic_files import sha256
from ml.data import dataset, preprocessing
from ml.download_photos import main as download
from ml.evaluation import cross_validation
from ml.training_run import HeldOut, Preprocessing, Split, TrainingRun
from orchestrator.storage.local import LocalFileStorage
from tests.ml import sample_photos
from tests.ml.finished_runs import make_run

SIZE = 48
PRODUCTS, SHOTS = 4, 8
EMBEDDING_SIZE = 8


def make_photos(folder: Path, products: int = PRODUCTS) -> LocalFileStorage:
    """A shop's bucket, and its data set in ``folder / "data"``."""
    storage = LocalFileStorage(folder / "bucket")
    sample_photos.fill_storage(storage, products, SHOTS)
    assert download(["--data", str(folder / "data"), "--local", str(folder / "bucket")]) == 0
    return storage


def build_network() -> Any:
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
    averages = keras.layers.GlobalAveragePooling2D(name="average")(outputs)
    vectors = keras.layers.Dense(EMBEDDING_SIZE, name="projection")(averages)
    return keras.Model(inputs, keras.layers.UnitNormalization(name=training_run.EMBEDDING_LAYER)(vectors))


def train(
    folder: Path, data: Path, version: str = "v1", *, products: int | None = None, is_degraded: bool = False
) -> TrainingRun:
    """A finished run in ``folder``, of the photos in ``data``; ``degraded``: it takes products for each other."""
    import keras

    data_set = dataset.load(data)
    contract = Preprocessing(tuple(sorted(data_set.products)[:products]), SIZE)
    photos = tuple(photo for photo in data_set.photos if photo.product in contract.classes)
    data_set = dataset.build(photos, storage_options=data_set.place)
    model = build_network()
    inputs = preprocessing.read_all([data / photo.path for photo in photos], contract)
    averages = np.asarray(keras.Model(model.inputs[0], model.get_layer("average").output)(inputs, training=False))
    mean, spread = averages.mean(axis=0), averages.std(axis=0) + 1e-6
    truth = np.array([contract.classes.index(photo.product) for photo in photos])
    scaled, wanted = (averages - mean) / spread, np.eye(EMBEDDING_SIZE)[truth]
    weights = np.linalg.solve(scaled.T @ scaled + 0.1 * np.eye(scaled.shape[1]), scaled.T @ (wanted - wanted.mean(0)))
    model.get_layer("projection").set_weights([weights / spread[:, None], wanted.mean(0) - (mean / spread) @ weights])
    vectors = np.asarray(model(inputs, training=False))
    prototypes, owners = cross_validation.build_prototypes(photos, vectors[:, None], contract.classes)
    owners = tuple((owner + is_degraded) % len(contract.classes) for owner in owners)
    similarities = answers.product_similarities(vectors, prototypes, owners, len(contract.classes))
    rule = AnswerRule(6.0, 3.0, owners)
    measured = cross_validation.measure(answers.probabilities(similarities, 6.0, 3.0), truth, contract.classes)
    folder.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras, about NumPy
        model.save(folder / training_run.MODEL_FILE)
    np.savez(folder / training_run.PROTOTYPES_FILE, vectors=prototypes, owners=np.array(owners))
    dataset.save(data_set, folder)
    names = (training_run.MODEL_FILE, training_run.PROTOTYPES_FILE, training_run.DATASET_FILE)
    done = make_run(
        version, contract, data_hash=data_set.hash, phone=measured, studio=measured, answer=rule,
        split=Split(len(photos), tuple(HeldOut(photo.path, photo.product, photo.sha256) for photo in photos)),
        learned_similarity=float(similarities[np.arange(len(truth)), truth].mean()), config={"epochs": 1, "seed": 11},
        tools={"keras": keras.__version__}, trained_at=f"2026-11-24T10:00:0{version[-1]}Z",
        embedding_size=EMBEDDING_SIZE, files={name: sha256(folder / name) for name in names},
    )  # fmt: skip
    training_run.save(done, folder)
    return done
