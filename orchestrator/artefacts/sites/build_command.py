"""Run the build command of a site."""

from __future__ import annotations

import shlex
from pathlib import Path

from orchestrator import shell
from orchestrator.vocabulary import Component

TIMEOUT_SECONDS = 1800.0
"""Seconds until the command is stopped."""


def build_site(component: Component) -> None:
    """Run ``spa.build`` in the site's project folder; do nothing if the component has none.

    Raises Problems with the end of the command's output if it fails.
    """
    spa = component.spec.get("spa") or {}
    command = spa.get("build")
    if not command:
        return
    arguments = [str(word) for word in command]
    folder = (Path(component.where.file).parent / spa["folder"]).resolve()
    hint = f"run it manually in {folder}: {shlex.join(arguments)}"
    environment = {str(name): str(value) for name, value in (spa.get("env") or {}).items()}
    shell.run_checked(
        arguments,
        failure_message=f"the build of {component.handle} failed",
        hint=hint,
        folder=folder,
        environment=environment,
        timeout=TIMEOUT_SECONDS,
    )
