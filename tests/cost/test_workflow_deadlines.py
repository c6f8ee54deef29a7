"""Dates on which GitHub stops running the actions of workflows."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
import yaml

from orchestrator.cli.main import main
from orchestrator.cost import deadlines
from orchestrator.cost.workflow_deadlines import FIRST_ON_NODE_24, NODE_20_REMOVED, list_workflow_deadlines

ROOT = Path(__file__).parents[2]
COMMIT = "a" * 40

NO_NODE = {"actions/upload-pages-artifact", "pypa/gh-action-pypi-publish"}
"""Actions of this repository's workflows that are composite or run in a container, by their action.yml."""

PROJECT = """\
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {region: eu-west-1, account: "123456789012", repository: shop/shop}
"""

USES = {
    # What `runs.using` is in the action.yml of that release.
    "actions/checkout@v4": True,
    "actions/checkout@v5": False,
    "actions/checkout@v4.4.0": True,
    "actions/cache/restore@v4": True,
    "actions/cache/restore@v5": False,
    "actions/download-artifact@v6": True,
    f"actions/download-artifact@{COMMIT} # v6.0.0": True,
    f"actions/download-artifact@{COMMIT} # v7.0.0": False,
    "actions/setup-go@v6.1.0": True,
    "actions/setup-go@v6.2.0": False,
    "actions/setup-go@v6": False,
    "aws-actions/amazon-ecr-login@v2.0.1": True,
    "aws-actions/amazon-ecr-login@v2": False,
    "'docker/build-push-action@v6'": True,
    f"actions/checkout@{COMMIT}": False,
    "actions/checkout@main": False,
    "./.github/actions/build": False,
    "docker://alpine:3.22": False,
}


def write_workflow(root: Path, uses: str) -> None:
    path = root / ".github" / "workflows" / "ci.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: {uses}\n")


@pytest.mark.parametrize(("uses", "is_outdated"), USES.items())
def test_an_action_on_node_20_has_a_date(tmp_path: Path, uses: str, is_outdated: bool) -> None:
    write_workflow(tmp_path, uses)

    found = list_workflow_deadlines(tmp_path)

    assert [(item.on, item.address) for item in found] == [
        (date(2026, 9, 16), ".github/workflows/ci.yml")
    ] * is_outdated


def test_a_file_has_one_date_that_names_every_replacement(tmp_path: Path) -> None:
    write_workflow(tmp_path, "actions/checkout@v4\n      - uses: actions/cache@v3\n      - uses: actions/checkout@v4")

    (found,) = list_workflow_deadlines(tmp_path)

    assert found.effect == (
        "GitHub removes Node.js 20 from its runners; use `actions/cache@v5` or later instead of v3, "
        "`actions/checkout@v5` or later instead of v4"
    )


def test_a_file_that_is_no_text_and_a_folder_without_repository_have_none(tmp_path: Path) -> None:
    write_workflow(tmp_path, "actions/checkout@v4")
    (tmp_path / ".github" / "workflows" / "ci.yml").write_bytes(b"\xff\xfe\x00")

    assert list_workflow_deadlines(tmp_path) == []
    assert list_workflow_deadlines(None) == []


@pytest.mark.parametrize(("days_before", "is_due"), [(181, False), (180, True), (0, True), (-100, True)])
def test_it_is_due_half_a_year_ahead_and_after(tmp_path: Path, days_before: int, is_due: bool) -> None:
    write_workflow(tmp_path, "actions/checkout@v4")
    on = date.fromordinal(NODE_20_REMOVED.toordinal() - days_before)

    assert bool(deadlines.select_due(list_workflow_deadlines(tmp_path), on)) is is_due


def test_outlook_lists_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The date is past, and still matters."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "shop.yaml").write_text(PROJECT)
    write_workflow(tmp_path, "actions/checkout@v4")

    assert main(["outlook", "-f", str(tmp_path / "manifests")]) == 0
    assert "2026-09-16  .github/workflows/ci.yml: GitHub removes Node.js 20" in capsys.readouterr().out


def test_the_workflows_of_this_repository_use_current_actions() -> None:
    used = set()
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            used |= {step["uses"].partition("@")[0] for step in job.get("steps", []) if "uses" in step}
    actions = {"/".join(use.split("/")[:2]) for use in used if not re.match(r"[.$]/", use)}

    assert len(actions) >= 9
    assert actions - NO_NODE <= set(FIRST_ON_NODE_24), "add the action and its first release on Node.js 24"
    assert list_workflow_deadlines(ROOT) == []
