"""Compute the trunk's features of photos once, and cache them on disk in ``.features/<key>/``.

The key covers everything the features depend on except the photos: weights, size, augmentation, seed.  An entry is a
photo's checksum and view number, so the next training computes only new photos.  Shards are written atomically, so an
interrupted run resumes after the last one.
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
from ml.atomic_files import create_atomic, write_atomic
from ml.data.dataset import Photo
from ml.training import augmentation
from ml.training.network import Array, compile_predictor
from ml.training_run import Preprocessing
from orchestrator import canonical_json
from orchestrator.problems import Problems

SHARD_ROWS = 256
"""Minimum rows of a shard, except the last."""
MIN_FREE_DISK_BYTES = 200_000_000
"""Disk space that must remain free."""
Entry = tuple[str, int]
"""Checksum of a photo and view number; view 0 is the original."""


@dataclass(slots=True)
class FeatureCache:
    """A feature cache; ``locations`` maps each entry to its shard and row."""

    folder: Path
    locations: dict[Entry, tuple[int, int]] = field(default_factory=dict)
    shards: list[Array] = field(default_factory=list)

    def load_shard(self, name: str) -> None:
        """Load a shard from the folder; ignore a corrupt one."""
        try:
            entries = [
                (str(checksum), int(view)) for checksum, view in json.loads((self.folder / f"{name}.json").read_bytes())
            ]
            features = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        except (OSError, ValueError, TypeError):
            return
        if len(entries) == len(features):
            self.locations |= {entry: (len(self.shards), row) for row, entry in enumerate(entries)}
            self.shards.append(features)

    def write_shard(self, entries: Sequence[Entry], features: Array) -> None:
        """Write a shard and load it.  Raises OSError."""
        name = canonical_json.digest([list(entry) for entry in entries])[:24]
        create_atomic(self.folder / f"{name}.npy", lambda temp_path: np.save(temp_path, features))
        write_atomic(self.folder / f"{name}.json", json.dumps(entries).encode())
        self.load_shard(name)

    def mark_used(self, entries: Iterable[Entry]) -> None:
        """Update the modification times of the entries' files, which ``ml.training.cleanup`` reads."""
        for shard in {self.locations[entry][0] for entry in entries}:
            features_path = Path(self.shards[shard].filename)  # type: ignore[attr-defined]
            for path in (features_path, features_path.with_suffix(".json")):
                with suppress(OSError):
                    os.utime(path)

    def read(self, entries: Sequence[Entry]) -> Array:
        """Return the features of ``entries``, in order, as float32."""
        positions = np.array([self.locations[entry] for entry in entries]).reshape(-1, 2)
        first_shard = self.shards[positions[0, 0]]
        features = np.empty((len(positions), *first_shard.shape[1:]), dtype=np.float32)
        for shard in np.unique(positions[:, 0]):
            selected = np.flatnonzero(positions[:, 0] == shard)
            features[selected] = self.shards[shard][positions[selected, 1]]
        return features


def open_cache(runs_folder: Path, inputs: Mapping[str, Any]) -> FeatureCache:
    """Open the cache for features that depend on ``inputs``."""
    key = canonical_json.digest({**inputs, "revision": augmentation.REVISION})[:16]
    cache = FeatureCache(runs_folder / ".features" / key)
    for path in sorted(cache.folder.glob("*.json")):
        cache.load_shard(path.stem)
    return cache


def list_entries(photos: Sequence[Photo], view_count: int) -> list[Entry]:
    """Return the entries of all views of photos."""
    return [(photo.sha256, view) for photo in photos for view in range(view_count)]


