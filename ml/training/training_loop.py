"""Train a model for some epochs, with resumable checkpoints.

A checkpoint holds everything the next epoch depends on (all variables, including the optimizer's, and the epoch
number), so an interrupted training ends with the same result as an uninterrupted one.
"""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable, Sequence
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
Loss = Callable[[Any, Any], Any]
"""Returns the losses of labels and outputs."""


@dataclass(frozen=True, slots=True)
class StageConfig:
    """How to train a stage: ``learning_rate`` decays as a cosine over ``epochs``."""

    name: str
    epochs: int
    learning_rate: float
    batch_size: int = 32
    seed: int = 0
    checkpoint_interval_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """Loss and accuracy of one epoch, on what it learned from."""

    stage: str
    loss: float
    accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Inputs by row, with labels and sample weights."""

    gather: Gather
    labels: Array
    sample_weights: Array

    def shuffle(self, seed: int, epoch_number: int) -> Array:
        """Return the rows of epoch ``epoch_number``, shuffled."""
        return np.random.default_rng((seed, epoch_number)).permutation(len(self.labels))


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """A model that is ready to train, several times: ``fresh_optimizer`` are the optimizer's values before it is."""

    model: Any
    fresh_optimizer: Sequence[Array]

    @property
    def variables(self) -> list[Any]:
        """Return all variables that an epoch may change."""
        return [*self.model.variables, *self.model.optimizer.variables]


@dataclass(slots=True)
class Checkpoint:
    """The progress of a stage: its epochs, and all variables after the last one."""

    epochs: list[EpochMetrics] = field(default_factory=list)
    variables: list[Array] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write the checkpoint atomically.  Raises OSError."""
        stream = io.BytesIO()
        arrays = {f"state{index}": item for index, item in enumerate(self.variables)}
        history = json.dumps([asdict(item) for item in self.epochs])
        np.savez(stream, allow_pickle=False, epochs=np.array(history), **arrays)
        write_atomic(path, stream.getvalue())

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a checkpoint; return an empty one if it is missing or corrupt."""
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                history = [EpochMetrics(**item) for item in json.loads(str(archive["epochs"]))]
                count = sum(key.startswith("state") for key in archive.files)
                return cls(history, [archive[f"state{index}"] for index in range(count)])
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
            return cls()


def compile_model(model: Any, loss: Loss | str, hardware: Hardware, seed: int = 0) -> CompiledModel:
    """Compile the trainable layers of a model for training."""
    import keras

    keras.utils.set_random_seed(seed)
    with hardware.strategy.scope():
        model.compile(optimizer=keras.optimizers.Adam(), loss=loss, weighted_metrics=["accuracy"], jit_compile=False)
        model.optimizer.build(model.trainable_variables)
    return CompiledModel(model, [np.asarray(variable) for variable in model.optimizer.variables])


def train(
    compiled: CompiledModel,
    config: StageConfig,
    rows: TrainingRows,
    checkpoint_path: Path,
    on_epoch: Callable[[EpochMetrics], None],
) -> list[EpochMetrics]:
    """Train the model from its current weights.  Resumes from ``checkpoint_path``.

    Raises OSError, and errors of TensorFlow.
    """
    import keras

    keras.utils.set_random_seed(config.seed)
    checkpoint = Checkpoint.load(checkpoint_path)
    variables = compiled.variables
    if checkpoint.epochs and len(checkpoint.variables) == len(variables):
        _assign(variables, checkpoint.variables)
    else:
        checkpoint = Checkpoint()
        _assign(compiled.model.optimizer.variables, compiled.fresh_optimizer)
    saved_at = time.monotonic()
    for epoch_number in range(len(checkpoint.epochs), config.epochs):
        progress = epoch_number / config.epochs
        compiled.model.optimizer.learning_rate = config.learning_rate * (1 + math.cos(math.pi * progress)) / 2
        epoch = _run_epoch(compiled.model, config, epoch_number, rows)
        checkpoint.epochs.append(epoch)
        is_last = epoch_number + 1 == config.epochs
        if is_last or time.monotonic() - saved_at > config.checkpoint_interval_seconds:
            checkpoint.variables = [np.asarray(tensor) for tensor in variables]
            checkpoint.save(checkpoint_path)
            saved_at = time.monotonic()
        on_epoch(epoch)
    return checkpoint.epochs


def _assign(variables: Sequence[Any], values: Sequence[Array]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _run_epoch(model: Any, config: StageConfig, epoch_number: int, rows: TrainingRows) -> EpochMetrics:
    started = time.perf_counter()
    order = rows.shuffle(config.seed, epoch_number)
    history = model.fit(
        _make_batches(rows, order, config.batch_size),
        epochs=1,
        steps_per_epoch=math.ceil(len(order) / config.batch_size),
        verbose=0,
        shuffle=False,
    ).history
    return EpochMetrics(
        config.name, float(history["loss"][-1]), float(history["accuracy"][-1]), time.perf_counter() - started
    )


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
