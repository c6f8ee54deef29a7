"""`orchestrator doctor --account`: what AWS would refuse on the first day is known before anything is created."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.aws import Clients
from orchestrator.bootstrap.runtime_permissions import SERVICE_LINKED_ROLE_PRINCIPALS
from orchestrator.cli.main import main
from orchestrator.doctor import ACCOUNT_CHECKS, account_readiness, finding_report
from orchestrator.doctor.account_readiness import LINKED_ROLE_NAMES
from orchestrator.doctor.runner import ACCOUNT_CHECK_FUNCTIONS
from orchestrator.emulator import Emulator, Faults
from orchestrator.emulator.policy_evaluation import PolicyRequest, decide
from orchestrator.planning import pipeline
from orchestrator.problems import ExitCode, Position
from orchestrator.vocabulary import Component, DesiredState, Scope
from tests.bootstrap import full_stack
from tests.bootstrap.fake_github import TOKEN, serve_github
from tests.proofs.real_stack import emulated_aws

REGION = "eu-west-1"
DEPLOY_ROLE = "shop-prod-deploy"
QUOTA_CODES = ("L-7B6409FD", "L-24B04930", "L-53DA6B97", "L-3032A538")
READS = ("Get", "List", "Head", "Describe", "Simulate")
DOCUMENT = {"Version": "2012-10-17"}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Path]]:
    """An account with nothing but the roles of the workflows, for a stack that uses every option."""
    folder = tmp_path_factory.mktemp("account")
    full_stack.write_first(folder, "ecs-express")
    with emulated_aws() as running, serve_github("shop/shop") as hub:
        os.environ.update({"GITHUB_API_URL": hub.url, "GITHUB_TOKEN": TOKEN})
        assert main(["bootstrap", "github", "--auto-approve", "-f", str(folder)]) == ExitCode.OK
        yield running, folder


@pytest.fixture
def doctor(
    account: tuple[Emulator, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Any]:
    """Run doctor with faults, and return the findings of the account's checks, or only those that are named."""
    emulator, folder = account
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)

    def run(*only: str, **faults: Any) -> list[dict[str, Any]]:
        emulator.faults = Faults(**faults)
        emulator.clear_calls()
        if only:
            desired, aws = pipeline.load_desired(folder, "prod", include_artefacts=False), Clients(REGION, attempts=2)
            results = (ACCOUNT_CHECK_FUNCTIONS[name](desired, aws, "orchestrator bootstrap github") for name in only)
            findings = [item for result in results for item in result]
            report: Any = finding_report.to_document(findings, "prod")
        else:
            capsys.readouterr()
            main(["doctor", "--account", "--format", "json", "-f", str(folder)])
            report = json.loads(capsys.readouterr().out)
        assert [call.operation for call in emulator.calls if not call.operation.startswith(READS)] == []
        return [finding for finding in report["findings"] if finding["check"] in ACCOUNT_CHECKS]

    yield run
    emulator.faults = Faults()


def describe(found: list[dict[str, Any]], *states: str) -> list[str]:
    return [f"{item['check']}: {item['what']} | {item['fix']}" for item in found if item["state"] in states]


def test_a_bootstrapped_paid_account_lacks_nothing(doctor: Any) -> None:
    """Every check answers, and only reads."""
    found = doctor()

    assert [item for item in found if item["state"] != "ok"] == []
    assert {item["check"] for item in found} == set(ACCOUNT_CHECKS)
    (simulated,) = [item["what"] for item in found if item["check"] == "deploy role"]
    assert int(simulated.split("all ")[1].split()[0]) > 200


def test_the_free_plan_is_told_with_what_it_refuses(doctor: Any) -> None:
    """AWS Free Tier user guide: backups of a day, and an account that closes after six months."""
    found = doctor("account", account_limits=("free-plan",))

    assert any("Free plan: AWS closes it on 20" in text for text in describe(found, "ok"))
    assert all("`backups.retentionDays: 1`" in text for text in describe(found, "missing"))
    assert len(describe(found, "missing")) >= 1


@pytest.mark.parametrize(("policy", "state"), [("retain", "missing"), ("delete", "ok")])
def test_the_free_plan_is_an_error_for_data_that_must_be_retained(policy: str, state: str) -> None:
    """AWS Billing user guide, "Choosing an AWS Free Tier plan": AWS closes the account at its end."""
    component = Component("Bucket", "files", {"deletionPolicy": policy}, Position("bucket.yaml"))
    desired = DesiredState(Scope("shop", "prod", "123456789012", REGION), (), components=(component,))
    clients: Any = SimpleNamespace(
        call=lambda *request: {
            "accountPlanType": "FREE",
            "accountPlanExpirationDate": datetime(2027, 3, 1, tzinfo=UTC),
        }
    )

    [finding] = account_readiness.check_plan(desired, clients)

    assert (finding.state, "bucket.files" in finding.message) == (state, policy == "retain")
    assert "AWS closes it on 2027-03-01" in finding.message


def test_a_missing_linked_role_has_its_command(doctor: Any) -> None:
    """The first database of an account (terraform-provider-aws issue 10100)."""
    found = doctor("linked roles", account_limits=("rds-unused",))

    assert any(
        "aws iam create-service-linked-role --aws-service-name rds.amazonaws.com" in text
        for text in describe(found, "ok")
    )


