"""After apply, plan is empty: for manifests nobody has thought of, and for the way from some to others."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import Phase, assume, given, note, settings

from orchestrator.emulator import Emulator
from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.vocabulary import DesiredState
from tests.proofs import real_stack, strategies
from tests.proofs.manifest_sets import Document

FEW = max(3, settings().max_examples * 8 // 100)
"""8 under CI, 3 otherwise: each costs seconds."""


def desired(folder: Path, documents: list[Document]) -> DesiredState:
    """What the documents ask for, read as YAML; those that are refused, in a sentence each, are not of interest."""
    text = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True)
    note(text)
    folder.mkdir(exist_ok=True)
    (folder / "manifests.yaml").write_text(text, encoding="utf-8")
    try:
        return pipeline.load_desired(folder)
    except Problems as problems:
        note(str(problems))
        assume(False)
        raise


@pytest.mark.both_backends
@pytest.mark.timeout(600)
@settings(max_examples=FEW, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(first=strategies.sets(), second=strategies.sets())
def test_whatever_is_valid_converges(
    emulator: Emulator, tmp_path: Path, first: list[Document], second: list[Document]
) -> None:
    """Random manifests are applied in one run, random others over them, and each time the plan is empty afterwards."""
    before = desired(tmp_path / "first", first)
    after = desired(tmp_path / "second", strategies.keep_irreversible(first, second))
    emulator.reset()

    for wanted in (before, after):
        assert real_stack.list_failures(real_stack.apply(wanted)) == []
        assert real_stack.describe_changes(real_stack.make_plan(wanted)) == []
