"""One training, stage by stage.  What a stage made is kept in ``.training/<fingerprint>/`` until the run is whole."""

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
"""Goes up when the same inputs would give another model: an older training is then not gone on with."""
CPU_BATCH_SIZE = 9
"""Pictures that a processor takes through the trunk at once: of 64 its caches run over, and all takes longer."""
HEAD_LEARNING_RATE, HEAD_PATIENCE = 1e-3, 6
FINE_TUNING_LEARNING_RATE, FINE_TUNING_PATIENCE = 3e-5, 2
StageCallback = Callable[[str], None]
"""Told the name of what was just finished."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a training is told; with the data set, all that its result depends on."""

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
    """What the stages made: how it learned, what it says of the held-out photos, and the seconds of each stage."""

    epochs: Sequence[EpochMetrics]
    evaluation: Evaluation
    stage_seconds: Mapping[str, float]


@dataclass
class Trainer:
    """The stages in order: ``run``."""

    settings: Settings
    data: Dataset
    splits: DatasetSplits
    data_folder: Path
    runs_folder: Path
    hardware: Hardware

    @cached_property
    def weights_hash(self) -> str:
        """Of the weights to begin with."""
        return pretrained.fingerprint(self.settings.weights)

    @cached_property
    def fingerprint(self) -> str:
        """Of all inputs; a training with the same one is gone on with."""
        inputs = asdict(self.settings) | {
            "weights": self.weights_hash,
            "data": self.data.hash,
            "mixed": self.hardware.mixed_precision,
            "revision": REVISION,
        }
        return canonical_json.digest(inputs)

    @property
    def checkpoint_folder(self) -> Path:
        """Where an unfinished training keeps what it has."""
        return self.runs_folder / ".training" / self.fingerprint[:16]

    @cached_property
    def contract(self) -> Preprocessing:
        """How photos are prepared."""
        return Preprocessing(self.splits.classes, self.settings.size)

    @cached_property
    def started_at(self) -> datetime:
        """When this training was first started; its version is made of that."""
        path = self.checkpoint_folder / "began.json"
        try:
            return datetime.fromisoformat(json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            now = datetime.now(UTC).replace(microsecond=0)
            atomic_files.write_atomic(path, json.dumps(now.isoformat()).encode())
            return now

    @property
    def version(self) -> str:
        """The run's name."""
        return f"{self.started_at:%Y%m%d-%H%M%S}-{self.fingerprint[:4]}"

    @property
    def start_message(self) -> str:
        """What is about to happen, for people."""
        splits, sparse_products = self.splits, self.splits.sparse_products
        return (
            f"Training {self.version} on {self.hardware}: {len(splits.classes)} products, {len(splits.train)} photos "
            f"to learn from, {len(splits.validation)} to know when to stop, {len(splits.held_out)} held out"
            + (f"; {len(sparse_products)} products have few photos and get a prototype." if sparse_products else ".")
        )

    def run(self) -> TrainingResult:
        """All stages.

        Raises Problems, OSError, and what TensorFlow raises.
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
        """All features of this training."""
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
        """The head on averages of all variations, then crown and head on what the trunk made of one an epoch."""
        one = self.settings
        train_entries = feature_cache.list_entries(self.splits.train, one.views)
        validation_entries = feature_cache.list_entries(self.splits.validation, 1)
        labels = np.repeat(self._encode_labels(self.splits.train), one.views)
        labelled_entries = ((train_entries, labels), (validation_entries, self._encode_labels(self.splits.validation)))
        net.freeze(top_blocks=True)
        averages = [
            feature_cache.predict_in_batches(net.compute_averages, cache, entries) for entries, _ in labelled_entries
        ]
        on_stage("averages")
        network.initialise_head(net, averages[0], labels)
        head_config = StageConfig("head", one.epochs, HEAD_PATIENCE, HEAD_LEARNING_RATE, one.batch, one.seed)
        rows = [
            self._make_rows(inputs.__getitem__, targets)
            for inputs, (_, targets) in zip(averages, labelled_entries, strict=True)
        ]
        epochs = self._run_stage(net.head, head_config, rows)
        on_stage("head")
        if one.fine_tune:
            best_loss = min(one.validation_loss for one in epochs)
            fine_tuning_config = StageConfig(
                "top blocks",
                one.fine_tune,
                FINE_TUNING_PATIENCE,
                FINE_TUNING_LEARNING_RATE,
                max(one.batch // 2, 1),
                one.seed,
                best_loss,
            )
            net.freeze(top_blocks=False)
            rows = [self._make_rows(_make_gather(cache, entries), targets) for entries, targets in labelled_entries]
            epochs += self._run_stage(net.top_model, fine_tuning_config, [replace(rows[0], views=one.views), rows[1]])
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
        """What the whole model says of held-out photos, and everybody's prototype."""
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
        """Probabilities and embeddings of a batch of bytes, as ``final`` gives them.

        Without halves its parts say the same, and were traced already.
        """
        if self.hardware.mixed_precision:
            return network.compile_predictor(prototype_metrics.add_embedding_output(final_model), "uint8")
        head = prototype_metrics.add_embedding_output(net.head)
        return lambda pixels: head(net.compute_averages(extractor.predict(pixels)), training=False)


def verify_photos(dataset: Dataset, data_folder: Path) -> None:
    """Raises Problems: photos are not there, or not those that the data set says."""
    changed = []
    with command_runner.show_progress("photos", len(dataset.photos)) as advance:
        for photo in dataset.photos:
            try:
                if atomic_files.sha256(data_folder / photo.path) != photo.sha256:
                    changed.append(f"{photo.path} was changed")
            except OSError as error:
                changed.append(f"{photo.path}: {error.strerror}")
            advance()
    if changed:
        more_text = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise Problems.from_message(
            f"{len(changed)} of {len(dataset.photos)} photos in {data_folder} are not what "
            f"{data_folder / 'dataset.json'} says: "
            f"{'; '.join(changed[:5])}{more_text}. Nothing was trained.",
            hint="python -m ml.download_photos fetches what changed",
        )


def _make_gather(cache: FeatureCache, entries: Sequence[feature_cache.Entry]) -> Callable[[Array], Array]:
    return lambda rows: cache.read([entries[int(row)] for row in rows])


def _make_stage_timer(stage_seconds: dict[str, float]) -> StageCallback:
    """Writes down how long it took since the last call."""
    last_time = [time.perf_counter()]

    def lap(name: str) -> None:
        now = time.perf_counter()
        stage_seconds[name] = now - last_time[0]
        last_time[0] = now

    return lap


def _without_classes(contract: Preprocessing) -> Mapping[str, Any]:
    return {name: value for name, value in asdict(contract).items() if name != "classes"}
