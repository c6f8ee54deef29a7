"""What the roles of the workflows may do: every call that is made, and nothing that would hurt."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator import resources
from orchestrator.bootstrap import policy_documents, resource_permissions
from orchestrator.planning import pipeline
from tests.bootstrap import full_stack, lifecycle
from tests.bootstrap.iam_requests import Environment
from tests.bootstrap.policy_evaluator import Request, is_allowed
from tests.bootstrap.roles import Roles
from tests.bootstrap.service_authorization import find_problems
from tests.proofs.real_stack import MANIFESTS

GATE = {"iam_oidc_provider", "iam_policy"}
ROLE = "arn:aws:iam::123456789012:role"
OURS = {"aws:ResourceTag/orchestrator:project": "joiabagur", "aws:ResourceTag/orchestrator:environment": "prod"}
THEIRS = {**OURS, "aws:ResourceTag/orchestrator:project": "other"}
BOUNDARY_ARN = Environment().boundary
BOUNDED = {"iam:PermissionsBoundary": BOUNDARY_ARN}
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:joiabagur-prod-a1B2c3"
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"


def manifests(folder: Path) -> Path:
    """The real manifests, with the boundary asked for."""
    found = folder / "manifests"
    shutil.copytree(MANIFESTS, found)
    project = found / "project.yaml"
    text = project.read_text()
    if "permissionsBoundary" not in text:
        project.write_text(text.replace("\nspec:\n", "\nspec:\n  permissionsBoundary: true\n", 1))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return manifests(tmp_path_factory.mktemp("bootstrap"))


@pytest.fixture(scope="module")
def roles(folder: Path) -> Roles:
    return Roles(pipeline.load_desired(folder, "prod", include_artefacts=False))


DANGEROUS = [
    Request("iam:CreateUser", "arn:aws:iam::123456789012:user/eve"),
    Request("iam:CreateAccessKey", "arn:aws:iam::123456789012:user/eve"),
    Request("iam:PutRolePolicy", f"{ROLE}/admin", BOUNDED),
    Request("iam:PutRolePolicy", f"{ROLE}/orchestrator/other/prod/other-prod-api-instance", BOUNDED),
    Request("iam:PutRolePolicy", f"{ROLE}/orchestrator/joiabagur/prod.github/joiabagur-prod-deploy", BOUNDED),
    Request("iam:UpdateAssumeRolePolicy", f"{ROLE}/orchestrator/joiabagur/prod.github/joiabagur-prod-deploy"),
    Request("iam:CreateRole", f"{ROLE}/orchestrator/joiabagur/prod/free"),
    Request("iam:PutRolePolicy", f"{ROLE}/orchestrator/joiabagur/prod/free"),
    Request("iam:CreateRole", f"{ROLE}/orchestrator/joiabagur/prod/x", {"iam:PermissionsBoundary": ADMIN}),
    Request("iam:DeleteRolePermissionsBoundary", f"{ROLE}/orchestrator/joiabagur/prod/x", BOUNDED),
    Request("iam:AttachRolePolicy", f"{ROLE}/orchestrator/joiabagur/prod/x", {**BOUNDED, "iam:PolicyARN": ADMIN}),
    Request("iam:PassRole", f"{ROLE}/admin", {"iam:PassedToService": "tasks.apprunner.amazonaws.com"}),
    Request("iam:PassRole", f"{ROLE}/orchestrator/joiabagur/prod/x", {"iam:PassedToService": "ec2.amazonaws.com"}),
    Request("iam:CreatePolicyVersion", BOUNDARY_ARN),
    Request("iam:DeletePolicy", BOUNDARY_ARN),
    Request("iam:UpdateOpenIDConnectProviderThumbprint", "arn:aws:iam::123456789012:oidc-provider/x"),
    Request("sts:AssumeRole", f"{ROLE}/admin"),
    Request("organizations:LeaveOrganization"),
    Request("ec2:RunInstances", "arn:aws:ec2:eu-west-1:123456789012:instance/*"),
    Request("ec2:DeleteSecurityGroup", "arn:aws:ec2:eu-west-1:123456789012:security-group/sg-9", THEIRS),
    Request("ec2:DeleteSecurityGroup", "arn:aws:ec2:eu-west-1:123456789012:security-group/sg-9"),
    Request("ec2:DeleteVpc", "arn:aws:ec2:eu-west-1:123456789012:vpc/vpc-1", OURS),
    Request("cloudfront:DeleteDistribution", "arn:aws:cloudfront::123456789012:distribution/E9", THEIRS),
    Request("s3:DeleteBucket", "arn:aws:s3:::joiabagur-files-prod"),
    Request("s3:DeleteObject", "arn:aws:s3:::joiabagur-files-prod/sale-photos/1.jpg"),
    Request("s3:GetObject", "arn:aws:s3:::joiabagur-files-prod/sale-photos/1.jpg"),
    Request("s3:ListBucket", "arn:aws:s3:::payroll"),
    Request("s3:GetObject", "arn:aws:s3:::payroll/2026.csv"),
    Request("s3:PutBucketPolicy", "arn:aws:s3:::payroll"),
    Request("rds:DeleteDBInstance", "arn:aws:rds:eu-west-1:123456789012:db:joiabagur-prod-main"),
    Request("rds:ModifyDBInstance", "arn:aws:rds:eu-west-1:123456789012:db:other"),
    Request("secretsmanager:DeleteSecret", SECRET),
    Request("secretsmanager:GetSecretValue", SECRET.replace("joiabagur", "other")),
    Request("ecr:DeleteRepository", "arn:aws:ecr:eu-west-1:123456789012:repository/joiabagur-api"),
    Request("apprunner:DeleteService", "arn:aws:apprunner:eu-west-1:123456789012:service/other/1"),
]
"""What no workflow may do, neither with the plan role nor with the deploy role."""
ONLY_DEPLOY = [
    Request("secretsmanager:GetSecretValue", SECRET),
    Request("s3:PutBucketPolicy", "arn:aws:s3:::joiabagur-files-prod"),
    Request("iam:CreateRole", f"{ROLE}/orchestrator/joiabagur/prod/joiabagur-prod-api-instance", BOUNDED),
    Request("apprunner:UpdateService", "arn:aws:apprunner:eu-west-1:123456789012:service/joiabagur-prod-api/1"),
    Request("ec2:DeleteSecurityGroup", "arn:aws:ec2:eu-west-1:123456789012:security-group/sg-1", OURS),
]
"""What a deploy needs and a pull request must not have."""


@pytest.mark.parametrize("request_", DANGEROUS, ids=str)
@pytest.mark.parametrize("role", ["plan", "deploy"])
def test_what_would_hurt_is_denied(role: str, request_: Request, roles: Roles) -> None:
    """Other people's things, users, roles without the boundary, data that the manifests keep."""
    assert not roles.may(role, request_)


