"""List the IAM actions for running a ContainerService in each runtime, and for moving between runtimes.  Data.

Source: AWS service authorization reference; for ECS Express Mode, the permissions of AWS's own GitHub action.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec.structs import replace

from orchestrator.bootstrap.permission_rules import (
    ROLE_ARN,
    SERVICE_LINKED_ROLE_ARN,
    PermissionRule,
    allow,
    crud_actions,
)
from orchestrator.vocabulary import Scope

_APP_RUNNER_ARN_PREFIX = "arn:aws:apprunner:{r}:{a}:"
_SERVICE_ARN, _AUTOSCALING_ARN = (
    f"{_APP_RUNNER_ARN_PREFIX}service/{{n}}/*",
    f"{_APP_RUNNER_ARN_PREFIX}autoscalingconfiguration/{{n}}/*",
)
_VPC_CONNECTOR_ARN, _OBSERVABILITY_ARN = (
    f"{_APP_RUNNER_ARN_PREFIX}vpcconnector/{{n}}/*",
    f"{_APP_RUNNER_ARN_PREFIX}observabilityconfiguration/{{n}}/*",
)
_APP_RUNNER_LOG_GROUP_ARN = "arn:aws:logs:{r}:{a}:log-group:/aws/apprunner/{n}/*"
_EXPRESS_SERVICE_ARNS = (
    "arn:aws:ecs:{r}:{a}:service/default/{n}",
    "arn:aws:ecs:{r}:{a}:service-deployment/default/{n}/*",
    "arn:aws:ecs:{r}:{a}:service-revision/default/{n}/*",
)
_EXPRESS_LOG_GROUP_ARNS = ("arn:aws:logs:{r}:{a}:log-group:/ecs/{n}", "arn:aws:logs:{r}:{a}:log-group:/ecs/{n}:*")

RUNTIME_RULES_BY_TYPE: Final[dict[str, tuple[PermissionRule, ...]]] = {
    "apprunner_autoscaling": (
        allow("read", "apprunner", "DescribeAutoScalingConfiguration ListTagsForResource", _AUTOSCALING_ARN),
        allow("write", "apprunner", "CreateAutoScalingConfiguration", _AUTOSCALING_ARN),
        allow(
            "write",
            "apprunner",
            "DeleteAutoScalingConfiguration",
            _AUTOSCALING_ARN,
            _AUTOSCALING_ARN.removesuffix("/*"),
        ),
        allow("write", "apprunner", "TagResource", _AUTOSCALING_ARN),
    ),
    "apprunner_connector": (
        allow("read", "apprunner", "DescribeVpcConnector ListTagsForResource", _VPC_CONNECTOR_ARN),
        allow("write", "apprunner", "CreateVpcConnector DeleteVpcConnector TagResource", _VPC_CONNECTOR_ARN),
        allow("write", "iam", "CreateServiceLinkedRole", SERVICE_LINKED_ROLE_ARN, condition="linked"),
    ),
    "apprunner_observability": (
        allow("read", "apprunner", "DescribeObservabilityConfiguration ListTagsForResource", _OBSERVABILITY_ARN),
        allow("write", "apprunner", "TagResource CreateObservabilityConfiguration", _OBSERVABILITY_ARN),
        allow("write", "apprunner", "DeleteObservabilityConfiguration", _OBSERVABILITY_ARN),
    ),
    "apprunner_service": (
        allow("read", "apprunner", "DescribeService ListOperations ListTagsForResource", _SERVICE_ARN),
        allow("read", "logs", "DescribeLogGroups"),
        allow("write", "apprunner", "UpdateService DeleteService ResumeService TagResource", _SERVICE_ARN),
        allow("write", "apprunner", "CreateService", _SERVICE_ARN),
        allow(
            "write",
            "apprunner",
            "CreateService UpdateService",
            _AUTOSCALING_ARN,
            _VPC_CONNECTOR_ARN,
            _OBSERVABILITY_ARN,
        ),
        allow("write", "logs", "CreateLogGroup PutRetentionPolicy TagResource", _APP_RUNNER_LOG_GROUP_ARN),
        allow("write", "logs", "DescribeLogStreams GetLogEvents", _APP_RUNNER_LOG_GROUP_ARN),
        allow("write", "iam", "PassRole", ROLE_ARN, condition="passed"),
        allow("write", "iam", "CreateServiceLinkedRole", SERVICE_LINKED_ROLE_ARN, condition="linked"),
    ),
    "ecs_express_service": (
        allow(
            "read",
            "ecs",
            "DescribeExpressGatewayService ListServiceDeployments DescribeServiceDeployments DescribeServiceRevisions",
            *_EXPRESS_SERVICE_ARNS,
        ),
        allow("read", "ec2", "DescribeSecurityGroups"),
        allow("read", "logs", "DescribeLogGroups"),
        allow("write", "ecs", f"{crud_actions('ExpressGatewayService')} TagResource", *_EXPRESS_SERVICE_ARNS),
        allow("write", "ecs", "CreateCluster", "arn:aws:ecs:{r}:{a}:cluster/default"),
        allow("write", "ecs", "RegisterTaskDefinition"),
        allow("write", "logs", "CreateLogGroup PutRetentionPolicy TagResource", *_EXPRESS_LOG_GROUP_ARNS),
        allow("write", "logs", "DescribeLogStreams GetLogEvents", *_EXPRESS_LOG_GROUP_ARNS),
        allow("write", "iam", "PassRole", ROLE_ARN, condition="passed"),
        allow("write", "iam", "CreateServiceLinkedRole", SERVICE_LINKED_ROLE_ARN, condition="linked"),
    ),
}
"""Rules by resource type."""

PREVIOUS_RUNTIME_TYPES: Final = {
    "apprunner_service": ("ecs_express_service",),
    "ecs_express_service": tuple(name for name in RUNTIME_RULES_BY_TYPE if name.startswith("apprunner_")),
}
"""By type of a service: the types of the other runtime, in which it may have run before under the same name."""

PASS_ROLE_PRINCIPALS: Final = {
    "apprunner_service": ("build.apprunner.amazonaws.com", "tasks.apprunner.amazonaws.com"),
    "ecs_express_service": ("ecs-tasks.amazonaws.com", "ecs.amazonaws.com"),
}
"""The AWS services to which roles are passed."""
SERVICE_LINKED_ROLE_PRINCIPALS: Final = {
    "apprunner_service": ("apprunner.amazonaws.com", "networking.apprunner.amazonaws.com"),
    "ecs_express_service": (
        "ecs.amazonaws.com",
        "ecs.application-autoscaling.amazonaws.com",
        "elasticloadbalancing.amazonaws.com",
    ),
    "rds_instance": ("rds.amazonaws.com",),
}
"""The AWS services whose service-linked roles are created on first use."""

_MANAGED_TAG: Final = "AmazonECSManaged"
_TAGGED_CREATE_ACTIONS: Final = ["CreateListener", "CreateLoadBalancer", "CreateRule", "CreateTargetGroup"]


def load_balancer_permissions(scope: Scope) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield actions and conditions of the ECS infrastructure role: only resources that ECS created and tagged.

    Source: AWS's managed policy AmazonECSInfrastructureRoleforExpressGatewayServices, version 6.
    """
    region_condition = {"aws:RequestedRegion": scope.region}
    yield (
        _LOAD_BALANCER_CHANGE_ACTIONS,
        {"StringEquals": {**region_condition, f"aws:ResourceTag/{_MANAGED_TAG}": "true"}},
    )
    yield (
        _LOAD_BALANCER_CREATE_ACTIONS,
        {"StringEquals": {**region_condition, f"aws:RequestTag/{_MANAGED_TAG}": "true"}},
    )
    yield (
        ("elasticloadbalancing:AddTags",),
        {"StringEquals": {**region_condition, "elasticloadbalancing:CreateAction": _TAGGED_CREATE_ACTIONS}},
    )
    yield _LOAD_BALANCER_OTHER_ACTIONS, {"StringEquals": region_condition}
    service_principals = SERVICE_LINKED_ROLE_PRINCIPALS["ecs_express_service"]
    yield ("iam:CreateServiceLinkedRole",), {"StringEquals": {"iam:AWSServiceName": list(service_principals)}}


_LOAD_BALANCER_CHANGE_ACTIONS: Final = (
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
_LOAD_BALANCER_CREATE_ACTIONS: Final = (
    "cloudwatch:PutMetricAlarm",
    "cloudwatch:TagResource",
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "logs:CreateLogGroup",
    "logs:TagResource",
)
_LOAD_BALANCER_OTHER_ACTIONS: Final = (
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


def previous_runtime_rules(resource_type: str) -> Iterator[PermissionRule]:
    """Yield the rules for finding and deleting what a service left behind in the other runtime."""
    for previous_type in PREVIOUS_RUNTIME_TYPES.get(resource_type, ()):
        for permission_rule in RUNTIME_RULES_BY_TYPE[previous_type]:
            actions = (
                permission_rule.actions if permission_rule.access_level == "read" else _delete_actions(permission_rule)
            )
            if actions:
                yield replace(permission_rule, actions=actions)


def _delete_actions(permission_rule: PermissionRule) -> tuple[str, ...]:
    return tuple(action for action in permission_rule.actions if ":Delete" in action)
