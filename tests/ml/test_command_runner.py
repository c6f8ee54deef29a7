"""The commands of ml print errors with a retry hint and map them to exit codes."""

from __future__ import annotations

import errno
import os
import pty
import subprocess
import sys

import pytest

from ml import command_runner
from orchestrator.problems import Problems

BAR = """from ml.command_runner import show_progress
with show_progress('photos', 3) as advance:
    [advance() for _ in range(3)]"""
FULL = """the disk is full: cannot read or write a file (runs/a); completed work is kept
    hint: free some disk space, then run: python -m ml.x
"""


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (Problems.from_message("the bucket is gone", hint="look"), 1, "the bucket is gone\n    hint: look\n"),
        (Problems.from_message("the bucket is gone"), 1, "the bucket is gone\n    hint: run again: python -m ml.x\n"),
        (KeyboardInterrupt(), 130, "\nInterrupted. Photos stay.\n    hint: continue with: python -m ml.x\n"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/a"), 1, FULL),
    ],
)
def test_whatever_ends_a_command_is_a_sentence(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    """With a way out, and the exit code that scripts know."""

    def work() -> int:
        raise error

    assert command_runner.run_command(work, "python -m ml.x", "Photos stay.") == code
    assert capsys.readouterr().err == message


def test_a_terminal_sees_how_far_it_is() -> None:
    """A file or a pipe sees nothing of it."""
    ours, theirs = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", BAR], stderr=theirs, check=True, env={**os.environ, "TERM": "xterm"})
        assert b"3/3" in os.read(ours, 100_000)
    finally:
        os.close(ours)
        os.close(theirs)
    quiet = subprocess.run([sys.executable, "-c", BAR], capture_output=True, check=True)
    assert quiet.stderr == b""
