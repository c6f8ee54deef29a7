"""Runs a site's own build command."""

from __future__ import annotations

import shlex
from pathlib import Path

from orchestrator import shell
from orchestrator.vocabulary import Component

WITHIN = 1800.0
"""Seconds."""


def build(component: Component) -> None:
    """Run ``spa.build`` beside the manifest of ``component``; nothing where it has none.

    Raises Problems with the end of the command's output when it fails.
    """
    spa = component.spec.get("spa") or {}
    command = spa.get("build")
    if not command:
        return
    words = [str(word) for word in command]
    folder = (Path(component.where.file).parent / spa["folder"]).resolve()
    hint = f"run it by hand in {folder}: {shlex.join(words)}"
    environment = {str(name): str(value) for name, value in (spa.get("env") or {}).items()}
    shell.demand(
        words,
        what=f"the build of {component.handle} failed",
        hint=hint,
        folder=folder,
        environment=environment,
        timeout=WITHIN,
    )
