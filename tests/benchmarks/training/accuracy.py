"""Measure what people see against simple baselines: ``python -m tests.benchmarks.training.accuracy PHOTOS``.

PHOTOS has ``shop/PRODUCT/`` with ten studio photos of each product, ``phone/PRODUCT/`` and ``easy/PRODUCT/`` with
photos of customers, and ``unknown/`` and ``easyunk/`` with the same of other products.  All methods get the same
photos of the shop, which they may all learn from, and the same weights.  Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml import answers, download_photos, train_model
from ml.data import preprocessing
from ml.evaluation import cross_validation
from ml.export import exported_model
from ml.training import hardware, network, training_loop
from ml.training.network import Array, Network
from ml.training_run import Preprocessing
from orchestrator.model_registry.staleness import PHOTOS_PREFIX
from tests.ml import composed_photos

SHAPES: Mapping[str, Callable[[int], int]] = {
    "n x 2": lambda number: 2,
    "n x 4": lambda number: 4,
    "n x 10": lambda number: 10,
    "a quarter x 10, rest x 4": lambda number: 4 if number % 4 else 10,
}
"""Photos of each product, by its number."""
CONDITIONS = {"phone": "unknown", "easy": "easyunk"}
SIZE = 224


@dataclass(frozen=True, slots=True)
class Photos:
    """Photos as network features at the cut, their averages of length 1, and products as indices (-1: none)."""

    features: Array
    averages: Array
    truth: Array
    paths: tuple[Path, ...]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", type=Path)
    parser.add_argument("--shape", choices=sorted(SHAPES), action="append")
    args = parser.parse_args()
    products = sorted(path.name for path in (args.photos / "shop").iterdir())
    net = network.build(str(composed_photos.find_weights()), SIZE, len(products), network.EMBEDDING_SIZE)
    tests = {name: _load(net, args.photos / name, products) for pair in CONDITIONS.items() for name in pair}
    print(
        "| shop | test | method | top-1 | top-3 | error of percentages | AUROC of none |\n|---|---|---|--:|--:|--:|--:|"
    )
    for shape in args.shape or SHAPES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            paths = _fill_store(args.photos / "shop", products, folder / "store", SHAPES[shape])
            shop = _load_paths(net, paths, products)
            _measure_baselines(shape, net, shop, tests, len(products))
            _measure_ours(shape, folder, tests)


def _fill_store(source: Path, products: Sequence[str], store: Path, count_of: Callable[[int], int]) -> list[Path]:
    paths = []
    for number, product in enumerate(products):
        folder = store / PHOTOS_PREFIX / product
        folder.mkdir(parents=True)
        chosen = sorted((source / product).iterdir())[: count_of(number)]
        paths += [Path(shutil.copy(path, folder)) for path in chosen]
    return paths


def _load(net: Network, folder: Path, products: Sequence[str]) -> Photos:
    return _load_paths(net, sorted(folder.glob("*/*.jpg")), products)


def _load_paths(net: Network, paths: Sequence[Path], products: Sequence[str]) -> Photos:
    contract, run_trunk = Preprocessing(("a", "b"), SIZE), network.compile_predictor(net.trunk, "uint8")
    features = np.concatenate(
        [np.asarray(run_trunk(preprocessing.read_all(paths[at : at + 16], contract)))
         for at in range(0, len(paths), 16)]
    )  # fmt: skip
    averages = np.concatenate([np.asarray(net.compute_averages(features[at : at + 64]))
                               for at in range(0, len(features), 64)])  # fmt: skip
    truth = [products.index(path.parent.name) if path.parent.name in products else -1 for path in paths]
    return Photos(features, _unit(averages), np.array(truth), tuple(paths))


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _measure_baselines(shape: str, net: Network, shop: Photos, tests: Mapping[str, Photos], count: int) -> None:
    owners = shop.truth.tolist()
    means = network.mean_directions(shop.averages, shop.truth, count)
    predict_head = _train_softmax(shop.averages * 16, shop.truth, count)
    predict_tuned = _fine_tune(net, shop, count)
    methods: dict[str, Callable[[Photos], Array]] = {
        "untrained, nearest photo": lambda photos: answers.product_similarities(
            photos.averages, shop.averages, owners, count),
        "untrained, nearest prototype": lambda photos: photos.averages @ means.T,
        "logistic regression": lambda photos: predict_head(photos.averages * 16),
        "Keras fine-tune": lambda photos: predict_tuned(photos.features),
    }  # fmt: skip
    for name, score in methods.items():
        for condition, unknown in CONDITIONS.items():
            known, strange = score(tests[condition]), score(tests[unknown])
            _print(shape, condition, name, known, tests[condition].truth, known.max(axis=1), strange.max(axis=1), "-")


def _measure_ours(shape: str, folder: Path, tests: Mapping[str, Photos]) -> None:
    words = ["--data", str(folder / "data")]
    download_photos.main([*words, "--local", str(folder / "store")])
    train_model.main([*words, "--runs", str(folder / "runs"), "--weights", str(composed_photos.find_weights())])
    (run_folder,) = (folder / "runs").glob("2*")
    model = exported_model.load(run_folder / "web")
    shown = {
        name: np.concatenate([model.answer(_read(photos.paths[at : at + 16]))
                              for at in range(0, len(photos.paths), 16)])
        for name, photos in tests.items()
    }  # fmt: skip
    for condition, unknown in CONDITIONS.items():
        known, strange, truth = shown[condition], shown[unknown], tests[condition].truth
        right = known[:, :-1].argmax(axis=1) == truth
        error = cross_validation.calibration_error(known[:, :-1].max(axis=1), right)
        _print(shape, condition, "**ours, as in browsers**", known[:, :-1], truth, -known[:, -1], -strange[:, -1],
               f"{error:.3f}")  # fmt: skip


def _read(paths: Sequence[Path]) -> Array:
    return preprocessing.read_all(paths, Preprocessing(("a", "b"), SIZE)).astype(np.float32)


def _print(
    shape: str, condition: str, name: str, scores: Array, truth: Array, known: Array, strange: Array, error: str
) -> None:
    ranked = np.argsort(-scores, axis=1, kind="stable")
    top1, top3 = (ranked[:, 0] == truth).mean(), (ranked[:, :3] == truth[:, None]).any(axis=1).mean()
    separation = answers.rank_auc(known, strange)
    print(f"| {shape} | {condition} | {name} | {top1:.1%} | {top3:.1%} | {error} | {separation:.2f} |", flush=True)


def _train_softmax(inputs: Array, labels: Array, count: int) -> Callable[[Array], Array]:
    """Train a softmax layer: logistic regression, and what a plain Keras head on frozen features is."""
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(inputs.shape[1:]), keras.layers.Dense(count, activation="softmax")])
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(inputs, labels, epochs=60, batch_size=32, verbose=0)
    return lambda values: np.asarray(model(values, training=False))


def _fine_tune(net: Network, shop: Photos, count: int) -> Callable[[Array], Any]:
    """Train the blocks above the cut and a softmax layer on all photos, as the Keras guide does."""
    import keras

    net.top_blocks.set_weights(net.initial_weights)
    net.freeze()
    given = keras.Input(shop.features.shape[1:])
    dropped = keras.layers.Dropout(0.2, seed=1)(net.top_blocks(given))
    model = keras.Model(given, keras.layers.Dense(count, activation="softmax")(dropped))
    compiled = training_loop.compile_model(model, "sparse_categorical_crossentropy", hardware.detect("cpu"))
    rate = 1e-4
    compiled.model.optimizer.learning_rate = rate
    compiled.model.fit(shop.features, shop.truth, epochs=12, batch_size=32, verbose=0)
    predictor = network.compile_predictor(model)
    scores = {}

    def predict(features: Array) -> Array:
        key = features.ctypes.data
        if key not in scores:
            scores[key] = np.concatenate([np.asarray(predictor(features[at : at + 64]))
                                          for at in range(0, len(features), 64)])  # fmt: skip
        return scores[key]

    return predict


if __name__ == "__main__":
    main()