@dataclass(frozen=True)
class FeatureExtractor:
    """Computes features with the Keras model ``trunk``.

    ``batch_size``: images per call; large batches suit a GPU, small ones fit a processor's cache.
    """

    trunk: Any
    data_folder: Path
    contract: Preprocessing
    seed: int
    batch_size: int = 8
    shard_rows: int = SHARD_ROWS

    def fill(self, cache: FeatureCache, photos: Sequence[Photo], views: int) -> int:
        """Compute missing features for ``views`` views of each photo; return the number of photos computed.

        Raises Problems if a photo is unreadable or disk space is too low, and OSError; completed shards are kept.
        """
        missing = [
            photo for photo in photos if any((photo.sha256, view) not in cache.locations for view in range(views))
        ]
        if not missing:
            return 0
        row_bytes = int(np.prod(self.trunk.output.shape[1:])) * 2
        require_disk_space(cache.folder, len(missing) * views * row_bytes)
        pending: list[Array] = []
        done_count = shard_start = 0
        with command_runner.show_progress("features", len(missing)) as advance:
            for features in self._compute(missing, views):
                pending.append(features)
                done_count += len(features) // views
                for _ in range(len(features) // views):
                    advance()
                if (done_count - shard_start) * views >= self.shard_rows or done_count == len(missing):
                    cache.write_shard(list_entries(missing[shard_start:done_count], views), np.concatenate(pending))
                    pending, shard_start = [], done_count
        return len(missing)

    @cached_property
    def predict(self) -> Callable[[Any], Any]:
        """Return the trunk as a compiled function of a uint8 batch."""
        return compile_predictor(self.trunk, "uint8")

    def _compute(self, photos: Sequence[Photo], views: int) -> Iterator[Array]:
        import tensorflow as tf

        for pixels in self.iter_pixels(photos, views):
            yield np.asarray(self.predict(tf.reshape(pixels, (-1, *pixels.shape[2:]))), dtype=np.float16)

    def iter_pixels(self, photos: Sequence[Photo], views: int) -> Iterator[Any]:
        """Yield batches of (photos, views, size, size, 3), loaded and augmented in parallel.

        Raises Problems if a photo is unreadable, after yielding all batches before it.
        """
        import tensorflow as tf

        # Threads read ahead, so an error is stored until its batch is due.
        problems_by_index: dict[int, Problems] = {}
        shape = (views, self.contract.size, self.contract.size, 3)

        def read_views(index: Any) -> Any:
            try:
                photo = photos[int(index)]
                return augmentation.make_views(
                    self.data_folder / photo.path, self.contract, f"{self.seed}:{photo.sha256}", views
                )
            except Problems as problems:
                problems_by_index[int(index)] = problems
                return np.zeros(shape, dtype=np.uint8)

        def load_views(index: Any) -> Any:
            pixels = tf.numpy_function(read_views, [index], tf.uint8, stateful=False)
            return tf.ensure_shape(pixels, shape)

        stream = tf.data.Dataset.range(len(photos)).map(load_views, num_parallel_calls=tf.data.AUTOTUNE)
        loaded_count = 0
        for batch in stream.batch(max(1, self.batch_size // views)).prefetch(2):
            loaded_count += len(batch)
            first = min(tuple(problems_by_index), default=loaded_count)
            if first < loaded_count:
                raise problems_by_index[first]
            yield batch


def predict_in_batches(
    predict: Callable[[Array], Any], cache: FeatureCache, entries: Sequence[Entry], batch_size: int = 128
) -> Array:
    """Call ``predict`` on cached entries in batches; return all results."""
    parts = [np.asarray(predict(cache.read(entries[start : start + batch_size])), dtype=np.float32)
             for start in range(0, len(entries), batch_size)]  # fmt: skip
    return np.concatenate(parts)


def require_disk_space(folder: Path, needed_bytes: int) -> None:
    """Raises Problems if fewer than ``needed_bytes`` plus a reserve are free on the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    free_bytes = 0
    with suppress(OSError):
        free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes + MIN_FREE_DISK_BYTES:
        raise Problems.from_message(
            f"not enough disk space in {folder}: features need {needed_bytes / 1e6:.0f} MB plus "
            f"{MIN_FREE_DISK_BYTES / 1e6:.0f} MB reserve, but only {free_bytes / 1e6:.0f} MB are free",
            hint="free some disk space or choose another disk with --runs FOLDER, then run the command again",
        )
