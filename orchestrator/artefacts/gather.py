"""Looks at the files of a checkout and says what they would ship.  Reads files; writes nothing, builds nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from orchestrator.artefacts import Artefacts
from orchestrator.model import Component


def gather(components: Iterable[Component]) -> Artefacts:
    """The images and sites of resolved ``components``; paths in a manifest are relative to the file that says them.

    Raises Problems when a folder or a Dockerfile is not there or cannot be read.
    """
    return Artefacts()


def beside(component: Component, path: str) -> Path:
    """A path written in the manifest of ``component``, as a path on this machine."""
    return (Path(component.where.file).parent / path).resolve()
