"""Small stacks of manifests, written down, checked and expanded as the product does it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.vocabulary import DesiredState, Resource

PROJECT = """\
apiVersion: orchestrator/v1
kind: Project
metadata: { name: shop }
spec: { repository: shop/web, region: eu-west-1, account: "123456789012" }
"""


def make_document(kind: str, name: str, spec: str) -> str:
    """One manifest; ``spec`` as YAML, indented in any way."""
    indented = "\n".join(f"  {line}" for line in dedent(spec).strip().splitlines())
    return f"apiVersion: orchestrator/v1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec:\n{indented}\n"


def load_desired(folder: Path, *documents: str) -> DesiredState:
    """What a project of these manifests desires in environment ``prod``.

    Raises Problems.
    """
    (folder / "stack.yaml").write_text("---\n".join([PROJECT, *documents]))
    return pipeline.load_desired(folder, "prod")


def load_resources(folder: Path, *documents: str) -> dict[str, Resource]:
    """The same, by address."""
    return {resource.address: resource for resource in load_desired(folder, *documents).resources}


def list_problems(folder: Path, *documents: str) -> list[str]:
    """What is wrong with them, sentence by sentence."""
    with pytest.raises(Problems) as raised:
        load_desired(folder, *documents)
    return [problem.message for problem in raised.value.problems]
