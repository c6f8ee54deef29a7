"""Training, an epoch at a time: stops when validation says so, keeps the best, and goes on after an interruption.

Everything an epoch depends on (all variables, the optimizer's as well, and the epoch's number) is kept after it, so a
training that was interrupted ends as if it had not been.
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

from ml.atomic_files import write_whole
from ml.training.hardware import Hardware
from ml.training.network import Array

Gather = Callable[[Array], Array]
"""The inputs of some rows."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train: ``rate`` falls as a cosine over ``epochs``; ``patience``: epochs without a better validation.

    ``beat``: the validation loss that there was before; weights that are not better than that are not kept.
    ``keep_every``: seconds between two checkpoints.
    """

    name: str
    epochs: int
    patience: int
    rate: float
    batch: int = 64
    seed: int = 0
    beat: float = math.inf
    keep_every: float = 5.0


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch brought."""

    stage: str
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Rows:
    """Inputs by row with their labels; ``weights``: how much each row counts.

    ``views``: rows that lie together and show the same; an epoch takes one of them, the next epoch the next one.
    """

    gather: Gather
    labels: Array
    weights: Array
    views: int = 1

    @property
    def each_epoch(self) -> int:
        """Rows of one epoch."""
        return len(self.labels) // self.views

    def order(self, seed: int, number: int) -> Array:
        """The rows of epoch ``number``, shuffled."""
        shows = np.random.default_rng((seed, number)).permutation(self.each_epoch)
        return shows * self.views + (shows + number) % self.views


@dataclass(slots=True)
class Progress:
    """Where a stage is: ``best`` are the weights of its best epoch, ``state`` all variables after the last one."""

    epochs: list[Epoch] = field(default_factory=list)
    best: list[Array] = field(default_factory=list)
    state: list[Array] = field(default_factory=list)

    def best_loss(self, beat: float) -> float:
        """The lowest validation loss so far, ``beat`` before the first epoch."""
        return min([beat, *(one.validation_loss for one in self.epochs)])

    def since_best(self, beat: float) -> int:
        """Epochs since then."""
        losses = [beat, *(one.validation_loss for one in self.epochs)]
        return len(losses) - 1 - losses.index(min(losses))

    def save(self, path: Path) -> None:
        """Keep it, whole.  Raises OSError."""
        stream = io.BytesIO()
        arrays = {f"best{index}": one for index, one in enumerate(self.best)}
        arrays |= {f"state{index}": one for index, one in enumerate(self.state)}
        told = json.dumps([asdict(one) for one in self.epochs])
        np.savez(stream, allow_pickle=False, epochs=np.array(told), **arrays)
        write_whole(path, stream.getvalue())

    @classmethod
    def load(cls, path: Path) -> Progress:
        """What was kept; a new beginning where nothing was, or it cannot be read."""
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as found:
                told = [Epoch(**one) for one in json.loads(str(found["epochs"]))]
                return cls(told, _numbered(found, "best"), _numbered(found, "state"))
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
            return cls()


def _numbered(found: Any, name: str) -> list[Array]:
    count = sum(key.startswith(name) for key in found.files)
    return [found[f"{name}{index}"] for index in range(count)]


def train(
    model: Any, plan: Plan, learn: Rows, check: Rows, kept: Path, hardware: Hardware, tell: Callable[[Epoch], None]
) -> list[Epoch]:
    """Train what is trainable of ``model``; it ends with the weights of the best epoch.

    Raises OSError, and what TensorFlow raises.
    """
    progress = Progress.load(kept)
    steps = math.ceil(learn.each_epoch / plan.batch)
    variables = _prepared(model, plan, hardware)
    if not progress.epochs:
        progress.best = [np.asarray(one) for one in model.weights]
    elif len(progress.state) == len(variables):
        for variable, value in zip(variables, progress.state, strict=True):
            variable.assign(value)
    saved = time.monotonic()
    for number in range(len(progress.epochs), plan.epochs):
        if progress.since_best(plan.beat) >= plan.patience:
            break
        model.optimizer.learning_rate = plan.rate * (0.05 + 0.95 * (1 + math.cos(math.pi * number / plan.epochs)) / 2)
        done = _epoch(model, plan, number, learn, check, steps)
        is_best = done.validation_loss < progress.best_loss(plan.beat)
        progress.epochs.append(done)
        progress.best = [np.asarray(one) for one in model.weights] if is_best else progress.best
        tell(done)
        if time.monotonic() - saved > plan.keep_every:
            progress.state = [np.asarray(one) for one in variables]
            progress.save(kept)
            saved = time.monotonic()
    model.set_weights(progress.best)
    progress.state = [np.asarray(one) for one in variables]
    progress.save(kept)
    return progress.epochs


def _prepared(model: Any, plan: Plan, hardware: Hardware) -> list[Any]:
    """Compile for this stage; every variable that an epoch may change."""
    import keras

    keras.utils.set_random_seed(plan.seed)
    with hardware.strategy.scope():
        model.compile(
            optimizer=keras.optimizers.Adam(plan.rate),
            loss="sparse_categorical_crossentropy",
            weighted_metrics=["accuracy"],
            jit_compile=False,
        )
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def _epoch(model: Any, plan: Plan, number: int, learn: Rows, check: Rows, steps: int) -> Epoch:
    began = time.perf_counter()
    order = learn.order(plan.seed, number)
    told = model.fit(
        _stream(learn, order, plan.batch), epochs=1, steps_per_epoch=steps, verbose=0, shuffle=False
    ).history
    seen = model.evaluate(_stream(check, np.arange(len(check.labels)), plan.batch), verbose=0, return_dict=True)
    return Epoch(
        plan.name, float(told["loss"][-1]), float(told["accuracy"][-1]), float(seen["loss"]),
        float(seen["accuracy"]), time.perf_counter() - began,
    )  # fmt: skip


def _stream(rows: Rows, order: Array, batch: int) -> Any:
    """Rows in an order, in batches, as tf.data."""
    import tensorflow as tf

    shape = rows.gather(order[:1]).shape[1:]

    def take(indices: Any) -> Any:
        inputs = tf.numpy_function(rows.gather, [indices], tf.float32, stateful=False)
        return (
            tf.ensure_shape(inputs, (None, *shape)),
            tf.gather(tf.constant(rows.labels), indices),
            tf.gather(tf.constant(rows.weights), indices),
        )

    return tf.data.Dataset.from_tensor_slices(order).batch(batch).map(take, num_parallel_calls=2).prefetch(2)


def balanced(labels: Array, classes: int) -> Array:
    """A weight for each row, so that every class counts the same; never more than ten times as much as another."""
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    weights = np.minimum(len(labels) / (classes * np.maximum(counts, 1)), 10.0)
    return np.asarray(weights[labels], dtype=np.float32)
