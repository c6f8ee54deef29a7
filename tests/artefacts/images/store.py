"""A builder's store of its own, so that a test neither sees nor leaves anything on the machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator import shell


def private_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn buildah to images of this test alone: layers over each other, or copies where the file system has none."""
    settings = folder / "storage.conf"
    places = f'graphroot = "{folder / "graph"}"\nrunroot = "{folder / "run"}"'
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(settings))
    for driver in ("overlay", "vfs"):
        settings.write_text(f'[storage]\ndriver = "{driver}"\n{places}\n')
        if shell.run(["buildah", "info"]).status == 0:
            break
        shutil.rmtree(folder / "graph", ignore_errors=True)
    monkeypatch.setenv("BUILDAH_ISOLATION", "chroot")
    monkeypatch.setenv("ORCHESTRATOR_BUILDER", "buildah")
