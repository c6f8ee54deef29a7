"""There is no state file: AWS says what is, git says what should be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.emulator import Emulator
from orchestrator.vocabulary import DesiredState
from tests.proofs import real_stack

pytestmark = [pytest.mark.both_backends]


def orchestrate(here: Path, *arguments: str) -> bytes:
    """Run the command in an empty folder with an empty home; returns what it printed."""
    environment = {**os.environ, "HOME": str(here), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "orchestrator", *arguments, "-f", str(real_stack.MANIFESTS), "-e", "prod"]
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, check=True, timeout=60)
    return done.stdout


def test_a_plan_leaves_no_file_and_needs_none(emulator: Emulator, applied: DesiredState, tmp_path: Path) -> None:
    """From two fresh folders, with nothing kept between them, the plan is the same to the byte."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()

    plans = [orchestrate(folder, "plan", "--format", "json") for folder in (first, second)]

    assert plans[0] == plans[1]
    assert list(first.rglob("*")) == []


def test_an_apply_leaves_no_file(emulator: Emulator, tmp_path: Path) -> None:
    """Not even the run that makes everything keeps a note; the next one, elsewhere, finds nothing to do."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()

    orchestrate(first, "apply", "--auto-approve")

    assert list(first.rglob("*")) == []
    assert b"No changes" in orchestrate(second, "plan")
