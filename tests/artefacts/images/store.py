"""A builder's store of its own, so that a test neither sees nor leaves anything on the machine."""

from __future__ import annotations

from pathlib import Path

import pytest


def private_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn buildah to images of this test alone; plain copies, which every file system can do."""
    settings = folder / "storage.conf"
    places = f'graphroot = "{folder / "graph"}"\nrunroot = "{folder / "run"}"'
    settings.write_text(f'[storage]\ndriver = "vfs"\n{places}\n')
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(settings))
    monkeypatch.setenv("BUILDAH_ISOLATION", "chroot")
    monkeypatch.setenv("ORCHESTRATOR_BUILDER", "buildah")
