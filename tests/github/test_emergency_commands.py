"""What messages and pages tell a person to start by hand exists: workflows, and their inputs by name.

GitHub's REST API, "Create a workflow dispatch event": an input that the workflow does not declare is refused with 422.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.github import comment_body, deploy_notifier
from orchestrator.github.approval_policy import ApprovalDecision
from orchestrator.render import drift
from orchestrator.scaffold import workflows
from orchestrator.state.server.pages.releases import rollback_commands
from tests.github.workflow_runner import ROOT, WORKFLOWS
from tests.render.sample_plans import FULL_PLAN

OURS = {path.name: path.read_text() for path in WORKFLOWS.glob("*.yml")}
WRITTEN = {Path(path).name: text for path, text in workflows.render_files(f"team/orchestrator@{'0' * 40}").items()}
COMMAND = re.compile(r"gh workflow run (\S+\.yml)((?: -f [\w-]+=\S+)*)")


def dispatch_inputs(text: str) -> dict[str, Any]:
    """The inputs of a workflow that a person starts."""
    found: dict[str, Any] = yaml.safe_load(text)[True]["workflow_dispatch"]["inputs"]
    return found


def printed_texts(environment: str) -> Iterator[str]:
    """Every text of the product that names a workflow to start."""
    yield from (command.text for command in rollback_commands(environment, 12))
    decision = ApprovalDecision(False, "no plan was reviewed")
    yield comment_body.render_not_approved(f"shop/{environment}", decision, "0" * 40, "https://run", "a" * 64)


@pytest.mark.parametrize("files", [OURS, WRITTEN], ids=["of this repository", "that init writes"])
@pytest.mark.parametrize("environment", ["prod", "staging"])
def test_every_printed_command_names_inputs_that_exist(environment: str, files: dict[str, str]) -> None:
    commands = [match for text in printed_texts(environment) for match in COMMAND.findall(text)]

    assert {workflow for workflow, _ in commands} == {"rollback.yml", "deploy.yml"}
    for workflow, options in commands:
        asked = re.findall(r"-f ([\w-]+)=", options)
        assert set(asked) <= set(dispatch_inputs(files[workflow])), workflow
        assert ("environment" in asked) == (environment != "prod")  # older callers have no such input


@pytest.mark.parametrize("files", [OURS, WRITTEN], ids=["of this repository", "that init writes"])
def test_every_named_input_exists(files: dict[str, str]) -> None:
    """`allow`, which a veto names, in every workflow that may write; and the answers that an issue offers."""
    (allow,) = re.findall(r"with `(\w+)`", deploy_notifier.HOW_TO_LIFT)
    for workflow in ("deploy.yml", "rollback.yml", "drift.yml"):
        assert allow in dispatch_inputs(files[workflow])
    assert {"unpin", "unlock"} <= {*dispatch_inputs(files["deploy.yml"]), *dispatch_inputs(files["rollback.yml"])}
    answers = dispatch_inputs(files["drift.yml"])
    body = comment_body.render_drift(drift.build_view(FULL_PLAN), "<!-- m -->", "0" * 40, "https://run")

    assert {"revert", "accept"} == set(re.findall(r"- `(\w+)`: ", body)) <= set(answers["answer"]["options"])
    assert "`targets`" in body
    assert "targets" in answers


def test_no_command_is_written_by_hand() -> None:
    """Commands for GitHub are made in one place, so that the tests above see them."""
    files = [path for path in (ROOT / "orchestrator").rglob("*") if path.suffix in {".py", ".html"}]
    texts = {path.name for path in files if "gh workflow run" in path.read_text()}

    assert texts == {"workflow_dispatch.py"}
