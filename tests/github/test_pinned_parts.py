"""A merge of which a part stays pinned is no silent success: the run and the pull request say so first."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.github.client import GitHub
from orchestrator.github.deploy_notifier import DeployNotifier
from orchestrator.github.notifications import GitHubNotifier
from orchestrator.github.workflow_run import WorkflowRun
from orchestrator.release.deploy import DeployResult
from orchestrator.release.ship import ShipResult
from orchestrator.render import deploy_view
from orchestrator.runs.result import DeployRun
from tests.github import fake_github
from tests.github.test_overlap import hub

__all__ = ["hub"]
SENTENCE = "Release 2 was rolled back, so image:containerservice.api stays as in release 1."
MERGED = {"number": 7, "head": {"sha": "c"}, "state": "closed", "merged_at": "2026-12-01T10:00:00Z"}


@pytest.mark.parametrize("held", [(SENTENCE,), ()])
def test_a_merge_that_is_not_live_completely_is_commented(
    hub: fake_github.FakeGitHub, capsys: pytest.CaptureFixture[str], held: tuple[str, ...]
) -> None:
    hub.pulls[7] = dict(MERGED)
    run = WorkflowRun("shop/shop", "c", "ana", "https://github.com/run", {})
    github = GitHub("shop/shop", fake_github.WRITE_TOKEN, api_url=hub.url)
    notifier = DeployNotifier(GitHubNotifier(run, github, Path("manifests"), "prod", "c"))
    result = DeployResult("released", ShipResult((), None), 3, held=held)
    view = deploy_view.build_view(result, 1.0, retry_command="again", list_command="look", environment="prod")

    notifier.report_run(DeployRun(0, None, result, view))
    github._client.close()

    comments = [comment["body"] for comment in hub.list_comments(7)]
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("::warning::")]
    assert len(comments) == len(warnings) == len(held)
    for body, warning in zip(comments, warnings, strict=True):
        assert warning == f"::warning::Pinned: {SENTENCE}"
        heading, first, *_ = body.split("\n\n")
        assert "Deployed release" in heading
        assert first == f"**Pinned:** {SENTENCE}"
