"""`orchestrator bootstrap github`: made once, shown first, and nothing to do the second time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.cli.main import main
from orchestrator.problems import ExitCode
from tests.bootstrap.fake_github import SUBJECT, TOKEN, FakeGitHub, serve_github
from tests.bootstrap.test_policy_documents import manifests
from tests.proofs.real_stack import clients, emulated_aws

WORKFLOWS = Path(__file__).parents[2] / ".github" / "workflows"

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
    assert len(first) == 7
    protection = "/environments/prod"  # before any role trusts it
    assert first[:2] == [f"PUT {protection}", f"POST {protection}/deployment-branch-policies"]
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


def test_json_holds_whole_policies_and_changes_nothing(hub: FakeGitHub, capsys: pytest.CaptureFixture[str]) -> None:
    """Administrators can read every right before they grant it; the text of a plan shortens long values."""
    assert bootstrap("--plan", "--format", "json") == ExitCode.OK

    shown = json.loads(capsys.readouterr().out)
    actions = [
        action
        for statement in shown["policies"]["joiabagur-prod-plan-1"]["Statement"]
        for action in statement["Action"]
    ]
    assert "ecr:DescribeRepositories" in actions
    assert shown["roles"].keys() == set(ROLES.values())
    assert len(shown["settings"]) == len([item for item in shown["settings"] if item]) > 0
    assert hub.writes == []


def test_json_without_a_token_holds_the_policies(
    hub: FakeGitHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The half about AWS needs no account on GitHub."""
    monkeypatch.delenv("GITHUB_TOKEN")
    monkeypatch.delenv("GH_TOKEN", raising=False)
    monkeypatch.setenv("PATH", "")

    assert bootstrap("--plan", "--format", "json") == ExitCode.OK
    printed = capsys.readouterr()
    assert json.loads(printed.out).keys() == {"policies"}
    assert "no GitHub token was found" in printed.err


def test_json_is_a_form_of_the_plan_only(hub: FakeGitHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap("--format", "json") != ExitCode.OK
    assert "--plan" in capsys.readouterr().err


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


@pytest.mark.parametrize("workflow", ["deploy", "drift", "rollback", "secret"])
def test_a_session_lasts_as_long_as_its_job(hub: FakeGitHub, workflow: str) -> None:
    """A deploy may take 90 minutes, AWS's default session one hour (IAM API reference, CreateRole).

    The workflows ask for more only where ``bootstrap github`` has set the variable: other roles may not allow it.
    A job that may take longer assumes the role again (``tests/aws/test_workflow_credentials.py``).
    """
    bootstrap("--auto-approve")
    seconds = int(hub.objects["/environments/prod/variables/ORCHESTRATOR_SESSION_SECONDS"]["value"])
    jobs = yaml.safe_load((WORKFLOWS / f"{workflow}.yml").read_text())["jobs"].values()
    sessions = [
        (0 if is_renewed(job) else job["timeout-minutes"] * 60, str(step["with"]["role-duration-seconds"]))
        for job in jobs
        for step in job.get("steps", ())
        if "role-duration-seconds" in step.get("with", {})
    ]

    assert role("deploy")["MaxSessionDuration"] >= seconds
    assert [timeout for timeout, _ in sessions if timeout > seconds] == []
    assert [text for _, text in sessions if "vars.ORCHESTRATOR_SESSION_SECONDS || 3600" not in text] == []
    assert sessions


def is_renewed(job: Mapping[str, Any]) -> bool:
    """Whether a step of the job has what it takes to assume the role again."""
    return any("ORCHESTRATOR_SESSION_ROLE" in step.get("env", {}) for step in job["steps"])


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


def test_a_free_plan_without_environments_is_told_before_aws_is_changed(
    hub: FakeGitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    """GitHub answers 422 (terraform-provider-github, issues 1262 and 1311); AWS is as before, and the way is named."""
    hub.has_environments = False

    assert bootstrap("--auto-approve") == ExitCode.FAILED

    said = capsys.readouterr().err
    assert "billing plan" in said
    assert "nothing was changed in AWS" in said
    assert "--without-environment" in said
    assert clients().call("iam", "list_roles", {})["Roles"] == []


def test_without_an_environment_the_branch_is_trusted(hub: FakeGitHub, capsys: pytest.CaptureFixture[str]) -> None:
    """The deploy role's variable is the repository's; a second run knows it, and doctor's plan has no changes."""
    hub.has_environments = False

    assert bootstrap("--auto-approve", "--without-environment") == ExitCode.OK

    issuer = "token.actions.githubusercontent.com"
    condition = role("deploy")["AssumeRolePolicyDocument"]["Statement"][0]["Condition"]["StringEquals"]
    assert condition[f"{issuer}:ref"] == "refs/heads/main"
    assert f"{issuer}:environment" not in condition
    assert "repo:joiabagur/joiabagur-pv:ref:refs/heads/main" in condition[f"{issuer}:sub"]
    assert "repo:joiabagur/joiabagur-pv:environment:prod" in condition[f"{issuer}:sub"]
    assert hub.objects["/actions/variables/ORCHESTRATOR_DEPLOY_ROLE"]["value"].endswith("joiabagur-prod-deploy")
    capsys.readouterr()
    assert bootstrap("--auto-approve") == ExitCode.OK
    assert "No changes" in capsys.readouterr().out
    main(["doctor", "-e", "prod"])
    assert "every job on main can deploy" in capsys.readouterr().out


@pytest.mark.parametrize("keys", [["repo", "job_workflow_ref"], []], ids=["of the repository", "of the organisation"])
def test_a_customised_subject_is_refused(keys: list[str], hub: FakeGitHub, capsys: pytest.CaptureFixture[str]) -> None:
    """GitHub's REST API, "Set the customization template for an OIDC subject claim": the trust would never match."""
    hub.objects[SUBJECT] = {"use_default": False, "include_claim_keys": keys}

    assert bootstrap("--auto-approve") == ExitCode.FAILED

    said = capsys.readouterr().err
    assert "customised OIDC subject" in said
    assert "gh api -X PUT repos/joiabagur/joiabagur-pv/actions/oidc/customization/sub -F use_default=true" in said
    assert clients().call("iam", "list_roles", {})["Roles"] == []
    main(["doctor", "-e", "prod"])
    assert "customised OIDC subject" in capsys.readouterr().out


def test_the_subject_that_github_names_is_trusted(hub: FakeGitHub) -> None:
    """A repository that was renamed or is spelt otherwise: GitHub says how its subjects begin."""
    hub.objects[SUBJECT] = {"use_default": True, "sub_claim_prefix": "repo:Joiabagur/joiabagur-PV"}
    assert bootstrap("--auto-approve") == ExitCode.OK

    issuer = "token.actions.githubusercontent.com"
    condition = role("deploy")["AssumeRolePolicyDocument"]["Statement"][0]["Condition"]["StringEquals"]
    assert "repo:Joiabagur/joiabagur-PV:environment:prod" in condition[f"{issuer}:sub"]
