"""Run a training in stages, with checkpoints in ``.training/<fingerprint>/`` until the run is complete."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ml import answers, atomic_files, command_runner
from ml.data.dataset import Dataset, Photo
from ml.data.split import DatasetFolds
from ml.evaluation import cross_validation
from ml.evaluation.cross_validation import Evaluation, FoldAnswers
from ml.training import encoders, feature_cache, network, pretrained, training_loop
from ml.training.feature_cache import FeatureCache, FeatureExtractor
from ml.training.hardware import Hardware
from ml.training.network import Array, Network
from ml.training.training_loop import CompiledModel, EpochMetrics, StageConfig, TrainingRows
from ml.training_run import Preprocessing
from orchestrator import canonical_json
from orchestrator.problems import Problems
from orchestrator.quantities import format_count

REVISION = 5
"""Increment when the same inputs give another model, so that older checkpoints are not resumed."""
CPU_BATCH_SIZE = 9
"""Images per batch on a processor: larger batches (64) overflow its caches and are slower."""
LEARNING_RATE = 5e-4
VIEW_BUDGET = 1700
"""Images to make of all photos together, if the number of views is chosen automatically."""
MIN_VIEWS, MAX_VIEWS = 3, 10
StageCallback = Callable[[str], None]
"""Called with the name of each finished stage."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a training; together with the dataset they determine its result.

    ``encoder`` and ``weights``: see ``ml.training.encoders``.
    ``views``: images made of each photo, the photo itself included; 0 chooses them by the number of photos.
    """

    weights: str = pretrained.IMAGENET
    size: int = 224
    views: int = 0
    epochs: int = 4
    batch: int = 32
    seed: int = 0
    encoder: str = encoders.MOBILENET_V2

    def count_views(self, photo_count: int) -> int:
        """Return the views of each photo: fewer for more photos, unless the setting says how many."""
        return self.views or min(MAX_VIEWS, max(MIN_VIEWS, VIEW_BUDGET // max(photo_count, 1) + 1))


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of a training on all photos, its cross-validation, and seconds by stage.

    ``cut_layer``: the last one that was not trained.  ``learned_similarity``: see ``ml.training_run.TrainingRun``.
    """

    model: Any
    cut_layer: str
    prototypes: Array
    learned_similarity: float
    epochs: Sequence[EpochMetrics]
    evaluation: Evaluation
    stage_seconds: Mapping[str, float]