@pytest.mark.parametrize("request_", ONLY_DEPLOY, ids=str)
def test_a_pull_request_may_not_do_what_a_deploy_may(request_: Request, roles: Roles) -> None:
    """The two roles are apart; above all, a pull request reads no secret."""
    assert (roles.may("plan", request_), roles.may("deploy", request_)) == (False, True)


def test_a_policy_that_somebody_attaches_by_hand_gives_no_more_than_the_ceiling(roles: Roles) -> None:
    """AdministratorAccess on the deploy role makes no users and touches no other role."""
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}]}
    ceiling = policy_documents.build_workflow_boundary(roles.desired)
    wild = [each for each in DANGEROUS if each.action.startswith(("sts:", "organizations:")) or ":user/" in each.arn]
    wild.append(Request("iam:PutRolePolicy", f"{ROLE}/admin"))

    assert [str(each) for each in wild if is_allowed([everything], ceiling, each)] == []


def test_a_service_gets_no_more_than_the_boundary(roles: Roles) -> None:
    """Whatever a deploy writes into a service's role, it can neither touch IAM nor read other buckets."""
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}]}
    boundary = policy_documents.build_permissions_boundary(roles.desired)

    def may(action: str, arn: str) -> bool:
        return is_allowed([everything], boundary, Request(action, arn))

    assert may("s3:GetObject", "arn:aws:s3:::joiabagur-files-prod/sale-photos/1.jpg")
    assert may("secretsmanager:GetSecretValue", SECRET)
    assert may("ecr:BatchGetImage", "arn:aws:ecr:eu-west-1:123456789012:repository/joiabagur-api")
    assert not may("s3:GetObject", "arn:aws:s3:::payroll/2026.csv")
    assert not may("iam:CreateUser", "arn:aws:iam::123456789012:user/eve")
    assert not may("sts:AssumeRole", f"{ROLE}/admin")


def test_data_goes_only_where_the_manifest_lets_it(tmp_path: Path) -> None:
    """`deletionPolicy: delete` on a bucket lets a deploy delete that bucket, and no other."""
    found = manifests(tmp_path)
    text = (found / "buckets.yaml").read_text()
    (found / "buckets.yaml").write_text(text.replace("\nspec:\n", "\nspec:\n  deletionPolicy: delete\n", 1))
    roles = Roles(pipeline.load_desired(found, "prod", include_artefacts=False))

    assert roles.may("deploy", Request("s3:DeleteBucket", "arn:aws:s3:::joiabagur-files-prod"))
    assert not roles.may("plan", Request("s3:DeleteBucket", "arn:aws:s3:::joiabagur-files-prod"))
    assert not roles.may("deploy", Request("s3:DeleteBucket", "arn:aws:s3:::joiabagur-web-prod"))


def test_every_resource_type_has_its_rules() -> None:
    """A new type without rules would be planned by people and denied to workflows."""
    assert set(resource_permissions.RULES_BY_TYPE) == set(resources.list_types()) - GATE


@pytest.mark.parametrize("runtime", lifecycle.RUNTIMES)
def test_aws_knows_every_action_resource_and_condition_key(runtime: str, tmp_path: Path) -> None:
    """IAM takes what does not exist without a word; AWS's service authorization reference is the judge."""
    folder = full_stack.write_built(tmp_path, runtime)
    roles = Roles(pipeline.load_desired(folder, "prod", include_artefacts=False))
    boundary = policy_documents.build_permissions_boundary(roles.desired)
    documents = [*roles.documents["plan"], *roles.documents["deploy"], roles.ceiling, boundary]
    problems = [problem for document in documents for problem in find_problems(document)]

    # AWS's managed policy for ECS Express has this statement too.
    assert [problem for problem in problems if not problem.startswith("acm:RequestCertificate")] == []


def test_the_documents_fit_into_iam(roles: Roles) -> None:
    """6,144 characters a policy, ten policies a role."""
    sets = [policy_documents.build_plan_policies(roles.desired), policy_documents.build_deploy_policies(roles.desired)]
    fixed: list[Any] = [
        policy_documents.build_permissions_boundary(roles.desired),
        policy_documents.build_workflow_boundary(roles.desired),
    ]

    assert [len(documents) for documents in sets if len(documents) > policy_documents.MAX_POLICIES_PER_ROLE] == []
    assert max(policy_documents.policy_size(each) for each in [*sets[0], *sets[1], *fixed]) <= 6144
