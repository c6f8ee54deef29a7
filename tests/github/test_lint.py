"""The workflow files by the linters that know GitHub."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.github.workflow_runner import ROOT, WORKFLOWS

TOOLS = Path(sys.executable).parent
FILES = [str(path) for path in sorted(WORKFLOWS.glob("*.yml"))]
ACTIONS = [str(path) for path in sorted((ROOT / ".github" / "actions").glob("*/action.yml"))]
SCHEMA = "--builtin-schema"


@pytest.mark.parametrize(
    "command",
    [
        ["check-jsonschema", SCHEMA, "vendor.github-workflows", *FILES],
        ["check-jsonschema", SCHEMA, "custom.github-workflows-require-timeout", *FILES],
        ["check-jsonschema", SCHEMA, "vendor.github-actions", *ACTIONS],
        ["actionlint", "-oneline"],
        ["zizmor", "--offline", "--no-progress", "--format", "plain", ".github"],
    ],
    ids=lambda command: " ".join(command[:3]),
)
def test_it_is_clean(command: list[str]) -> None:
    tool = TOOLS / command[0]
    if not tool.exists():
        pytest.skip(f"needs {command[0]}")
    if command[0] == "actionlint" and shutil.which("shellcheck") is None:
        pytest.skip("needs shellcheck")  # without it actionlint passes over what the steps run
    done = subprocess.run([str(tool), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_scripts_are_read_too(tmp_path: Path) -> None:
    """What steps run is handed to shellcheck."""
    if shutil.which("shellcheck") is None:
        pytest.skip("needs shellcheck")
    bad = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: rm -rf $HOME/$1\n"
    (tmp_path / "bad.yml").write_text(bad)
    done = subprocess.run(
        [str(TOOLS / "actionlint"), "-oneline", str(tmp_path / "bad.yml")], capture_output=True, text=True, check=False
    )

    assert "SC2086" in done.stdout