def test_every_quota_that_is_too_small_is_told_with_the_request(doctor: Any) -> None:
    """DB instances, distributions, load balancers, Fargate vCPUs (6 in a new account), each with its own command."""
    wrong = describe(doctor("quotas", quotas=dict.fromkeys(QUOTA_CODES, 0)), "missing")

    assert [
        code for code in QUOTA_CODES if not any(f"--quota-code {code} --desired-value " in text for text in wrong)
    ] == []
    assert len(wrong) == len(QUOTA_CODES)


def test_what_somebody_took_from_the_deploy_role_is_found_by_iam(doctor: Any) -> None:
    """The simulator asks the live role: a detached policy is named by the actions that are denied."""
    iam = Clients(REGION)
    policies = iam.call("iam", "list_attached_role_policies", {"RoleName": DEPLOY_ROLE})["AttachedPolicies"]
    request = {"RoleName": DEPLOY_ROLE, "PolicyArn": policies[0]["PolicyArn"]}
    iam.call("iam", "detach_role_policy", request)
    try:
        (wrong,) = [text for text in describe(doctor("deploy role"), "missing") if text.startswith("deploy role")]
    finally:
        iam.call("iam", "attach_role_policy", request)

    assert "the policies of the deploy role do not allow " in wrong
    assert "orchestrator bootstrap github" in wrong


def test_what_the_boundary_forbids_is_said_to_be_the_boundary(doctor: Any) -> None:
    """Another policy would not help."""
    iam = Clients(REGION)
    before = iam.call("iam", "get_role", {"RoleName": DEPLOY_ROLE})["Role"]["PermissionsBoundary"]
    narrow = {"RoleName": DEPLOY_ROLE, "PermissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess"}
    iam.call("iam", "put_role_permissions_boundary", narrow)
    try:
        wrong = [text for text in describe(doctor("deploy role"), "missing") if text.startswith("deploy role")]
    finally:
        restored = {"RoleName": DEPLOY_ROLE, "PermissionsBoundary": before["PermissionsBoundaryArn"]}
        iam.call("iam", "put_role_permissions_boundary", restored)

    assert len(wrong) == 1
    assert "the permissions boundary of the deploy role denies " in wrong[0]


@pytest.mark.parametrize(
    ("action", "check"),
    [
        ("freetier:GetAccountPlanState", "account"),
        ("organizations:DescribeOrganization", "account"),
        ("iam:GetRole", "linked roles"),
        ("rds:DescribeOrderableDBInstanceOptions", "database"),
        ("servicequotas:Get*", "quotas"),
        ("iam:SimulatePrincipalPolicy", "deploy role"),
    ],
)
def test_what_may_not_be_read_is_not_checked_and_names_the_permission(doctor: Any, action: str, check: str) -> None:
    """A refusal is neither a success nor a crash."""
    found = [item for item in doctor(check, denied=(action,)) if item["check"] == check]

    assert "not checked" in {item["state"] for item in found}
    assert all(item["fix"] for item in found if item["state"] == "not checked")


def test_every_linked_role_has_a_name() -> None:
    principals = {name for names in SERVICE_LINKED_ROLE_PRINCIPALS.values() for name in names}

    assert principals
    assert principals <= LINKED_ROLE_NAMES.keys()


ALLOW_ALL = {**DOCUMENT, "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
TAGGED = {
    **DOCUMENT,
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["ec2:startInstances"],
            "Resource": "arn:aws:ec2:*:*:instance/*",
            "Condition": {"StringEquals": {"aws:ResourceTag/Owner": "ann"}},
        }
    ],
}


@pytest.mark.parametrize(
    ("policies", "boundary", "action", "resource", "context", "decision"),
    [
        ([ALLOW_ALL], None, "s3:GetObject", "arn:aws:s3:::b/k", {}, "allowed"),
        ([], None, "s3:GetObject", "arn:aws:s3:::b/k", {}, "implicitDeny"),
        ([ALLOW_ALL], TAGGED, "s3:GetObject", "arn:aws:s3:::b/k", {}, "implicitDeny"),
        ([TAGGED], None, "ec2:StartInstances", "arn:aws:ec2:r:1:instance/i", {"aws:resourcetag/owner": ("ann",)},
         "allowed"),
        ([TAGGED], None, "ec2:StartInstances", "arn:aws:ec2:r:1:instance/i", {}, "implicitDeny"),
        ([ALLOW_ALL, {**DOCUMENT, "Statement": {"Effect": "Deny", "NotAction": "iam:*", "Resource": "*",
          "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}}}], None, "s3:GetObject",
         "arn:aws:s3:::b/k", {}, "explicitDeny"),
        ([{**DOCUMENT, "Statement": {"Effect": "Allow", "Action": "s3:*", "NotResource": "arn:aws:s3:::secret/*"}}],
         None, "s3:GetObject", "arn:aws:s3:::secret/k", {}, "implicitDeny"),
        ([{**DOCUMENT, "Statement": {"Effect": "Allow", "Action": "x:*", "Resource": "*",
          "Condition": {"NumericLessThan": {"a": "1"}}}}], None, "x:Y", "*", {"a": ("0",)}, "implicitDeny"),
    ],
)  # fmt: skip
def test_the_emulated_simulator_decides_as_the_user_guide_says(
    policies: Any, boundary: Any, action: str, resource: str, context: Any, decision: str
) -> None:
    """IAM user guide: "Policy evaluation logic", "IAM JSON policy elements: Condition operators", MFA example."""
    assert decide(policies, boundary, PolicyRequest(action, resource, context)) == decision
