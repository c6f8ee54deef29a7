"""Bad manifests: each folder of ``bad/`` is laid over ``base/``; ``expected.txt`` is what a person gets to read.

After a change of words: ``pytest tests/manifest/test_bad.py --force-regen``, then read the diff.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pytest_regressions.file_regression import FileRegressionFixture

from orchestrator.manifest import check, load
from orchestrator.problems import Problems

HERE = Path(__file__).parent
CASES = sorted(path for path in (HERE / "bad").iterdir() if path.is_dir())


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_every_problem_is_told(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_regression: FileRegressionFixture
) -> None:
    """All problems of a case at once, in the order of the files, each with its place and a way out."""
    shutil.copytree(HERE / "base", tmp_path / "manifests")
    shutil.copytree(case, tmp_path / "manifests", dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(Problems) as raised:
        check.check(load.load(Path("manifests")), None)

    file_regression.check(f"{raised.value}\n", fullpath=case / "expected.txt")


def test_the_base_is_good() -> None:
    """What the cases are laid over has no problem of its own."""
    manifest = check.check(load.load(HERE / "base"), None)

    assert len(manifest.components) == 7
