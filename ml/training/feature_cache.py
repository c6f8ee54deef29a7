"""What the trunk makes of photos, computed once and kept on disk: ``.features/<key>/``.

The key is of everything that the numbers depend on but the photos: weights, size, variations, seed.  An entry is of one
photo's checksum and one of its variations, so the next training computes those of new photos alone.  A shard is whole
or not there: an interrupted run goes on after the last one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ml import command_runner
from ml.atomic_files import make_whole, write_whole
from ml.data.dataset import Photo
from ml.training import augmentation
from ml.training.network import Array, compiled
from ml.training_run import Preprocessing
from orchestrator import canonical_json
from orchestrator.problems import Problems

SHARD = 256
"""Rows of a shard, or a few more."""
SPARE = 200_000_000
"""Bytes that are left free on the disk."""
Entry = tuple[str, int]
"""Checksum of a photo, number of the variation; 0 is the photo as it is."""


@dataclass(slots=True)
class Cache:
    """The entries that are there: for each its shard and row."""

    folder: Path
    rows: dict[Entry, tuple[int, int]] = field(default_factory=dict)
    shards: list[Array] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Take up a shard that lies in the folder; one that is not whole is passed over."""
        try:
            entries = [(str(sums), int(view)) for sums, view in json.loads((self.folder / f"{name}.json").read_bytes())]
            numbers = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        except (OSError, ValueError, TypeError):
            return
        if len(entries) == len(numbers):
            self.rows |= {entry: (len(self.shards), row) for row, entry in enumerate(entries)}
            self.shards.append(numbers)

    def put(self, entries: Sequence[Entry], numbers: Array) -> None:
        """Keep a shard.  Raises OSError."""
        name = canonical_json.digest([list(one) for one in entries])[:24]
        make_whole(self.folder / f"{name}.npy", lambda part: np.save(part, numbers))
        write_whole(self.folder / f"{name}.json", json.dumps(entries).encode())
        self.add(name)

    def use(self, entries: Iterable[Entry]) -> None:
        """Let the files of entries tell that they were used now (``ml.training.cleanup``)."""
        for shard in {self.rows[one][0] for one in entries}:
            numbers = Path(self.shards[shard].filename)  # type: ignore[attr-defined]
            for path in (numbers, numbers.with_suffix(".json")):
                with suppress(OSError):
                    os.utime(path)

    def take(self, entries: Sequence[Entry]) -> Array:
        """The features of entries, in their order, as float32."""
        places = np.array([self.rows[one] for one in entries]).reshape(-1, 2)
        first = self.shards[places[0, 0]]
        made = np.empty((len(places), *first.shape[1:]), dtype=np.float32)
        for shard in np.unique(places[:, 0]):
            mine = np.flatnonzero(places[:, 0] == shard)
            made[mine] = self.shards[shard][places[mine, 1]]
        return made


def opened(runs: Path, what: Mapping[str, Any]) -> Cache:
    """The cache of features that depend on ``what``."""
    key = canonical_json.digest({**what, "revision": augmentation.REVISION})[:16]
    cache = Cache(runs / ".features" / key)
    for path in sorted(cache.folder.glob("*.json")):
        cache.add(path.stem)
    return cache


def entries(photos: Sequence[Photo], views: int) -> list[Entry]:
    """All variations of photos."""
    return [(one.sha256, view) for one in photos for view in range(views)]


@dataclass(frozen=True)
class Extractor:
    """Makes features: ``trunk`` is a Keras model, ``data`` the folder of the photos.

    ``batch``: pictures at once; a GPU wants many, a processor's cache holds few.
    """

    trunk: Any
    data: Path
    contract: Preprocessing
    seed: int
    batch: int = 8
    shard: int = SHARD

    def fill(self, cache: Cache, photos: Sequence[Photo], views: int) -> int:
        """Compute what the cache lacks of ``views`` variations of photos; how many photos that were.

        Raises Problems: a photo cannot be read, or the disk is too full; shards before it are kept.  Raises OSError.
        """
        missing = [one for one in photos if any((one.sha256, view) not in cache.rows for view in range(views))]
        if not missing:
            return 0
        row = int(np.prod(self.trunk.output.shape[1:])) * 2
        enough_room(cache.folder, len(missing) * views * row)
        kept: list[Array] = []
        done = begun = 0
        with command_runner.progress("features", len(missing)) as advance:
            for numbers in self._computed(missing, views):
                kept.append(numbers)
                done += len(numbers) // views
                for _ in range(len(numbers) // views):
                    advance()
                if (done - begun) * views >= self.shard or done == len(missing):
                    cache.put(entries(missing[begun:done], views), np.concatenate(kept))
                    kept, begun = [], done
        return len(missing)

    @cached_property
    def run(self) -> Callable[[Any], Any]:
        """The trunk, asked about a batch of bytes."""
        return compiled(self.trunk, "uint8")

    def _computed(self, photos: Sequence[Photo], views: int) -> Iterator[Array]:
        import tensorflow as tf

        for pixels in self.pixels(photos, views):
            yield np.asarray(self.run(tf.reshape(pixels, (-1, *pixels.shape[2:]))), dtype=np.float16)

    def pixels(self, photos: Sequence[Photo], views: int) -> Iterator[Any]:
        """Batches of (photos, views, size, size, 3), read and varied by as many threads as are good.

        Raises Problems: a photo cannot be read; all batches before its own have come.
        """
        import tensorflow as tf

        # Threads read ahead of the batch that is asked for: what went wrong waits for its turn.
        troubles: dict[int, Problems] = {}
        shape = (views, self.contract.size, self.contract.size, 3)

        def read(index: Any) -> Any:
            try:
                one = photos[int(index)]
                return augmentation.views(self.data / one.path, self.contract, f"{self.seed}:{one.sha256}", views)
            except Problems as problems:
                troubles[int(index)] = problems
                return np.zeros(shape, dtype=np.uint8)

        def shaped(index: Any) -> Any:
            made = tf.numpy_function(read, [index], tf.uint8, stateful=False)
            return tf.ensure_shape(made, shape)

        stream = tf.data.Dataset.range(len(photos)).map(shaped, num_parallel_calls=tf.data.AUTOTUNE)
        done = 0
        for batch in stream.batch(max(1, self.batch // views)).prefetch(2):
            done += len(batch)
            first = min(tuple(troubles), default=done)
            if first < done:
                raise troubles[first]
            yield batch


def in_batches(ask: Callable[[Array], Any], cache: Cache, wanted: Sequence[Entry], batch: int = 128) -> Array:
    """What a model says of cached entries."""
    parts = [np.asarray(ask(cache.take(wanted[at : at + batch])), dtype=np.float32)
             for at in range(0, len(wanted), batch)]  # fmt: skip
    return np.concatenate(parts)


def enough_room(folder: Path, needed: int) -> None:
    """Raises Problems: the disk has not ``needed`` bytes to spare."""
    folder.mkdir(parents=True, exist_ok=True)
    free = 0
    with suppress(OSError):
        free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        raise Problems.one(
            f"the disk is too full: features need {needed / 1e6:.0f} MB in {folder}, {free / 1e6:.0f} MB are free and "
            f"{SPARE / 1e6:.0f} MB have to stay so",
            hint="make room, or keep the trainings on another disk by --runs FOLDER, then run it again",
        )
