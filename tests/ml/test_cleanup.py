"""What no training has used for long goes; what one used, and what the shop can go back to, stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from ml.training import cleanup, feature_cache

ENTRIES = [("a" * 64, 0), ("b" * 64, 0)]


def aged(runs: Path, days: float) -> None:
    """Let everything that lies there be of so many days ago."""
    then = time.time() - days * cleanup.DAY_SECONDS
    for path in runs.rglob("*"):
        os.utime(path, (then, then))


def test_features_that_are_used_stay(tmp_path: Path) -> None:
    """Those of a product that was given up go, shard by shard, and those of other settings with their folder."""
    kept, other = feature_cache.open_cache(tmp_path, {"size": 96}), feature_cache.open_cache(tmp_path, {"size": 224})
    for entry in ENTRIES:
        kept.write_shard([entry], np.ones((1, 4), dtype=np.float16))
    other.write_shard(ENTRIES, np.ones((2, 4), dtype=np.float16))
    aged(tmp_path, cleanup.MAX_UNUSED_DAYS + 1)
    kept.mark_used(ENTRIES[:1])
    held = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    freed = cleanup.prune(tmp_path)

    assert feature_cache.open_cache(tmp_path, {"size": 96}).locations.keys() == {ENTRIES[0]}
    assert [path.name for path in (tmp_path / ".features").iterdir()] == [kept.folder.name]
    assert freed == held - sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert cleanup.prune(tmp_path) == 0


def test_what_was_begun_and_forgotten_goes(tmp_path: Path) -> None:
    """Checkpoints, half runs and torn files; finished runs never, nor what may still be gone on with."""
    torn = tmp_path / ".features/key/.12ab.part.npy"
    files = [tmp_path / name for name in (
        ".training/one/head.npz", "20260101-101010-abcd/web/model.json", "20260201-101010-abcd/run.json",
        "20260201-101010-abcd/model.keras", "notes/todo.txt",
    )]  # fmt: skip
    for path in (torn, *files):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    aged(tmp_path, 2)
    assert cleanup.prune(tmp_path) == 1
    assert not torn.parent.exists()
    assert all(path.exists() for path in files)

    assert cleanup.prune(tmp_path, time.time() + cleanup.MAX_UNUSED_DAYS * cleanup.DAY_SECONDS) == 2
    assert {path.name for path in tmp_path.iterdir()} == {".features", ".training", "20260201-101010-abcd", "notes"}
    assert all(path.exists() for path in files[2:])
