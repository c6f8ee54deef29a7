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

TAIL = 4000
"""Characters of a failed process's output that a person is shown."""


class Ran(Struct, frozen=True):
    """A process that has ended: its exit status and what it printed, both streams in order of arrival."""

    status: int
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
) -> Ran:
    """Run one command to its end, ``environment`` laid over ours; ``timeout`` in seconds.

    Raises Problems when it cannot be started or does not end in time.
    """
    try:
        done = subprocess.run(
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
        raise Problems.one(f"cannot run {command[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise Problems.one(f"{command[0]} did not end within {timeout:.0f} s; it was stopped") from None
    return Ran(done.returncode, done.stdout)


def demand(command: Sequence[str], *, what: str, hint: str | None = None, **options: object) -> str:
    """``run``, but a command that fails raises Problems with ``what`` failed and the end of its output."""
    ran = run(command, **options)  # type: ignore[arg-type]
    if ran.status:
        message = f"{what}: {command[0]} ended with status {ran.status}\n{ran.output[-TAIL:].strip()}"
        raise Problems.one(message, hint=hint)
    return ran.output
