"""Runs a site's own build command."""

from __future__ import annotations

import shlex
from pathlib import Path

from orchestrator import shell
from orchestrator.vocabulary import Component

TIMEOUT_SECONDS = 1800.0
"""Seconds."""


def build_site(component: Component) -> None:
    """Run ``spa.build`` beside the manifest of ``component``; nothing where it has none.

    Raises Problems with the end of the command's output when it fails.
    """
    spa = component.spec.get("spa") or {}
    command = spa.get("build")
    if not command:
        return
    arguments = [str(word) for word in command]
    folder = (Path(component.where.file).parent / spa["folder"]).resolve()
    hint = f"run it by hand in {folder}: {shlex.join(arguments)}"
    environment = {str(name): str(value) for name, value in (spa.get("env") or {}).items()}
    shell.run_checked(
        arguments,
        failure_message=f"the build of {component.handle} failed",
        hint=hint,
        folder=folder,
        environment=environment,
        timeout=TIMEOUT_SECONDS,
    )
