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
from ml.data.dataset import FEWEST, Dataset, Photo
from ml.data.split import Sides
from ml.evaluation import prototype_metrics
from ml.evaluation.prototype_metrics import Measured
from ml.training import feature_cache, network, pretrained, training_loop
from ml.training.feature_cache import Cache, Extractor
from ml.training.hardware import Hardware
from ml.training.network import Array, Network
from ml.training.training_loop import Epoch, Plan, Rows
from ml.training_run import Preprocessing
from orchestrator import canonical_json
from orchestrator.problems import Problems

REVISION = 2
"""Goes up when the same inputs would give another model: an older training is then not gone on with."""
FEW_AT_ONCE = 9
"""Pictures that a processor takes through the trunk at once: of 64 its caches run over, and all takes longer."""
HEAD_RATE, HEAD_PATIENCE = 1e-3, 6
FINE_RATE, FINE_PATIENCE = 3e-5, 2
Clock = Callable[[str], None]
"""Told the name of what was just finished."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a training is told; with the data set, all that its result depends on."""

    weights: str = pretrained.IMAGENET
    size: int = 224
    fewest: int = FEWEST
    views: int = 2
    epochs: int = 60
    fine_tune: int = 4
    batch: int = 64
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Trained:
    """What the stages made: how it learned, what it says of the held-out photos, and the seconds of each stage."""

    epochs: Sequence[Epoch]
    measured: Measured
    spent: Mapping[str, float]


