"""A builder's store of its own, so that a test neither sees nor leaves anything on the machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator import shell
from orchestrator.demo import build_store


def use_private_store(folder: Path, monkeypatch: pytest.MonkeyPatch, driver: str = "vfs") -> None:
    """Turn buildah to images of this test alone; ``vfs`` are plain copies, which every file system can do."""
    for name, value in build_store.write_storage_config(folder, driver, "buildah").items():
        monkeypatch.setenv(name, value)


@contextmanager
def use_overlay_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same with layers that lie over each other, where the file system can; nothing stays mounted."""
    use_private_store(folder, monkeypatch, "overlay")
    if shell.run(["buildah", "info"]).exit_code:
        shutil.rmtree(folder / "graph", ignore_errors=True)
        use_private_store(folder, monkeypatch)
    try:
        yield
    finally:
        shell.run(["buildah", "rm", "--all"])
