"""List the IAM actions for running a ContainerService in each runtime, and for moving between runtimes.  Data.

Source: AWS service authorization reference; for ECS Express Mode, the permissions of AWS's own GitHub action.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from orchestrator.bootstrap.permission_rules import (
    QUOTA_RULES,
    ROLE_ARN,
    SERVICE_LINKED_ROLE_ARN,
    PermissionRule,
    allow,
    crud_actions,
)

_APP_RUNNER_ARN_PREFIX = "arn:aws:apprunner:{r}:{a}:"
_SERVICE_ARN, _AUTOSCALING_ARN = (
    f"{_APP_RUNNER_ARN_PREFIX}service/{{n}}/*",
    f"{_APP_RUNNER_ARN_PREFIX}autoscalingconfiguration/{{n}}/*",
)
_OBSERVABILITY_ARN = f"{_APP_RUNNER_ARN_PREFIX}observabilityconfiguration/{{n}}/*"
_VPC_CONNECTOR_ARNS = (
    f"{_APP_RUNNER_ARN_PREFIX}vpcconnector/{{n}}/*",
    f"{_APP_RUNNER_ARN_PREFIX}vpcconnector/{{n}}_*/*",
)
"""The first connector of a family, and the numbered ones that follow when its network changes."""
_APP_RUNNER_LOG_GROUP_ARN = "arn:aws:logs:{r}:{a}:log-group:/aws/apprunner/{n}/*"
_EXPRESS_SERVICE_ARN = "arn:aws:ecs:{r}:{a}:service/default/{n}"
_EXPRESS_CLUSTER_ARN = "arn:aws:ecs:{r}:{a}:cluster/default"
_EXPRESS_TASK_DEFINITION_ARN = "arn:aws:ecs:{r}:{a}:task-definition/*{n}*"
"""ECS chooses the family; it holds the name of the service."""
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
        allow("read", "apprunner", "ListTagsForResource", *_VPC_CONNECTOR_ARNS),
        allow("write", "apprunner", "CreateVpcConnector DeleteVpcConnector TagResource", *_VPC_CONNECTOR_ARNS),
        allow("write", "iam", "CreateServiceLinkedRole", SERVICE_LINKED_ROLE_ARN, condition="linked"),
    ),
    "apprunner_observability": (
        allow("read", "apprunner", "ListTagsForResource", _OBSERVABILITY_ARN),
        allow("write", "apprunner", "TagResource CreateObservabilityConfiguration", _OBSERVABILITY_ARN),
        allow("write", "apprunner", "DeleteObservabilityConfiguration", _OBSERVABILITY_ARN),
    ),
    "apprunner_service": (
        allow("read", "cloudwatch", "GetMetricData"),
        allow("read", "apprunner", "DescribeService ListOperations ListTagsForResource", _SERVICE_ARN),
        allow("read", "logs", "DescribeLogGroups"),
        allow("write", "apprunner", "UpdateService DeleteService PauseService ResumeService TagResource", _SERVICE_ARN),
        allow("write", "apprunner", "CreateService", _SERVICE_ARN),
        allow(
            "write",
            "apprunner",
            "CreateService UpdateService",
            _AUTOSCALING_ARN,
            *_VPC_CONNECTOR_ARNS,
            _OBSERVABILITY_ARN,
        ),
        allow("write", "logs", "CreateLogGroup PutRetentionPolicy", _APP_RUNNER_LOG_GROUP_ARN),
        allow("write", "logs", "DescribeLogStreams GetLogEvents", _APP_RUNNER_LOG_GROUP_ARN),
        allow("write", "iam", "PassRole", ROLE_ARN, condition="passed"),
        allow("write", "iam", "CreateServiceLinkedRole", SERVICE_LINKED_ROLE_ARN, condition="linked"),
    ),
    "ecs_express_service": (
        *QUOTA_RULES,
        allow("read", "elasticloadbalancing", "DescribeLoadBalancers"),
        allow(
            "read",
            "ecs",
            "DescribeExpressGatewayService ListServiceDeployments DescribeServiceDeployments DescribeServiceRevisions",
            _EXPRESS_SERVICE_ARN,
        ),
        allow("read", "ecs", "DescribeServiceDeployments", "arn:aws:ecs:{r}:{a}:service-deployment/default/{n}/*"),
        allow("read", "ecs", "DescribeServiceRevisions", "arn:aws:ecs:{r}:{a}:service-revision/default/{n}/*"),
        allow("write", "ecs", "StopServiceDeployment", "arn:aws:ecs:{r}:{a}:service-deployment/default/{n}/*"),
        allow("read", "cloudwatch", "GetMetricData"),
        allow("read", "ec2", "DescribeSecurityGroups"),
        allow("read", "logs", "DescribeLogGroups"),
        allow("write", "ecs", crud_actions("ExpressGatewayService"), _EXPRESS_SERVICE_ARN),
        allow("write", "ecs", "CreateCluster", _EXPRESS_CLUSTER_ARN),
        allow(
            "write",
            "ecs",
            "TagResource",
            _EXPRESS_SERVICE_ARN,
            _EXPRESS_CLUSTER_ARN,
            _EXPRESS_TASK_DEFINITION_ARN,
        ),
        allow("write", "ecs", "RegisterTaskDefinition"),
        allow("write", "logs", "CreateLogGroup PutRetentionPolicy", *_EXPRESS_LOG_GROUP_ARNS),
        allow("write", "logs", "DescribeLogStreams", *_EXPRESS_LOG_GROUP_ARNS),
        allow("write", "logs", "GetLogEvents", _EXPRESS_LOG_GROUP_ARNS[1]),
        allow("write", "iam", "PassRole", ROLE_ARN, condition="passed"),
        allow("write", "iam", "CreateServiceLinkedRole", SERVICE_LINKED_ROLE_ARN, condition="linked"),
    ),
}
"""Rules by resource type."""

_MIGRATION_DEFINITION_ARN = "arn:aws:ecs:{r}:{a}:task-definition/{n}-migration:*"
_MIGRATION_TASK_ARN = "arn:aws:ecs:{r}:{a}:task/default/*"
TASK_PRINCIPAL: Final = "ecs-tasks.amazonaws.com"
MIGRATION_TASK_RULES: Final = (
    allow("read", "ecs", "ListTasks"),
    allow("read", "ecs", "DescribeTasks", _MIGRATION_TASK_ARN),
    allow("write", "ecs", "DescribeClusters", _EXPRESS_CLUSTER_ARN),
    allow("write", "ecs", "CreateCluster", _EXPRESS_CLUSTER_ARN),
    allow("write", "ecs", "RegisterTaskDefinition RunTask DeleteTaskDefinitions", _MIGRATION_DEFINITION_ARN),
    allow("write", "ecs", "DeregisterTaskDefinition"),
    allow("write", "ecs", "StopTask", _MIGRATION_TASK_ARN, condition="ours"),
    allow("write", "ecs", "TagResource", _MIGRATION_DEFINITION_ARN),
    allow("write", "ecs", "TagResource", _MIGRATION_TASK_ARN, condition="made"),
    allow("write", "logs", "CreateLogGroup PutRetentionPolicy", *_EXPRESS_LOG_GROUP_ARNS),
    allow("write", "logs", "GetLogEvents", _EXPRESS_LOG_GROUP_ARNS[1]),
    allow("write", "iam", "PassRole", ROLE_ARN, condition="passed to tasks"),
    allow("write", "iam", "CreateServiceLinkedRole", SERVICE_LINKED_ROLE_ARN, condition="linked to tasks"),
)
"""What a migration in the VPC of the service ``{n}`` needs."""

PREVIOUS_RUNTIME_TYPES: Final = {
    "apprunner_service": ("ecs_express_service",),
    "ecs_express_service": tuple(name for name in RUNTIME_RULES_BY_TYPE if name.startswith("apprunner_")),
}
"""By type of a service: the types of the other runtime, in which it may have run before under the same name."""

PASS_ROLE_PRINCIPALS: Final = {
    "apprunner_service": ("apprunner.amazonaws.com", "build.apprunner.amazonaws.com", "tasks.apprunner.amazonaws.com"),
    "ecs_express_service": ("ecs-tasks.amazonaws.com", "ecs.amazonaws.com"),
}
"""The AWS services to which roles are passed: App Runner is documented and reported under all three names."""
SERVICE_LINKED_ROLE_PRINCIPALS: Final = {
    "apprunner_connector": ("networking.apprunner.amazonaws.com",),
    "apprunner_service": ("apprunner.amazonaws.com", "networking.apprunner.amazonaws.com"),
    "ecs_express_service": (
        "ecs.amazonaws.com",
        "ecs.application-autoscaling.amazonaws.com",
        "elasticloadbalancing.amazonaws.com",
    ),
    "rds_instance": ("rds.amazonaws.com",),
    "rds_subnet_group": ("rds.amazonaws.com",),
}
"""The AWS services whose service-linked roles are created on first use."""


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
