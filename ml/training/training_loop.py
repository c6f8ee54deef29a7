"""Train a model with early stopping, best weights and resumable checkpoints.

A checkpoint holds everything the next epoch depends on (all variables, including the optimizer's, and the epoch
number), so an interrupted training ends with the same result as an uninterrupted one.
"""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ml.atomic_files import write_atomic
from ml.training.hardware import Hardware
from ml.training.network import Array

Gather = Callable[[Array], Array]
"""Returns the inputs of the given rows."""


@dataclass(frozen=True, slots=True)
class StageConfig:
    """How to train a stage: ``learning_rate`` decays as a cosine; ``patience``: epochs without improvement.

    ``baseline_loss``: validation loss before the stage; weights must beat it to be kept.
    """

    name: str
    max_epochs: int
    patience: int
    learning_rate: float
    batch_size: int = 64
    seed: int = 0
    baseline_loss: float = math.inf
    checkpoint_interval_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """Loss and accuracy after one epoch."""

    stage: str
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Inputs by row, with labels and sample weights.

    ``views``: number of adjacent rows that show the same photo; each epoch uses one of them, in turn.
    """

    gather: Gather
    labels: Array
    sample_weights: Array
    views: int = 1

    @property
    def rows_per_epoch(self) -> int:
        """Return the number of rows in one epoch."""
        return len(self.labels) // self.views

    def shuffle(self, seed: int, epoch_number: int) -> Array:
        """Return the rows of epoch ``epoch_number``, shuffled."""
        groups = np.random.default_rng((seed, epoch_number)).permutation(self.rows_per_epoch)
        return groups * self.views + (groups + epoch_number) % self.views


@dataclass(slots=True)
class Checkpoint:
    """The progress of a stage: the weights of the best epoch, and all variables after the last one."""

    epochs: list[EpochMetrics] = field(default_factory=list)
    best_weights: list[Array] = field(default_factory=list)
    variables: list[Array] = field(default_factory=list)

    def best_loss(self, baseline_loss: float) -> float:
        """Return the lowest validation loss so far, at most ``baseline_loss``."""
        return min([baseline_loss, *(epoch.validation_loss for epoch in self.epochs)])

    def epochs_since_best(self, baseline_loss: float) -> int:
        """Return the number of epochs since the lowest validation loss."""
        losses = [baseline_loss, *(epoch.validation_loss for epoch in self.epochs)]
        return len(losses) - 1 - losses.index(min(losses))

    def save(self, path: Path) -> None:
        """Write the checkpoint atomically.  Raises OSError."""
        stream = io.BytesIO()
        arrays = {f"best{index}": item for index, item in enumerate(self.best_weights)}
        arrays |= {f"state{index}": item for index, item in enumerate(self.variables)}
        history = json.dumps([asdict(item) for item in self.epochs])
        np.savez(stream, allow_pickle=False, epochs=np.array(history), **arrays)
        write_atomic(path, stream.getvalue())

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a checkpoint; return an empty one if it is missing or corrupt."""
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                history = [EpochMetrics(**item) for item in json.loads(str(archive["epochs"]))]
                return cls(history, _read_numbered(archive, "best"), _read_numbered(archive, "state"))
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
            return cls()


def _read_numbered(archive: Any, name: str) -> list[Array]:
    count = sum(key.startswith(name) for key in archive.files)
    return [archive[f"{name}{index}"] for index in range(count)]


