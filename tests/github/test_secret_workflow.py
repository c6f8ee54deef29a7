"""The steps of secret.yml, as the runner's shell runs them, with a command that writes down what it gets."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.github.workflow_runner import WORKFLOWS

RECORDER = """#!/usr/bin/env python3
import json, os, sys
with open(os.environ["RECORD"], "w") as file:
    json.dump({"arguments": sys.argv[1:], "input": "" if sys.stdin.isatty() else sys.stdin.read()}, file)
"""
VALUE = "sk_live_with 'quotes' $HOME and\nlines"


def run_step(name: str, folder: Path, **environ: str) -> tuple[list[str], str]:
    """The arguments and the standard input of the one command that the step runs."""
    steps = yaml.safe_load((WORKFLOWS / "secret.yml").read_text())["jobs"]["secret"]["steps"]
    script = next(step["run"] for step in steps if step.get("id") == name)
    recorder = folder / "orchestrator"
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    record = folder / "record.json"
    variables = {"PATH": f"{folder}:/usr/bin:/bin", "RECORD": str(record), "GITHUB_OUTPUT": str(folder / "out")}
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    subprocess.run(shell, env={**variables, **environ}, check=True, stdin=subprocess.DEVNULL, timeout=30)
    recorded = json.loads(record.read_text())
    return recorded["arguments"], recorded["input"]


def test_the_value_is_on_standard_input_only(tmp_path: Path) -> None:
    arguments, text = run_step("set", tmp_path, SECRET="app", KEY="Stripe:Key", VALUE=VALUE)

    assert (arguments, text) == (["secret", "set", "app", "Stripe:Key"], VALUE)


@pytest.mark.parametrize(("key", "words"), [("", []), ("Jwt:Key", ["--key", "Jwt:Key"])])
def test_one_key_is_rotated_or_all(tmp_path: Path, key: str, words: list[str]) -> None:
    arguments, _ = run_step("rotate", tmp_path, SECRET="app", KEY=key)

    assert arguments == ["secret", "rotate", "app", *words, "--auto-approve"]