@dataclass
class Training:
    """The stages in order: ``run``."""

    settings: Settings
    data: Dataset
    sides: Sides
    folder: Path
    runs: Path
    hardware: Hardware

    @cached_property
    def weights_hash(self) -> str:
        """Of the weights to begin with."""
        return pretrained.named(self.settings.weights)

    @cached_property
    def fingerprint(self) -> str:
        """Of all inputs; a training with the same one is gone on with."""
        told = asdict(self.settings) | {
            "weights": self.weights_hash, "data": self.data.hash, "mixed": self.hardware.mixed, "revision": REVISION,
        }  # fmt: skip
        return canonical_json.digest(told)

    @property
    def kept(self) -> Path:
        """Where an unfinished training keeps what it has."""
        return self.runs / ".training" / self.fingerprint[:16]

    @cached_property
    def contract(self) -> Preprocessing:
        """How photos are prepared."""
        return Preprocessing(self.sides.classes, self.settings.size)

    @cached_property
    def began(self) -> datetime:
        """When this training was first started; its version is made of that."""
        path = self.kept / "began.json"
        try:
            return datetime.fromisoformat(json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            now = datetime.now(UTC).replace(microsecond=0)
            atomic_files.write_whole(path, json.dumps(now.isoformat()).encode())
            return now

    @property
    def version(self) -> str:
        """The run's name."""
        return f"{self.began:%Y%m%d-%H%M%S}-{self.fingerprint[:4]}"

    @property
    def begins(self) -> str:
        """What is about to happen, for people."""
        sides, few = self.sides, self.sides.few_photos
        return (
            f"Training {self.version} on {self.hardware}: {len(sides.classes)} products, {len(sides.train)} photos to "
            f"learn from, {len(sides.validation)} to know when to stop, {len(sides.held_out)} held out"
            + (f"; {len(few)} products have few photos and get a prototype." if few else ".")
        )

    def run(self) -> Trained:
        """All stages.

        Raises Problems, OSError, and what TensorFlow raises.
        """
        spent: dict[str, float] = {}
        clock = _clock(spent)
        net = self._network()
        clock("start")
        at_once = self.settings.batch if self.hardware.gpus else FEW_AT_ONCE
        extractor = Extractor(net.trunk, self.folder, self.contract, self.settings.seed, at_once)
        cache = feature_cache.opened(self.runs, self._depends)
        extractor.fill(cache, self.sides.train, self.settings.views)
        extractor.fill(cache, (*self.sides.validation, *self.sides.others), 1)
        clock("features")
        epochs = self._learn(net, cache, clock)
        measured = self._measure(net, cache, extractor)
        cache.use(self._entries)
        clock("measuring")
        return Trained(epochs, measured, spent)

    @property
    def _entries(self) -> list[feature_cache.Entry]:
        """All features of this training."""
        others = feature_cache.entries((*self.sides.validation, *self.sides.others), 1)
        return feature_cache.entries(self.sides.train, self.settings.views) + others

    @property
    def _depends(self) -> Mapping[str, Any]:
        one = self.settings
        return {"weights": self.weights_hash, "size": one.size, "seed": one.seed, "cut": network.CUT,
                "contract": _without_classes(self.contract)}  # fmt: skip

    def _network(self) -> Network:
        import keras

        keras.utils.set_random_seed(self.settings.seed)
        rows = len(self.sides.train) * self.settings.views
        with self.hardware.strategy.scope():
            return network.build(
                self.settings.weights, self.settings.size, len(self.sides.classes),
                max(2, min(network.EMBEDDING, rows - 1)), self.hardware.mixed,
            )  # fmt: skip

    def _learn(self, net: Network, cache: Cache, clock: Clock) -> list[Epoch]:
        """The head on averages of all variations, then crown and head on what the trunk made of one an epoch."""
        one = self.settings
        learn = feature_cache.entries(self.sides.train, one.views)
        check = feature_cache.entries(self.sides.validation, 1)
        labels = np.repeat(self._labels(self.sides.train), one.views)
        sides = ((learn, labels), (check, self._labels(self.sides.validation)))
        net.freeze(crown=True)
        averages = [feature_cache.in_batches(net.average, cache, entries) for entries, _ in sides]
        clock("averages")
        network.start_head(net, averages[0], labels)
        head = Plan("head", one.epochs, HEAD_PATIENCE, HEAD_RATE, one.batch, one.seed)
        rows = [self._rows(part.__getitem__, truth) for part, (_, truth) in zip(averages, sides, strict=True)]
        done = self._stage(net.head, head, rows)
        clock("head")
        if one.fine_tune:
            best = min(one.validation_loss for one in done)
            fine = Plan("top blocks", one.fine_tune, FINE_PATIENCE, FINE_RATE, max(one.batch // 2, 1), one.seed, best)
            net.freeze(crown=False)
            rows = [self._rows(_taker(cache, entries), truth) for entries, truth in sides]
            done += self._stage(net.upper, fine, [replace(rows[0], views=one.views), rows[1]])
            clock("blocks")
        return done

    def _rows(self, gather: Callable[[Array], Array], labels: Array) -> Rows:
        return Rows(gather, labels, training_loop.balanced(labels, len(self.sides.classes)))

    def _stage(self, model: Any, plan: Plan, rows: Sequence[Rows]) -> list[Epoch]:
        kept = self.kept / f"{plan.name.replace(' ', '-')}.npz"
        with command_runner.progress(plan.name, plan.epochs) as advance:
            return training_loop.train(model, plan, rows[0], rows[1], kept, self.hardware, lambda _: advance())

    def _labels(self, photos: Sequence[Photo]) -> Array:
        return np.array([self.sides.classes.index(one.product) for one in photos], dtype=np.int64)

    def _measure(self, net: Network, cache: Cache, extractor: Extractor) -> Measured:
        """What the whole model says of held-out photos, and everybody's prototype."""
        final = network.finished(net, self.settings.size)
        known = (*self.sides.train, *self.sides.validation, *self.sides.others)
        embed = network.embedder(net)
        vectors = feature_cache.in_batches(
            lambda part: embed(net.average(part), training=False), cache, [(one.sha256, 0) for one in known]
        )
        answer = self._answers(net, extractor, final)
        told: list[list[Array]] = []
        with command_runner.progress("held-out photos", len(self.sides.held_out)) as advance:
            for pixels in extractor.pixels(self.sides.held_out, 1):
                told.append([np.asarray(one) for one in answer(pixels[:, 0])])
                for _ in range(len(pixels)):
                    advance()
        probabilities, seen = (np.concatenate(parts) for parts in zip(*told, strict=True))
        return prototype_metrics.measured(self.sides, known, vectors, probabilities, seen, final)

    def _answers(self, net: Network, extractor: Extractor, final: Any) -> Callable[[Any], Any]:
        """Probabilities and embeddings of a batch of bytes, as ``final`` gives them.

        Without halves its parts say the same, and were traced already.
        """
        if self.hardware.mixed:
            return network.compiled(prototype_metrics.with_embedding(final), "uint8")
        head = prototype_metrics.with_embedding(net.head)
        return lambda pixels: head(net.average(extractor.run(pixels)), training=False)


def look(data: Dataset, folder: Path) -> None:
    """Raises Problems: photos are not there, or not those that the data set says."""
    wrong = []
    with command_runner.progress("photos", len(data.photos)) as advance:
        for one in data.photos:
            try:
                if atomic_files.sha256(folder / one.path) != one.sha256:
                    wrong.append(f"{one.path} was changed")
            except OSError as error:
                wrong.append(f"{one.path}: {error.strerror}")
            advance()
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise Problems.one(
            f"{len(wrong)} of {len(data.photos)} photos in {folder} are not what {folder / 'dataset.json'} says: "
            f"{'; '.join(wrong[:5])}{more}. Nothing was trained.",
            hint="python -m ml.download_photos fetches what changed",
        )


def _taker(cache: Cache, entries: Sequence[feature_cache.Entry]) -> Callable[[Array], Array]:
    return lambda rows: cache.take([entries[int(row)] for row in rows])


def _clock(spent: dict[str, float]) -> Clock:
    """Writes down how long it took since the last call."""
    last = [time.perf_counter()]

    def lap(name: str) -> None:
        now = time.perf_counter()
        spent[name] = now - last[0]
        last[0] = now

    return lap


def _without_classes(contract: Preprocessing) -> Mapping[str, Any]:
    return {name: value for name, value in asdict(contract).items() if name != "classes"}