def train(
    model: Any,
    config: StageConfig,
    train_rows: TrainingRows,
    validation_rows: TrainingRows,
    checkpoint_path: Path,
    hardware: Hardware,
    on_epoch: Callable[[EpochMetrics], None],
) -> list[EpochMetrics]:
    """Train the trainable layers of ``model``, and leave it with the weights of the best epoch.

    Resumes from ``checkpoint_path``.  Raises OSError, and errors of TensorFlow.
    """
    checkpoint = Checkpoint.load(checkpoint_path)
    steps = math.ceil(train_rows.rows_per_epoch / config.batch_size)
    variables = _compile(model, config, hardware)
    if not checkpoint.epochs:
        checkpoint.best_weights = [np.asarray(tensor) for tensor in model.weights]
    elif len(checkpoint.variables) == len(variables):
        for variable, value in zip(variables, checkpoint.variables, strict=True):
            variable.assign(value)
    saved_at = time.monotonic()
    for epoch_number in range(len(checkpoint.epochs), config.max_epochs):
        if checkpoint.epochs_since_best(config.baseline_loss) >= config.patience:
            break
        model.optimizer.learning_rate = config.learning_rate * (
            0.05 + 0.95 * (1 + math.cos(math.pi * epoch_number / config.max_epochs)) / 2
        )
        epoch = _run_epoch(model, config, epoch_number, train_rows, validation_rows, steps)
        is_best = epoch.validation_loss < checkpoint.best_loss(config.baseline_loss)
        checkpoint.epochs.append(epoch)
        checkpoint.best_weights = (
            [np.asarray(tensor) for tensor in model.weights] if is_best else checkpoint.best_weights
        )
        on_epoch(epoch)
        if time.monotonic() - saved_at > config.checkpoint_interval_seconds:
            checkpoint.variables = [np.asarray(tensor) for tensor in variables]
            checkpoint.save(checkpoint_path)
            saved_at = time.monotonic()
    model.set_weights(checkpoint.best_weights)
    checkpoint.variables = [np.asarray(tensor) for tensor in variables]
    checkpoint.save(checkpoint_path)
    return checkpoint.epochs


def _compile(model: Any, config: StageConfig, hardware: Hardware) -> list[Any]:
    """Compile the model for a stage; return all variables that an epoch may change."""
    import keras

    keras.utils.set_random_seed(config.seed)
    with hardware.strategy.scope():
        model.compile(
            optimizer=keras.optimizers.Adam(config.learning_rate),
            loss="sparse_categorical_crossentropy",
            weighted_metrics=["accuracy"],
            jit_compile=False,
        )
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def _run_epoch(
    model: Any,
    config: StageConfig,
    epoch_number: int,
    train_rows: TrainingRows,
    validation_rows: TrainingRows,
    steps: int,
) -> EpochMetrics:
    started = time.perf_counter()
    order = train_rows.shuffle(config.seed, epoch_number)
    history = model.fit(
        _make_batches(train_rows, order, config.batch_size), epochs=1, steps_per_epoch=steps, verbose=0, shuffle=False
    ).history
    validation = model.evaluate(
        _make_batches(validation_rows, np.arange(len(validation_rows.labels)), config.batch_size),
        verbose=0,
        return_dict=True,
    )
    return EpochMetrics(
        config.name, float(history["loss"][-1]), float(history["accuracy"][-1]), float(validation["loss"]),
        float(validation["accuracy"]), time.perf_counter() - started,
    )  # fmt: skip


def _make_batches(rows: TrainingRows, order: Array, batch_size: int) -> Any:
    """Return batches of rows, in ``order``, as a tf.data dataset."""
    import tensorflow as tf

    shape = rows.gather(order[:1]).shape[1:]

    def gather_batch(indices: Any) -> Any:
        inputs = tf.numpy_function(rows.gather, [indices], tf.float32, stateful=False)
        return (
            tf.ensure_shape(inputs, (None, *shape)),
            tf.gather(tf.constant(rows.labels), indices),
            tf.gather(tf.constant(rows.sample_weights), indices),
        )

    return (
        tf.data.Dataset.from_tensor_slices(order).batch(batch_size).map(gather_batch, num_parallel_calls=2).prefetch(2)
    )


def compute_sample_weights(labels: Array, class_count: int) -> Array:
    """Return a weight per row that balances the classes, capped at ten."""
    counts = np.bincount(labels, minlength=class_count).astype(np.float64)
    weights = np.minimum(len(labels) / (class_count * np.maximum(counts, 1)), 10.0)
    return np.asarray(weights[labels], dtype=np.float32)
