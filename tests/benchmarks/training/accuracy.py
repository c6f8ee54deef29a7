"""Measure what people see against simple baselines: ``make bench ARGS="--only recognition --photos PHOTOS"``.

PHOTOS has ``shop/PRODUCT/`` with ten studio photos of each product, ``phone/PRODUCT/`` and ``easy/PRODUCT/`` with
photos of customers, and ``unknown/`` and ``easyunk/`` with the same of other products.  All methods get the same
photos of the shop, which they may all learn from, and the same weights.  ``python -m tests.benchmarks.training.accuracy
PHOTOS`` prints every method; the benchmark compares with the best of the others.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml import answers, download_photos, train_model
from ml.data import preprocessing
from ml.evaluation import cross_validation
from ml.export import exported_model
from ml.training import encoders, hardware, network, pretrained, training_loop
from ml.training.network import Array, Network
from ml.training_run import Preprocessing
from orchestrator.model_registry.staleness import PHOTOS_PREFIX
from tests.benchmarks.table import Row
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
MARGIN = 0.05
"""How much higher than the best other method a share has to be."""
MIN_SEPARATION = {"phone": 0.80, "easy": 0.90}
MAX_CALIBRATION_ERROR = 0.05
OURS = "ours, as in browsers"
HEAD = (
    "| shop | test | method | top-1 | top-3 | calibration error (of perfect percentages) | AUROC of none | CPU time |\n"
    "|---|---|---|--:|--:|--:|--:|--:|"
)


@dataclass(frozen=True, slots=True)
class Photos:
    """Photos as network features at the cut, their averages of length 1, and products as indices (-1: none)."""

    features: Array
    averages: Array
    truth: Array
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """What a method reaches on one test: shares of photos, calibration error, AUROC of known against unknown.

    ``error_floor``: the calibration error that perfect percentages would have on as few photos.  None: no percentages.
    ``cpu_seconds``: of the training and its validation, None if not measured.
    """

    shape: str
    condition: str
    method: str
    top1: float
    top3: float
    separation: float
    error: float | None = None
    error_floor: float | None = None
    cpu_seconds: float | None = None

    def __str__(self) -> str:
        """Return the row of the table."""
        error = f"{self.error:.3f} ({self.error_floor:.3f})" if self.error is not None else "-"
        seconds = f"{self.cpu_seconds:.0f} s" if self.cpu_seconds is not None else "-"
        return (
            f"| {self.shape} | {self.condition} | {self.method} | {self.top1:.1%} | {self.top3:.1%} | {error} "
            f"| {self.separation:.2f} | {seconds} |"
        )


SHARES: Mapping[str, Callable[[Score], float]] = {"top-1": lambda score: score.top1, "top-3": lambda score: score.top3}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", type=Path)
    parser.add_argument("--shape", choices=sorted(SHAPES), action="append")
    parser.add_argument("--encoder", choices=encoders.NAMES, action="append")
    args = parser.parse_args()
    print(HEAD)
    for score in iter_scores(args.photos, args.shape or list(SHAPES), args.encoder or encoders.NAMES):
        print(score, flush=True)


def iter_scores(photos: Path, shapes: Sequence[str], encoder_names: Sequence[str]) -> Iterator[Score]:
    """Yield the scores of all methods, shape by shape."""
    products = sorted(path.name for path in (photos / "shop").iterdir())
    net = network.build(
        encoders.MOBILENET_V2, str(composed_photos.find_weights()), SIZE, len(products), network.EMBEDDING_SIZE
    )
    tests = {name: _load(net, photos / name, products) for pair in CONDITIONS.items() for name in pair}
    for shape in shapes:
        # Fine-tuning for the previous shape changed them, and all other baselines need features of untrained blocks.
        net.top_blocks.set_weights(net.initial_weights)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            paths = _fill_store(photos / "shop", products, folder / "store", SHAPES[shape])
            yield from _measure_baselines(shape, net, _load_paths(net, paths, products), tests, len(products))
            words = ["--data", str(folder / "data")]
            download_photos.main([*words, "--local", str(folder / "store")])
            for encoder in encoder_names:
                yield from _measure_ours(shape, encoder, folder, tests)


def rows(photos: Path, *, quick: bool, on_progress: Callable[[str], None]) -> list[Row]:
    """Compare the default encoder with the best other method, on every shape of a shop and both conditions."""
    shapes = ["n x 4"] if quick else list(SHAPES)
    encoder_names = [encoders.MOBILENET_V2] if quick else list(encoders.NAMES)
    scores = []
    for score in iter_scores(photos, shapes, encoder_names):
        on_progress(str(score))
        scores.append(score)
    return [row for shape in shapes for condition in CONDITIONS for row in compare(scores, shape, condition)]


def compare(scores: Sequence[Score], shape: str, condition: str) -> Iterator[Row]:
    """Yield the rows of one test: shares against the best other method and a margin, the rest against its target."""
    of_test = [score for score in scores if (score.shape, score.condition) == (shape, condition)]
    others = [score for score in of_test if not score.method.startswith(OURS)]
    for ours in (score for score in of_test if score.method.startswith(OURS)):
        title = f"recognition, {shape} photos, {condition}: {ours.method}"
        for name, share in SHARES.items():
            best = max(others, key=share)
            peer = f"{share(best):.1%} ({best.method})"
            ratio = (share(best) + MARGIN) / max(share(ours), 1e-9)
            yield Row(f"{title}: {name}, 5 points above the best other", f"{share(ours):.1%}", peer, ratio, 1, "1")
        target = MIN_SEPARATION[condition]
        yield Row(f"{title}: AUROC of none of ours", f"{ours.separation:.2f}", f"target: {target:.2f}",
                  target / max(ours.separation, 1e-9), 1, "1")  # fmt: skip
        if ours.error is not None:
            peer = f"target: {MAX_CALIBRATION_ERROR}; perfect percentages: {ours.error_floor:.3f}"
            ratio = ours.error / MAX_CALIBRATION_ERROR
            yield Row(f"{title}: calibration error", f"{ours.error:.3f}", peer, ratio, 1, "1")


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


def _measure_baselines(
    shape: str, net: Network, shop: Photos, tests: Mapping[str, Photos], count: int
) -> Iterator[Score]:
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
            top1, top3 = _shares(known, tests[condition].truth)
            yield Score(shape, condition, name, top1, top3, answers.rank_auc(known.max(axis=1), strange.max(axis=1)))


def _measure_ours(shape: str, encoder: str, folder: Path, tests: Mapping[str, Photos]) -> Iterator[Score]:
    is_default = encoder == encoders.MOBILENET_V2
    weights = str(composed_photos.find_weights()) if is_default else pretrained.IMAGENET
    runs, started_at = folder / f"runs-{encoder}", time.process_time()
    options = ["--data", str(folder / "data"), "--runs", str(runs), "--weights", weights, "--encoder", encoder]
    train_model.main(options)
    cpu_seconds = time.process_time() - started_at
    (run_folder,) = runs.glob("2*")
    model = exported_model.load(run_folder / "web")
    shown = {
        name: np.concatenate([model.answer(_read(photos.paths[at : at + 16]))
                              for at in range(0, len(photos.paths), 16)])
        for name, photos in tests.items()
    }  # fmt: skip
    for condition, unknown in CONDITIONS.items():
        known, strange, truth = shown[condition], shown[unknown], tests[condition].truth
        confidence = known[:, :-1].max(axis=1)
        error = cross_validation.calibration_error(confidence, known[:, :-1].argmax(axis=1) == truth)
        top1, top3 = _shares(known[:, :-1], truth)
        yield Score(
            shape, condition, OURS if is_default else f"{OURS}, --encoder {encoder}", top1, top3,
            answers.rank_auc(-known[:, -1], -strange[:, -1]), error, cross_validation.error_floor(confidence),
            cpu_seconds,
        )  # fmt: skip


def _read(paths: Sequence[Path]) -> Array:
    return preprocessing.read_all(paths, Preprocessing(("a", "b"), SIZE)).astype(np.float32)


def _shares(scores: Array, truth: Array) -> tuple[float, float]:
    """Return the shares of photos whose product is first, and among the first three."""
    ranked = np.argsort(-scores, axis=1, kind="stable")
    return float((ranked[:, 0] == truth).mean()), float((ranked[:, :3] == truth[:, None]).any(axis=1).mean())


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
