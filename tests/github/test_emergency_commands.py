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
from msgspec.structs import replace

from orchestrator.github import comment_body, deploy_notifier
from orchestrator.github.approval_policy import ApprovalDecision
from orchestrator.problems import Problem
from orchestrator.release import Release, Vector
from orchestrator.release.deploy import DeployResult
from orchestrator.release.probe import Probe, ProbeResult
from orchestrator.release.ship import ShipResult
from orchestrator.render import deploy_view, drift
from orchestrator.scaffold import workflows
from orchestrator.state.server.pages.releases import rollback_commands
from tests.github.workflow_runner import ROOT, WORKFLOWS
from tests.render.sample_plans import FULL_PLAN

OURS = {path.name: path.read_text() for path in WORKFLOWS.glob("*.yml")}
WRITTEN = {Path(path).name: text for path, text in workflows.render_files(f"team/orchestrator@{'0' * 40}").items()}
COMMAND = re.compile(r"gh workflow run (\S+\.yml)((?: -f [\w-]+=\S+)*)")


ROLLBACK = Release(3, "2026-11-30T10:00:00Z", "ana", "c0ffee", Vector("m"), "failed", of=1)
BAD_BUILD = ShipResult((), None, (ProbeResult(Probe("containerservice.api", "api.example.com", "/"), False, "500"),))
FAILED_RESULTS = (
    DeployResult("returned", BAD_BUILD, 2, rollback_result=ShipResult((), None)),
    DeployResult("returned", ShipResult((), None), 2, rollback_result=ShipResult((), None)),
    DeployResult("failed", ShipResult((), None), 1),
    DeployResult("failed", ShipResult((), None), 1, ROLLBACK),
    DeployResult("failed", ShipResult((), None), None, ROLLBACK),
    DeployResult("failed", ShipResult((), None), None, replace(ROLLBACK, of=None)),
)
"""Every way in which a run ends badly."""


def dispatch_inputs(text: str) -> dict[str, Any]:
    """The inputs of a workflow that a person starts."""
    found: dict[str, Any] = yaml.safe_load(text)[True]["workflow_dispatch"]["inputs"]
    return found


def printed_texts(environment: str) -> Iterator[str]:
    """Every text of the product that names a workflow to start."""
    yield from (command.text for command in rollback_commands(environment, 12))
    for result in FAILED_RESULTS:
        view = deploy_view.build_view(result, 1.0, retry_command="again", list_command="look", environment=environment)
        body = comment_body.render_result(f"shop/{environment}", view, "0" * 40, "https://run")
        assert "**Next step:**" in body
        assert f"gh workflow run {view.workflow_command.split()[3]}" in body
        yield body
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
    stopped = comment_body.render_failure(
        "shop/prod", [Problem("no role")], "0" * 40, "https://run/7", "orchestrator x"
    )
    interrupted = comment_body.render_interrupted("shop/prod", "0" * 40, "https://run/7")
    for body in (stopped, interrupted):  # names of GitHub's own buttons ("Re-running workflows and jobs")
        assert "[this run](https://run/7) and choose **Re-run jobs** > **Re-run failed jobs**" in body
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
