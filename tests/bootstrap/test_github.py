"""`orchestrator bootstrap github`: made once, shown first, and nothing to do the second time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.main import main
from orchestrator.problems import ExitCode
from tests.bootstrap.fake_github import TOKEN, FakeGitHub, serve_github
from tests.bootstrap.test_policy_documents import manifests
from tests.proofs.real_stack import clients, emulated_aws

ROLES = {"plan": "joiabagur-prod-plan", "deploy": "joiabagur-prod-deploy"}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    manifests(tmp_path)
    with emulated_aws(), serve_github("joiabagur/joiabagur-pv") as found:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("GITHUB_API_URL", found.url)
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        yield found


def bootstrap(*more: str) -> int:
    return main(["bootstrap", "github", "-e", "prod", *more])


def role(part: str) -> Any:
    return clients().call("iam", "get_role", {"RoleName": ROLES[part]})["Role"]


def test_the_second_run_changes_nothing(hub: FakeGitHub, capsys: pytest.CaptureFixture[str]) -> None:
    """Provider, roles, policies, variables and environment are made; then nothing differs."""
    assert bootstrap("--auto-approve") == ExitCode.OK
    first = list(hub.writes)
    capsys.readouterr()

    assert bootstrap("--auto-approve") == ExitCode.OK
    said = capsys.readouterr()
    assert len(first) == 6
    assert hub.writes == first
    assert "No changes" in said.out
    assert TOKEN not in said.out + said.err


def test_the_plan_shows_it_and_does_nothing(hub: FakeGitHub, capsys: pytest.CaptureFixture[str]) -> None:
    """--plan names every role and variable, and leaves AWS and GitHub alone."""
    assert bootstrap("--plan") == ExitCode.OK

    said = capsys.readouterr().out
    assert [name for name in (*ROLES.values(), "ORCHESTRATOR_DEPLOY_ROLE") if name not in said] == []
    assert hub.writes == []
    assert clients().call("iam", "list_roles", {})["Roles"] == []


def test_only_the_environment_of_the_main_branch_becomes_the_deploy_role(hub: FakeGitHub) -> None:
    """Trust names audience, repository id, branch, environment and both forms of the subject, without wildcards."""
    bootstrap("--auto-approve")

    document = role("deploy")["AssumeRolePolicyDocument"]
    issuer = "token.actions.githubusercontent.com"
    assert document["Statement"][0]["Condition"] == {
        "StringEquals": {
            f"{issuer}:aud": "sts.amazonaws.com",
            f"{issuer}:repository_id": "456789",
            f"{issuer}:environment": "prod",
            f"{issuer}:ref": "refs/heads/main",
            f"{issuer}:sub": [
                "repo:joiabagur/joiabagur-pv:environment:prod",
                "repo:joiabagur@123456/joiabagur-pv@456789:environment:prod",
            ],
        }
    }
    assert "environment" not in json.dumps(role("plan")["AssumeRolePolicyDocument"])
    assert role("deploy")["PermissionsBoundary"]["PermissionsBoundaryArn"].endswith("joiabagur-prod-ceiling")


def test_an_existing_provider_is_taken_with_its_audiences(hub: FakeGitHub) -> None:
    """Another tool's provider keeps its audience."""
    call = clients().call
    given = {"Url": "https://token.actions.githubusercontent.com", "ClientIDList": ["sts.amazonaws.com", "other"]}
    arn = call("iam", "create_open_id_connect_provider", given)["OpenIDConnectProviderArn"]

    assert bootstrap("--auto-approve") == ExitCode.OK
    found = call("iam", "get_open_id_connect_provider", {"OpenIDConnectProviderArn": arn})
    assert found["ClientIDList"] == ["sts.amazonaws.com", "other"]


def test_a_deploy_leaves_the_gate_alone(hub: FakeGitHub, capsys: pytest.CaptureFixture[str]) -> None:
    """What lets workflows in is no stray of the environment."""
    bootstrap("--auto-approve")
    capsys.readouterr()

    assert main(["plan", "-e", "prod", "--format", "json"]) == ExitCode.OK
    changes = json.loads(capsys.readouterr().out)["changes"]
    assert [each["address"] for each in changes if each["action"] == "delete"] == []


def test_a_project_without_a_boundary_is_refused(hub: FakeGitHub, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is made, and the line to add is named."""
    project = Path("manifests/project.yaml")
    project.write_text(project.read_text().replace("  permissionsBoundary: true\n", ""))

    assert bootstrap("--auto-approve") == ExitCode.FAILED
    assert "permissionsBoundary: true" in capsys.readouterr().err
    assert hub.writes == []
