"""Which IAM actions it takes to run a service, in either runtime, and to leave one for the other.  Data.

Source: the service authorization reference; for ECS Express Mode, what AWS's own action for GitHub asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec.structs import replace

from orchestrator.bootstrap.permission_rules import LINKED, ROLES, Rule, each, rule
from orchestrator.vocabulary import Scope

_APP = "arn:aws:apprunner:{r}:{a}:"
_SERVICE, _SCALING = f"{_APP}service/{{n}}/*", f"{_APP}autoscalingconfiguration/{{n}}/*"
_CONNECTOR, _TRACING = f"{_APP}vpcconnector/{{n}}/*", f"{_APP}observabilityconfiguration/{{n}}/*"
_LOGS = "arn:aws:logs:{r}:{a}:log-group:/aws/apprunner/{n}/*"
_EXPRESS = (
    "arn:aws:ecs:{r}:{a}:service/default/{n}",
    "arn:aws:ecs:{r}:{a}:service-deployment/default/{n}/*",
    "arn:aws:ecs:{r}:{a}:service-revision/default/{n}/*",
)
_EXPRESS_LOGS = ("arn:aws:logs:{r}:{a}:log-group:/ecs/{n}", "arn:aws:logs:{r}:{a}:log-group:/ecs/{n}:*")

SERVICES: Final[dict[str, tuple[Rule, ...]]] = {
    "apprunner_autoscaling": (
        rule("read", "apprunner", "DescribeAutoScalingConfiguration ListTagsForResource", _SCALING),
        rule("write", "apprunner", "CreateAutoScalingConfiguration", _SCALING),
        rule("write", "apprunner", "DeleteAutoScalingConfiguration", _SCALING, _SCALING.removesuffix("/*")),
        rule("write", "apprunner", "TagResource", _SCALING),
    ),
    "apprunner_connector": (
        rule("read", "apprunner", "DescribeVpcConnector ListTagsForResource", _CONNECTOR),
        rule("write", "apprunner", "CreateVpcConnector DeleteVpcConnector TagResource", _CONNECTOR),
        rule("write", "iam", "CreateServiceLinkedRole", LINKED, when="linked"),
    ),
    "apprunner_observability": (
        rule("read", "apprunner", "DescribeObservabilityConfiguration ListTagsForResource", _TRACING),
        rule("write", "apprunner", "TagResource CreateObservabilityConfiguration", _TRACING),
        rule("write", "apprunner", "DeleteObservabilityConfiguration", _TRACING),
    ),
    "apprunner_service": (
        rule("read", "apprunner", "DescribeService ListOperations ListTagsForResource", _SERVICE),
        rule("read", "logs", "DescribeLogGroups"),
        rule("write", "apprunner", "UpdateService DeleteService ResumeService TagResource", _SERVICE),
        rule("write", "apprunner", "CreateService", _SERVICE),
        rule("write", "apprunner", "CreateService UpdateService", _SCALING, _CONNECTOR, _TRACING),
        rule("write", "logs", "CreateLogGroup PutRetentionPolicy TagResource", _LOGS),
        rule("write", "logs", "DescribeLogStreams GetLogEvents", _LOGS),
        rule("write", "iam", "PassRole", ROLES, when="passed"),
        rule("write", "iam", "CreateServiceLinkedRole", LINKED, when="linked"),
    ),
    "ecs_express_service": (
        rule(
            "read",
            "ecs",
            "DescribeExpressGatewayService ListServiceDeployments DescribeServiceDeployments DescribeServiceRevisions",
            *_EXPRESS,
        ),
        rule("read", "ec2", "DescribeSecurityGroups"),
        rule("read", "logs", "DescribeLogGroups"),
        rule("write", "ecs", f"{each('ExpressGatewayService')} TagResource", *_EXPRESS),
        rule("write", "ecs", "CreateCluster", "arn:aws:ecs:{r}:{a}:cluster/default"),
        rule("write", "ecs", "RegisterTaskDefinition"),
        rule("write", "logs", "CreateLogGroup PutRetentionPolicy TagResource", *_EXPRESS_LOGS),
        rule("write", "logs", "DescribeLogStreams GetLogEvents", *_EXPRESS_LOGS),
        rule("write", "iam", "PassRole", ROLES, when="passed"),
        rule("write", "iam", "CreateServiceLinkedRole", LINKED, when="linked"),
    ),
}
"""By resource type."""

LEFT: Final = {
    "apprunner_service": ("ecs_express_service",),
    "ecs_express_service": tuple(name for name in SERVICES if name.startswith("apprunner_")),
}
"""What a service of a type may have run in before: the types of the other runtime, under the same name."""

PRINCIPALS: Final = {
    "apprunner_service": ("build.apprunner.amazonaws.com", "tasks.apprunner.amazonaws.com"),
    "ecs_express_service": ("ecs-tasks.amazonaws.com", "ecs.amazonaws.com"),
}
"""To whom roles are handed on."""
LINKED_SERVICES: Final = {
    "apprunner_service": ("apprunner.amazonaws.com", "networking.apprunner.amazonaws.com"),
    "ecs_express_service": (
        "ecs.amazonaws.com",
        "ecs.application-autoscaling.amazonaws.com",
        "elasticloadbalancing.amazonaws.com",
    ),
    "rds_instance": ("rds.amazonaws.com",),
}
"""Whose service-linked roles are made the first time."""

_MANAGED: Final = "AmazonECSManaged"
_CREATED: Final = ["CreateListener", "CreateLoadBalancer", "CreateRule", "CreateTargetGroup"]


def balancing(scope: Scope) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """What ECS does as the infrastructure role, with its conditions: only to what it has made, and marked, itself.

    Source: AWS's managed policy AmazonECSInfrastructureRoleforExpressGatewayServices, version 6.
    """
    here = {"aws:RequestedRegion": scope.region}
    yield _BALANCER_CHANGES, {"StringEquals": {**here, f"aws:ResourceTag/{_MANAGED}": "true"}}
    yield _BALANCER_CREATIONS, {"StringEquals": {**here, f"aws:RequestTag/{_MANAGED}": "true"}}
    yield ("elasticloadbalancing:AddTags",), {"StringEquals": {**here, "elasticloadbalancing:CreateAction": _CREATED}}
    yield _BALANCER_REST, {"StringEquals": here}
    names = LINKED_SERVICES["ecs_express_service"]
    yield ("iam:CreateServiceLinkedRole",), {"StringEquals": {"iam:AWSServiceName": list(names)}}


_BALANCER_CHANGES: Final = (
    "acm:AddTagsToCertificate",
    "acm:DeleteCertificate",
    "acm:DescribeCertificate",
    "acm:RequestCertificate",
    "application-autoscaling:DeregisterScalableTarget",
    "application-autoscaling:RegisterScalableTarget",
    "application-autoscaling:TagResource",
    "cloudwatch:DeleteAlarms",
    "cloudwatch:DescribeAlarms",
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:DeleteSecurityGroup",
    "ec2:RevokeSecurityGroupEgress",
    "ec2:RevokeSecurityGroupIngress",
    "elasticloadbalancing:AddListenerCertificates",
    "elasticloadbalancing:CreateListener",
    "elasticloadbalancing:CreateLoadBalancer",
    "elasticloadbalancing:CreateRule",
    "elasticloadbalancing:CreateTargetGroup",
    "elasticloadbalancing:DeleteListener",
    "elasticloadbalancing:DeleteLoadBalancer",
    "elasticloadbalancing:DeleteRule",
    "elasticloadbalancing:DeleteTargetGroup",
    "elasticloadbalancing:DeregisterTargets",
    "elasticloadbalancing:ModifyListener",
    "elasticloadbalancing:ModifyRule",
    "elasticloadbalancing:RegisterTargets",
    "elasticloadbalancing:RemoveListenerCertificates",
)
_BALANCER_CREATIONS: Final = (
    "cloudwatch:PutMetricAlarm",
    "cloudwatch:TagResource",
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "logs:CreateLogGroup",
    "logs:TagResource",
)
_BALANCER_REST: Final = (
    "application-autoscaling:DeleteScalingPolicy",
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:DescribeScalingActivities",
    "application-autoscaling:DescribeScalingPolicies",
    "application-autoscaling:PutScalingPolicy",
    "ec2:CreateSecurityGroup",
    "ec2:CreateTags",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetHealth",
    "logs:DescribeLogGroups",
)


def leaving(resource_type: str) -> Iterator[Rule]:
    """What it takes to find what a service of the type left behind in the other runtime, and to remove it."""
    for name in LEFT.get(resource_type, ()):
        for each_rule in SERVICES[name]:
            kept = each_rule.actions if each_rule.who == "read" else _removals(each_rule)
            if kept:
                yield replace(each_rule, actions=kept)


def _removals(found: Rule) -> tuple[str, ...]:
    return tuple(action for action in found.actions if ":Delete" in action)
