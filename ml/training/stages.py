"""Run a training in stages, with checkpoints in ``.training/<fingerprint>/`` until the run is complete."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ml import atomic_files, command_runner
from ml.data.dataset import MIN_PHOTOS_PER_CLASS, Dataset, Photo
from ml.data.split import DatasetSplits
from ml.evaluation import prototype_metrics
from ml.evaluation.prototype_metrics import Evaluation
from ml.training import feature_cache, network, pretrained, training_loop
from ml.training.feature_cache import FeatureCache, FeatureExtractor
from ml.training.hardware import Hardware
from ml.training.network import Array, Network
from ml.training.training_loop import EpochMetrics, StageConfig, TrainingRows
from ml.training_run import Preprocessing
from orchestrator import canonical_json
from orchestrator.problems import Problems

REVISION = 2
"""Increment when the same inputs give another model, so that older checkpoints are not resumed."""
CPU_BATCH_SIZE = 9
"""Images per batch on a processor: larger batches (64) overflow its caches and are slower."""
HEAD_LEARNING_RATE, HEAD_PATIENCE = 1e-3, 6
FINE_TUNING_LEARNING_RATE, FINE_TUNING_PATIENCE = 3e-5, 2
StageCallback = Callable[[str], None]
"""Called with the name of each finished stage."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a training; together with the dataset they determine its result."""

    weights: str = pretrained.IMAGENET
    size: int = 224
    fewest: int = MIN_PHOTOS_PER_CLASS
    views: int = 2
    epochs: int = 60
    fine_tune: int = 4
    batch: int = 64
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of a training: epochs, evaluation on the held-out photos, and seconds by stage."""

    epochs: Sequence[EpochMetrics]
    evaluation: Evaluation
    stage_seconds: Mapping[str, float]


@dataclass
class Trainer:
    """A training of one dataset with given settings; ``run`` runs all stages."""

    settings: Settings
    data: Dataset
    splits: DatasetSplits
    data_folder: Path
    runs_folder: Path
    hardware: Hardware

    @cached_property
    def weights_hash(self) -> str:
        """Return the fingerprint of the initial weights."""
        return pretrained.fingerprint(self.settings.weights)

    @cached_property
    def fingerprint(self) -> str:
        """Return the hash of all inputs; a training with the same fingerprint is resumed."""
        inputs = asdict(self.settings) | {
            "weights": self.weights_hash,
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
        return Preprocessing(self.splits.classes, self.settings.size)

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
    def start_message(self) -> str:
        """Return the message to print when training starts."""
        splits, sparse_products = self.splits, self.splits.sparse_products
        return (
            f"Training {self.version} on {self.hardware}: {len(splits.classes)} products, {len(splits.train)} training "
            f"photos, {len(splits.validation)} validation photos, {len(splits.held_out)} held-out photos"
            + (f"; prototypes for {len(sparse_products)} products with few photos." if sparse_products else ".")
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
        cache = feature_cache.open_cache(self.runs_folder, self._cache_inputs)
        extractor.fill(cache, self.splits.train, self.settings.views)
        extractor.fill(cache, (*self.splits.validation, *self.splits.sparse_photos), 1)
        on_stage("features")
        epochs = self._fit(net, cache, on_stage)
        evaluation = self._evaluate(net, cache, extractor)
        cache.mark_used(self._feature_entries)
        on_stage("measuring")
        return TrainingResult(epochs, evaluation, stage_seconds)

    @property
    def _feature_entries(self) -> list[feature_cache.Entry]:
        """Return the cache entries of all features of this training."""
        single_view_entries = feature_cache.list_entries((*self.splits.validation, *self.splits.sparse_photos), 1)
        return feature_cache.list_entries(self.splits.train, self.settings.views) + single_view_entries

    @property
    def _cache_inputs(self) -> Mapping[str, Any]:
        settings = self.settings
        return {"weights": self.weights_hash, "size": settings.size, "seed": settings.seed, "cut": network.CUT_LAYER,
                "contract": _without_classes(self.contract)}  # fmt: skip

    def _build_network(self) -> Network:
        import keras

        keras.utils.set_random_seed(self.settings.seed)
        row_count = len(self.splits.train) * self.settings.views
        with self.hardware.strategy.scope():
            return network.build(
                self.settings.weights, self.settings.size, len(self.splits.classes),
                max(2, min(network.EMBEDDING_SIZE, row_count - 1)), self.hardware.mixed_precision,
            )  # fmt: skip

    def _fit(self, net: Network, cache: FeatureCache, on_stage: StageCallback) -> list[EpochMetrics]:
        """Train the head on the averages of all views, then the top blocks and head on one view per epoch."""
        settings = self.settings
        train_entries = feature_cache.list_entries(self.splits.train, settings.views)
        validation_entries = feature_cache.list_entries(self.splits.validation, 1)
        labels = np.repeat(self._encode_labels(self.splits.train), settings.views)
        labelled_entries = ((train_entries, labels), (validation_entries, self._encode_labels(self.splits.validation)))
        net.freeze(top_blocks=True)
        averages = [
            feature_cache.predict_in_batches(net.compute_averages, cache, entries) for entries, _ in labelled_entries
        ]
        on_stage("averages")
        network.initialise_head(net, averages[0], labels)
        head_config = StageConfig(
            "head", settings.epochs, HEAD_PATIENCE, HEAD_LEARNING_RATE, settings.batch, settings.seed
        )
        rows = [
            self._make_rows(inputs.__getitem__, targets)
            for inputs, (_, targets) in zip(averages, labelled_entries, strict=True)
        ]
        epochs = self._run_stage(net.head, head_config, rows)
        on_stage("head")
        if settings.fine_tune:
            best_loss = min(epoch.validation_loss for epoch in epochs)
            fine_tuning_config = StageConfig(
                "top blocks",
                settings.fine_tune,
                FINE_TUNING_PATIENCE,
                FINE_TUNING_LEARNING_RATE,
                max(settings.batch // 2, 1),
                settings.seed,
                best_loss,
            )
            net.freeze(top_blocks=False)
            rows = [self._make_rows(_make_gather(cache, entries), targets) for entries, targets in labelled_entries]
            epochs += self._run_stage(
                net.top_model, fine_tuning_config, [replace(rows[0], views=settings.views), rows[1]]
            )
            on_stage("blocks")
        return epochs

    def _make_rows(self, gather: Callable[[Array], Array], labels: Array) -> TrainingRows:
        return TrainingRows(gather, labels, training_loop.compute_sample_weights(labels, len(self.splits.classes)))

    def _run_stage(self, model: Any, config: StageConfig, rows: Sequence[TrainingRows]) -> list[EpochMetrics]:
        checkpoint_path = self.checkpoint_folder / f"{config.name.replace(' ', '-')}.npz"
        with command_runner.show_progress(config.name, config.max_epochs) as advance:
            return training_loop.train(
                model, config, rows[0], rows[1], checkpoint_path, self.hardware, lambda _: advance()
            )

    def _encode_labels(self, photos: Sequence[Photo]) -> Array:
        return np.array([self.splits.classes.index(photo.product) for photo in photos], dtype=np.int64)

    def _evaluate(self, net: Network, cache: FeatureCache, extractor: FeatureExtractor) -> Evaluation:
        """Evaluate the complete model on the held-out photos, and compute the prototypes of all products."""
        final_model = network.build_final_model(net, self.settings.size)
        known_photos = (*self.splits.train, *self.splits.validation, *self.splits.sparse_photos)
        embed = network.build_embedder(net)
        vectors = feature_cache.predict_in_batches(
            lambda batch: embed(net.compute_averages(batch), training=False),
            cache,
            [(item.sha256, 0) for item in known_photos],
        )
        predict = self._make_predictor(net, extractor, final_model)
        batches: list[list[Array]] = []
        with command_runner.show_progress("held-out photos", len(self.splits.held_out)) as advance:
            for pixels in extractor.iter_pixels(self.splits.held_out, 1):
                batches.append([np.asarray(item) for item in predict(pixels[:, 0])])
                for _ in range(len(pixels)):
                    advance()
        probabilities, embeddings = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        return prototype_metrics.evaluate(self.splits, known_photos, vectors, probabilities, embeddings, final_model)

    def _make_predictor(self, net: Network, extractor: FeatureExtractor, final_model: Any) -> Callable[[Any], Any]:
        """Return a function from a uint8 batch to probabilities and embeddings, equivalent to ``final_model``.

        In float32 it reuses the compiled parts of the network; with mixed precision these would differ.
        """
        if self.hardware.mixed_precision:
            return network.compile_predictor(prototype_metrics.add_embedding_output(final_model), "uint8")
        head = prototype_metrics.add_embedding_output(net.head)
        return lambda pixels: head(net.compute_averages(extractor.predict(pixels)), training=False)


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


def _make_gather(cache: FeatureCache, entries: Sequence[feature_cache.Entry]) -> Callable[[Array], Array]:
    return lambda rows: cache.read([entries[int(row)] for row in rows])


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
