"""List the permissions of the ECS infrastructure role, for the boundary of service roles.  Data.

Source: AWS's managed policy AmazonECSInfrastructureRoleforExpressGatewayServices, version 6, with its resources and
conditions.  A boundary is one policy of 6,144 characters, so statements with one condition are merged, and patterns
stand for actions where they match no others; a test compares both policies action by action.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from orchestrator.vocabulary import Scope

LOAD_BALANCER_ACTIONS: Final = (
    "acm:*",
    "application-autoscaling:*",
    "cloudwatch:*",
    "ec2:*",
    "elasticloadbalancing:*",
    "iam:*",
    "logs:CreateLogGroup",
    "logs:DescribeLogGroups",
    "logs:TagResource",
)
"""What no other role of a service may do."""
_BALANCERS: Final = ("elasticloadbalancing:{r}:{a}:*/app/*/*", "elasticloadbalancing:{r}:{a}:targetgroup/*/*")
_GROUPS, _GROUP_RULES, _VPCS = (
    "ec2:{r}:{a}:security-group/*",
    "ec2:{r}:{a}:security-group-rule/*",
    "ec2:{r}:{a}:vpc/*",
)
_ALARMS, _CERTIFICATES = "cloudwatch:{r}:{a}:alarm:*", "acm:{r}:{a}:certificate/*"
_SCALABLE_TARGETS, _LOG_GROUPS = (
    "application-autoscaling:{r}:{a}:scalable-target/*",
    "logs:{r}:{a}:log-group:*",
)


class _Grant(Struct, frozen=True):
    """Actions by service, the resources of all of them, and the condition that they share."""

    actions: Mapping[str, str]
    resources: tuple[str, ...] = ()
    condition: Mapping[str, Any] = {}


_GRANTS: Final = (
    _Grant(
        {
            "acm": "AddTagsToCertificate DeleteCertificate DescribeCertificate RequestCertificate",
            "application-autoscaling": "*ScalableTarget TagResource",
            "cloudwatch": "DeleteAlarms DescribeAlarms",
            "ec2": "*SecurityGroupEgress *SecurityGroupIngress DeleteSecurityGroup",
            "elasticloadbalancing": "*Listener *Rule *Targets AddListenerCertificates CreateLoadBalancer"
            " CreateTargetGroup DeleteLoadBalancer DeleteTargetGroup RemoveListenerCertificates",
        },
        (*_BALANCERS, _ALARMS, _CERTIFICATES, _GROUPS, _SCALABLE_TARGETS, _VPCS),
        {"aws:ResourceTag/AmazonECSManaged": "true"},
    ),
    _Grant(
        {
            "cloudwatch": "PutMetricAlarm TagResource",
            "ec2": "AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress CreateSecurityGroup",
            "logs": "CreateLogGroup TagResource",
        },
        (_ALARMS, _GROUPS, _GROUP_RULES, _LOG_GROUPS, _VPCS),
        {"aws:RequestTag/AmazonECSManaged": "true"},
    ),
    _Grant(
        {"elasticloadbalancing": "AddTags"},
        _BALANCERS,
        {
            "elasticloadbalancing:CreateAction": [
                "CreateListener",
                "CreateLoadBalancer",
                "CreateRule",
                "CreateTargetGroup",
            ]
        },
    ),
    _Grant(
        {"ec2": "CreateTags"},
        (_GROUPS, _GROUP_RULES),
        {"ec2:CreateAction": ["AuthorizeSecurityGroupEgress", "AuthorizeSecurityGroupIngress", "CreateSecurityGroup"]},
    ),
    _Grant(
        {"application-autoscaling": "*ScalingPolicy"},
        (_SCALABLE_TARGETS,),
        {"application-autoscaling:service-namespace": "ecs"},
    ),
    _Grant(
        {
            "application-autoscaling": "DescribeScal*",
            "ec2": "CreateSecurityGroup",
        },
        (_SCALABLE_TARGETS, _VPCS),
    ),
    _Grant(
        {
            "ec2": "DescribeRouteTables DescribeSecurityGroups DescribeSubnets DescribeVpcs",
            "elasticloadbalancing": "DescribeListeners DescribeLoadBalancers DescribeRules DescribeTargetGroups"
            " DescribeTargetHealth",
            "logs": "DescribeLogGroups",
        },
        condition={"aws:RequestedRegion": "{r}"},
    ),
    _Grant(
        {"iam": "CreateServiceLinkedRole"},
        condition={
            "iam:AWSServiceName": ["ecs.application-autoscaling.amazonaws.com", "elasticloadbalancing.amazonaws.com"]
        },
    ),
)


def load_balancer_permissions(scope: Scope) -> Iterator[tuple[list[str], list[str], Mapping[str, Any]]]:
    """Yield actions, ARNs and ``StringEquals`` conditions: load balancers and rules that ECS created and tagged."""
    for grant in _GRANTS:
        actions = [f"{service}:{action}" for service, names in grant.actions.items() for action in names.split()]
        arns = [f"arn:aws:{resource}".format(a=scope.account, r=scope.region) for resource in grant.resources]
        condition = {
            key: value.format(r=scope.region) if isinstance(value, str) else value
            for key, value in grant.condition.items()
        }
        yield actions, arns or ["*"], condition
