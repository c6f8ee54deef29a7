"""What no role of a service may exceed: enough for AWS's attached policies, and for Express no more than AWS's own.

The managed policies are AWS's documents, as moto carries them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from moto.iam.aws_managed_policies import aws_managed_policies_data

from orchestrator.bootstrap import policy_documents
from orchestrator.planning import pipeline
from orchestrator.vocabulary import DesiredState
from tests.bootstrap import full_stack, lifecycle
from tests.bootstrap.policy_evaluator import Request, is_allowed

EXPRESS_POLICY = "AmazonECSInfrastructureRoleforExpressGatewayServices"
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}]}
ROLE = "arn:aws:iam::123456789012:role/orchestrator/shop/prod/shop-prod-api"
INFRASTRUCTURE, TASK = {"aws:PrincipalArn": f"{ROLE}-infrastructure"}, {"aws:PrincipalArn": f"{ROLE}-task"}
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-app-a1B2c3"
HERE = {"aws:RequestedRegion": "eu-west-1"}
ACTIONS: Mapping[str, str] = {
    "acm": "DeleteCertificate ExportCertificate ImportCertificate RequestCertificate",
    "application-autoscaling": "DeleteScalingPolicy PutScalingPolicy PutScheduledAction RegisterScalableTarget",
    "cloudwatch": "DeleteAlarms DisableAlarmActions PutMetricAlarm TagResource",
    "ec2": "AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress CreateSecurityGroup CreateTags"
    " DeleteSecurityGroup DeleteTags ModifySecurityGroupRules RevokeSecurityGroupEgress"
    " RevokeSecurityGroupIngress RunInstances DescribeVpcs",
    "elasticloadbalancing": "AddListenerCertificates AddTags CreateListener CreateLoadBalancer CreateRule"
    " DeleteLoadBalancer DeleteRule DeregisterTargets ModifyListener ModifyTargetGroup RegisterTargets RemoveTags"
    " SetRulePriorities SetSecurityGroups",
    "iam": "CreateServiceLinkedRole PassRole PutRolePolicy",
    "logs": "CreateLogGroup DeleteLogGroup TagResource",
}
RESOURCES = (
    "arn:aws:acm:{e}:certificate/0a",
    "arn:aws:application-autoscaling:{e}:scalable-target/0a",
    "arn:aws:cloudwatch:{e}:alarm:x",
    "arn:aws:ec2:{e}:instance/i-1",
    "arn:aws:ec2:{e}:security-group-rule/sgr-1",
    "arn:aws:ec2:{e}:security-group/sg-1",
    "arn:aws:ec2:{e}:vpc/vpc-1",
    "arn:aws:elasticloadbalancing:{e}:listener-rule/app/a/1/2/3",
    "arn:aws:elasticloadbalancing:{e}:listener/app/a/1/2",
    "arn:aws:elasticloadbalancing:{e}:listener/net/a/1/2",
    "arn:aws:elasticloadbalancing:{e}:loadbalancer/app/a/1",
    "arn:aws:elasticloadbalancing:{e}:loadbalancer/net/a/1",
    "arn:aws:elasticloadbalancing:{e}:targetgroup/a/1",
    "arn:aws:iam::123456789012:role/admin",
    "arn:aws:logs:{e}:log-group:x",
    "*",
)
CONTEXTS: tuple[Mapping[str, str], ...] = (
    {},
    {"aws:ResourceTag/AmazonECSManaged": "true"},
    {"aws:RequestTag/AmazonECSManaged": "true"},
    {"ec2:CreateAction": "CreateSecurityGroup"},
    {"ec2:CreateAction": "RunInstances"},
    {"elasticloadbalancing:CreateAction": "CreateRule"},
    {"elasticloadbalancing:CreateAction": "CreateTrustStore"},
    {"application-autoscaling:service-namespace": "ecs"},
    {"application-autoscaling:service-namespace": "dynamodb"},
    {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"},
    {"iam:AWSServiceName": "ec2.amazonaws.com"},
)


@cache
def managed_policy(name: str) -> Mapping[str, Any]:
    """AWS's document, every field a list."""
    document = json.loads(aws_managed_policies_data)[name]["Document"]
    keys = ("Action", "Resource")
    statements = [
        {
            key: [value] if key in keys and isinstance(value, str) else value
            for key, value in statement.items()
            if key != "Sid"
        }
        for statement in document["Statement"]
    ]
    return {**document, "Statement": statements}


def load(folder: Path, runtime: str) -> DesiredState:
    return pipeline.load_desired(full_stack.write_first(folder, runtime), "prod", include_artefacts=False)