@dataclass
class Trainer:
    """A training of one dataset with given settings; ``run`` runs all stages."""

    settings: Settings
    data: Dataset
    folds: DatasetFolds
    data_folder: Path
    runs_folder: Path
    hardware: Hardware

    @cached_property
    def weights_hash(self) -> str:
        """Return the fingerprint of the initial weights."""
        return pretrained.fingerprint(self.settings.weights)

    @cached_property
    def encoder_hash(self) -> str:
        """Return the fingerprint of the encoder, with its weights."""
        return encoders.fingerprint(self.settings.encoder, self.settings.weights)

    @cached_property
    def fingerprint(self) -> str:
        """Return the hash of all inputs; a training with the same fingerprint is resumed."""
        inputs = asdict(self.settings) | {
            "weights": self.weights_hash,
            "encoder": self.encoder_hash,
            "data": self.data.hash,
            "mixed": self.hardware.mixed_precision,
            "revision": REVISION,
        }
        return canonical_json.digest(inputs)

    @property
    def checkpoint_folder(self) -> Path:
        """Return the folder for checkpoints of the unfinished training."""
        return self.runs_folder / ".training" / self.fingerprint[:16]

    @cached_property
    def contract(self) -> Preprocessing:
        """Return the preprocessing contract."""
        return Preprocessing(self.folds.products, self.settings.size)

    @cached_property
    def started_at(self) -> datetime:
        """Return when this training first started; the version is derived from it."""
        path = self.checkpoint_folder / "began.json"
        try:
            return datetime.fromisoformat(json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            now = datetime.now(UTC).replace(microsecond=0)
            atomic_files.write_atomic(path, json.dumps(now.isoformat()).encode())
            return now

    @property
    def version(self) -> str:
        """Return the version of the run."""
        return f"{self.started_at:%Y%m%d-%H%M%S}-{self.fingerprint[:4]}"

    @property
    def view_count(self) -> int:
        """Return the views of each photo."""
        return self.settings.count_views(len(self.folds.photos))

    @property
    def start_message(self) -> str:
        """Return the message to print when training starts."""
        photo_count = len(self.folds.photos)
        return (
            f"Training {self.version} on {self.hardware}: {format_count(len(self.folds.products), 'product')}, "
            f"{format_count(photo_count, 'photo')}, "
            f"{format_count(photo_count * (self.view_count - 1), 'simulated phone photo')}."
        )

    def run(self) -> TrainingResult:
        """Run all stages, resuming from checkpoints.

        Raises Problems, OSError, and errors of TensorFlow.
        """
        stage_seconds: dict[str, float] = {}
        on_stage = _make_stage_timer(stage_seconds)
        net = self._build_network()
        on_stage("start")
        batch_size = self.settings.batch if self.hardware.gpu_count else CPU_BATCH_SIZE
        extractor = FeatureExtractor(net.trunk, self.data_folder, self.contract, self.settings.seed, batch_size)
        cache = feature_cache.open_cache(self.runs_folder, self._cache_inputs(net))
        extractor.fill(cache, self.folds.photos, self.view_count)
        on_stage("features")
        net.freeze()
        compiled = training_loop.compile_model(net.top_model, network.margin_loss, self.hardware, self.settings.seed)
        fold_answers = [self._measure_fold(net, compiled, cache, fold) for fold in self.folds.used_folds]
        on_stage("validation")
        epochs = self._fit(net, compiled, cache, "all photos", self.folds.photos)
        on_stage("training")
        views = self._embed(net, cache, self.folds.photos)
        prototypes, owners = cross_validation.build_prototypes(self.folds.photos, views, self.folds.products)
        evaluation = cross_validation.evaluate(fold_answers, self.folds.products, owners)
        similarity = self._learned_similarity(views[:, 0], prototypes, owners)
        cache.mark_used(feature_cache.list_entries(self.folds.photos, self.view_count))
        on_stage("measuring")
        final_model = network.build_final_model(net, self.settings.encoder, self.settings.size)
        return TrainingResult(final_model, net.cut_layer, prototypes, similarity, epochs, evaluation, stage_seconds)

    def _cache_inputs(self, net: Network) -> Mapping[str, Any]:
        settings = self.settings
        return {"encoder": self.encoder_hash, "size": settings.size, "seed": settings.seed, "cut": net.cut_layer,
                "contract": _without_classes(self.contract)}  # fmt: skip

    def _build_network(self) -> Network:
        import keras

        keras.utils.set_random_seed(self.settings.seed)
        with self.hardware.strategy.scope():
            return network.build(
                self.settings.encoder, self.settings.weights, self.settings.size, len(self.folds.products),
                network.EMBEDDING_SIZE, self.hardware.mixed_precision,
            )  # fmt: skip

    def _measure_fold(self, net: Network, compiled: CompiledModel, cache: FeatureCache, fold: int) -> FoldAnswers:
        """Train on the photos outside of a fold, without its unknown products, and answer those in it."""
        folds, products = self.folds, self.folds.products
        self._fit(net, compiled, cache, f"fold {fold + 1} of {len(folds.used_folds)}", folds.learned(fold))
        outside, measured, unknown = folds.outside(fold), folds.measured_in(fold), folds.unknown_in(fold)
        prototypes, owners = cross_validation.build_prototypes(outside, self._embed(net, cache, outside), products)
        return cross_validation.answer_fold(
            (measured, self._embed(net, cache, measured)), (unknown, self._embed(net, cache, unknown)),
            prototypes, owners, len(products),
        )  # fmt: skip

    def _fit(
        self, net: Network, compiled: CompiledModel, cache: FeatureCache, name: str, photos: Sequence[Photo]
    ) -> list[EpochMetrics]:
        """Train the top blocks and the projection on all views of photos, from the pretrained weights."""
        entries = feature_cache.list_entries(photos, self.view_count)
        labels = np.repeat(self._encode_labels(photos), self.view_count)
        net.top_blocks.set_weights(net.initial_weights)
        network.initialise_head(net, feature_cache.predict_in_batches(net.compute_averages, cache, entries), labels)
        weights = training_loop.compute_sample_weights(labels, len(self.folds.products))
        rows = TrainingRows(lambda rows: cache.read([entries[int(row)] for row in rows]), labels, weights)
        config = StageConfig(name, self.settings.epochs, LEARNING_RATE, self.settings.batch, self.settings.seed)
        checkpoint_path = self.checkpoint_folder / f"{name.replace(' ', '-')}.npz"
        with command_runner.show_progress(name, config.epochs) as advance:
            return training_loop.train(compiled, config, rows, checkpoint_path, lambda _: advance())

    def _embed(self, net: Network, cache: FeatureCache, photos: Sequence[Photo]) -> Array:
        """Return the embeddings (photos, views, size) of all views."""
        if not photos:
            return np.empty((0, self.view_count, net.head.get_layer("projection").units), dtype=np.float32)
        entries = feature_cache.list_entries(photos, self.view_count)
        embeddings = feature_cache.predict_in_batches(net.embed, cache, entries)
        return embeddings.reshape(len(photos), self.view_count, -1)

    def _learned_similarity(self, embeddings: Array, prototypes: Array, owners: Sequence[int]) -> float:
        truth = self._encode_labels(self.folds.photos)
        similarities = answers.product_similarities(embeddings, prototypes, owners, len(self.folds.products))
        return float(similarities[np.arange(len(truth)), truth].mean())

    def _encode_labels(self, photos: Sequence[Photo]) -> Array:
        return np.array([self.folds.products.index(photo.product) for photo in photos], dtype=np.int64)


def verify_photos(dataset: Dataset, data_folder: Path) -> None:
    """Raises Problems if photos are missing or do not match the dataset's checksums."""
    changed = []
    with command_runner.show_progress("photos", len(dataset.photos)) as advance:
        for photo in dataset.photos:
            try:
                if atomic_files.sha256(data_folder / photo.path) != photo.sha256:
                    changed.append(f"{photo.path} has changed")
            except OSError as error:
                changed.append(f"{photo.path}: {error.strerror}")
            advance()
    if changed:
        more_text = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise Problems.from_message(
            f"{len(changed)} of {len(dataset.photos)} photos in {data_folder} do not match "
            f"{data_folder / 'dataset.json'}: "
            f"{'; '.join(changed[:5])}{more_text}; training did not start",
            hint="download changed photos: python -m ml.download_photos",
        )


def _make_stage_timer(stage_seconds: dict[str, float]) -> StageCallback:
    """Return a callback that records the seconds since its previous call."""
    last_time = [time.perf_counter()]

    def lap(name: str) -> None:
        now = time.perf_counter()
        stage_seconds[name] = now - last_time[0]
        last_time[0] = now

    return lap


def _without_classes(contract: Preprocessing) -> Mapping[str, Any]:
    return {name: value for name, value in asdict(contract).items() if name != "classes"}
