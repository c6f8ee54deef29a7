"""Processes of this machine: the only module that starts any.

Secrets reach a process by its standard input or environment, never by its command line.
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
"""Characters of a failed process's output that a person is shown."""


class ProcessResult(Struct, frozen=True):
    """A process that has ended: its exit status and what it printed, both streams in order of arrival."""

    exit_code: int
    output: str


def which(program: str) -> str | None:
    """Where a program is, or None."""
    return shutil.which(program)


def run(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout: float = 3600.0,
) -> ProcessResult:
    """Run one command to its end, ``environment`` laid over ours; ``timeout`` in seconds.

    Raises Problems when it cannot be started or does not end in time.
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
        raise Problems.from_message(f"{command[0]} did not end within {timeout:.0f} s; it was stopped") from None
    return ProcessResult(completed.returncode, completed.stdout)


def run_checked(command: Sequence[str], *, failure_message: str, hint: str | None = None, **options: object) -> str:
    """``run``, but a command that fails raises Problems with ``what`` failed and the end of its output."""
    result = run(command, **options)  # type: ignore[arg-type]
    if result.exit_code:
        message = (
            f"{failure_message}: {command[0]} ended with status "
            f"{result.exit_code}\n{result.output[-MAX_OUTPUT_CHARS:].strip()}"
        )
        raise Problems.from_message(message, hint=hint)
    return result.output