@pytest.fixture(scope="module")
def express(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    return policy_documents.build_permissions_boundary(load(tmp_path_factory.mktemp("express"), "ecs-express"))


def every_request() -> Iterator[Request]:
    for service, actions in ACTIONS.items():
        for arn in (resource.format(e="eu-west-1:123456789012") for resource in RESOURCES):
            if arn == "*" or arn.split(":")[2] == service:
                for action in actions.split():
                    yield from (
                        Request(f"{service}:{action}", arn, {**HERE, **INFRASTRUCTURE, **context})
                        for context in CONTEXTS
                    )


def test_the_infrastructure_role_may_do_exactly_what_its_managed_policy_allows(express: Mapping[str, Any]) -> None:
    """Version 6 of the managed policy: no action, resource or condition less or more."""
    managed = managed_policy(EXPRESS_POLICY)
    requests = list(every_request())
    ours = {str(request) + str(request.context) for request in requests if is_allowed([EVERYTHING], express, request)}
    theirs = {str(request) + str(request.context) for request in requests if is_allowed([managed], managed, request)}

    assert len(theirs) > 100
    assert (sorted(ours - theirs), sorted(theirs - ours)) == ([], [])


def test_no_other_role_of_a_service_may_do_what_the_infrastructure_role_does(express: Mapping[str, Any]) -> None:
    """A task whose policy a deploy writes touches no load balancer, security group or alarm."""
    allowed = [
        str(request)
        for request in every_request()
        if is_allowed([EVERYTHING], express, Request(request.action, request.arn, {**request.context, **TASK}))
    ]

    assert allowed == []


@pytest.mark.parametrize(
    "policy", ["AmazonECSTaskExecutionRolePolicy", "AWSXRayDaemonWriteAccess", "AWSAppRunnerServicePolicyForECRAccess"]
)
def test_every_action_of_the_attached_policies_is_within_the_boundary(policy: str, tmp_path: Path) -> None:
    """An action that the boundary left out would fail at run time, without a word in any plan."""
    runtime = "ecs-express" if "ECS" in policy else "app-runner"
    boundary = policy_documents.build_permissions_boundary(load(tmp_path, runtime))
    missing = []
    for statement in managed_policy(policy)["Statement"]:
        for action in statement["Action"]:
            is_within = any(action in within["Action"] for within in boundary["Statement"])
            missing += [] if is_within else [action]

    assert missing == []


@pytest.mark.parametrize("runtime", lifecycle.RUNTIMES)
def test_what_roles_are_granted_is_within_the_boundary(runtime: str, tmp_path: Path) -> None:
    """Buckets, secrets and keys that a service has access to."""
    desired = load(tmp_path, runtime)
    boundary = policy_documents.build_permissions_boundary(desired)
    requests = [
        Request("s3:PutObject", "arn:aws:s3:::shop-files/photos/1.jpg", TASK),
        Request("s3:ListBucket", "arn:aws:s3:::shop-files", {**TASK, "s3:prefix": "photos/2026"}),
        Request("secretsmanager:GetSecretValue", SECRET, TASK),
        Request("kms:Decrypt", full_stack.KEY, TASK),
        Request("ecr:BatchGetImage", "arn:aws:ecr:eu-west-1:123456789012:repository/shop-api", TASK),
    ]  # fmt: skip

    assert [str(request) for request in requests if not is_allowed([EVERYTHING], boundary, request)] == []


def test_the_boundary_is_one_policy(express: Mapping[str, Any]) -> None:
    """IAM attaches one boundary of 6,144 characters; there is room for more services."""
    assert policy_documents.policy_size(express) < policy_documents.MAX_POLICY_CHARACTERS - 800


@pytest.mark.parametrize("runtime", lifecycle.RUNTIMES)
def test_no_service_lists_or_reads_beyond_the_prefixes_of_its_buckets(runtime: str, tmp_path: Path) -> None:
    """Nor takes a role's own policy that is wider than the prefixes of the manifest."""
    boundary = policy_documents.build_permissions_boundary(load(tmp_path, runtime))
    requests = [
        Request("s3:ListBucket", "arn:aws:s3:::shop-files", {**TASK, "s3:prefix": prefix})
        for prefix in ("", "payroll", "payroll/2026", "photoshop/", "releases/")
    ]
    requests.append(Request("s3:GetObject", "arn:aws:s3:::shop-files/payroll/1.csv", TASK))

    assert [str(request) for request in requests if is_allowed([EVERYTHING], boundary, request)] == []


@pytest.mark.parametrize("runtime", lifecycle.RUNTIMES)
def test_no_service_takes_a_role_for_another_account(runtime: str, tmp_path: Path) -> None:
    """IAM user guide, "The confused deputy problem": who says for which account it acts has to say ours."""
    trusts = [role.spec["trust"] for role in load(tmp_path, runtime).resources if role.type == "iam_role"]
    statements = [statement for trust in trusts for statement in trust["Statement"]]

    assert len(statements) >= 2
    assert {str(statement["Condition"]) for statement in statements} == {
        str({"StringEqualsIfExists": {"aws:SourceAccount": "123456789012"}})
    }
