"""Run local processes; the only module that starts any.

Secrets reach a process through its standard input or environment, never through its command line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from orchestrator.problems import Problems

MAX_OUTPUT_CHARS = 4000
"""Characters of a failed process's output that the error message shows."""


class ProcessResult(Struct, frozen=True):
    """A finished process: its exit code and its output, both streams in order of arrival."""

    exit_code: int
    output: str


def which(program: str) -> str | None:
    """Return the path of a program, or None if it is not installed."""
    return shutil.which(program)


def run(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout: float = 3600.0,
) -> ProcessResult:
    """Run one command and wait for it, with ``environment`` added to our own; ``timeout`` in seconds.

    Raises Problems if it cannot be started or times out.
    """
    try:
        completed = subprocess.run(
            list(command),
            cwd=folder,
            env={**os.environ, **(environment or {})},
            input=stdin,
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except OSError as error:
        raise Problems.from_message(f"cannot run {command[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise Problems.from_message(f"{command[0]} timed out after {timeout:.0f}s and was stopped") from None
    return ProcessResult(completed.returncode, completed.stdout)


def run_checked(command: Sequence[str], *, failure_message: str, hint: str | None = None, **options: object) -> str:
    """Run a command and return its output.

    Raises Problems with ``failure_message`` and the end of the output if it fails.
    """
    result = run(command, **options)  # type: ignore[arg-type]
    if result.exit_code:
        message = (
            f"{failure_message}: {command[0]} exited with status "
            f"{result.exit_code}\n{result.output[-MAX_OUTPUT_CHARS:].strip()}"
        )
        raise Problems.from_message(message, hint=hint)
    return result.output
