"""What IAM is asked for each call that was really made: action and ARN, from the call's own parameters.

Written from the service authorization reference and apart from the product's own table, so that each checks the other.
A call that is not known here fails the test that meets it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.aws import Clients
from orchestrator.steps import to_operation_name
from tests.bootstrap.policy_evaluator import Request

ACCOUNT, REGION = "123456789012", "eu-west-1"
TAG_KEYS = ("Tags", "tags", "TagList", "ResourceTags", "TagSpecifications")
IAM_ACTIONS = {
    "s3:HeadBucket": ["s3:ListBucket"],
    "s3:ListBuckets": ["s3:ListAllMyBuckets"],
    "s3:ListObjectsV2": ["s3:ListBucket"],
    "s3:ListObjectVersions": ["s3:ListBucketVersions"],
    "s3:ListMultipartUploads": ["s3:ListBucketMultipartUploads"],
    "s3:HeadObject": ["s3:GetObject"],
    "s3:CopyObject": ["s3:GetObject", "s3:PutObject"],
    "s3:DeleteObjects": ["s3:DeleteObject"],
    "s3:GetBucketEncryption": ["s3:GetEncryptionConfiguration"],
    "s3:PutBucketEncryption": ["s3:PutEncryptionConfiguration"],
    "s3:GetPublicAccessBlock": ["s3:GetBucketPublicAccessBlock"],
    "s3:PutPublicAccessBlock": ["s3:PutBucketPublicAccessBlock"],
    "s3:GetBucketLifecycleConfiguration": ["s3:GetLifecycleConfiguration"],
    "s3:PutBucketLifecycleConfiguration": ["s3:PutLifecycleConfiguration"],
    "s3:DeleteBucketLifecycle": ["s3:PutLifecycleConfiguration"],
    "s3:DeleteBucketCors": ["s3:PutBucketCORS"],
    "s3:GetBucketNotificationConfiguration": ["s3:GetBucketNotification"],
    "s3:PutBucketNotificationConfiguration": ["s3:PutBucketNotification"],
    "budgets:DescribeBudgets": ["budgets:ViewBudget"],
    "budgets:DescribeNotificationsForBudget": ["budgets:ViewBudget"],
    "budgets:DescribeSubscribersForNotification": ["budgets:ViewBudget"],
    "budgets:CreateBudget": ["budgets:ModifyBudget"],
    "budgets:CreateNotification": ["budgets:ModifyBudget"],
    "cloudfront:CreateDistributionWithTags": ["cloudfront:CreateDistribution"],
    "resourcegroupstaggingapi:GetResources": ["tag:GetResources"],
    "sts:GetCallerIdentity": [],
}
"""IAM's names, where they are not the operation's; GetCallerIdentity needs no permission."""
TAGGING_ACTIONS = {
    "apprunner:CreateAutoScalingConfiguration": "apprunner:TagResource",
    "apprunner:CreateService": "apprunner:TagResource",
    "apprunner:CreateVpcConnector": "apprunner:TagResource",
    "budgets:CreateBudget": "budgets:TagResource",
    "cloudfront:CreateDistributionWithTags": "cloudfront:TagResource",
    "cloudwatch:PutMetricAlarm": "cloudwatch:TagResource",
    "ec2:CreateSecurityGroup": "ec2:CreateTags",
    "ec2:CreateVpcEndpoint": "ec2:CreateTags",
    "ecr:CreateRepository": "ecr:TagResource",
    "iam:CreateRole": "iam:TagRole",
    "rds:CreateDBInstance": "rds:AddTagsToResource",
    "rds:CreateDBParameterGroup": "rds:AddTagsToResource",
    "rds:CreateDBSubnetGroup": "rds:AddTagsToResource",
    "secretsmanager:CreateSecret": "secretsmanager:TagResource",
    "sns:CreateTopic": "sns:TagResource",
    "logs:CreateLogGroup": "logs:TagResource",
}
"""Creating with tags needs the right to tag."""
IMPLIED_ACTIONS = {
    "ecs:CreateExpressGatewayService": ["ecs:CreateCluster", "ecs:RegisterTaskDefinition", "ecs:TagResource"],
    "ecs:UpdateExpressGatewayService": ["ecs:RegisterTaskDefinition"],
}
"""An Express service is put together of other things, which the caller has to be allowed."""
CLOUDFRONT_RESOURCES = {
    "Function": "function/fn",
    "OriginAccessControl": "origin-access-control/E1",
    "ResponseHeadersPolic": "response-headers-policy/p1",
}
APPRUNNER_RESOURCES = {
    "AutoScaling": "autoscalingconfiguration",
    "VpcConnector": "vpcconnector",
    "Observab": "observabilityconfiguration",
}
WILDCARD_PREFIXES = (
    "iam:ListRoles",
    "ec2:Describe",
    "cloudfront:List",
    "tag:",
    "logs:Describe",
    "ecr:GetAuthorizationToken",
)


@dataclass
class RecordingClients(Clients):
    """Clients that write down each call before they make it."""

    region: str = REGION
    calls: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.region, attempts=2)
        self._lock = threading.Lock()

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        self._append_call(service, operation, parameters)
        return super().call(service, operation, parameters, region)

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> list[Any]:
        self._append_call(service, operation, parameters)
        return super().pages(service, operation, parameters, region)

    def _append_call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> None:
        with self._lock:
            self.calls.append((service, to_operation_name(operation), dict(parameters)))

    def list_requests(self, tags: Mapping[str, str]) -> list[Request]:
        """What IAM would be asked, each once; ``tags`` are those of the things that are worked on."""
        requests_by_key = {
            str(request) + str(request.context): request
            for call in self.calls
            for request in iter_requests(*call, tags)
        }
        return list(requests_by_key.values())


def iter_requests(
    service: str, operation: str, parameters: Mapping[str, Any], tags: Mapping[str, str]
) -> Iterator[Request]:
    """What IAM is asked for one call."""
    name = f"{service}:{operation}"
    actions = [
        *IAM_ACTIONS.get(name, [name]),
        *([TAGGING_ACTIONS[name]] if name in TAGGING_ACTIONS else []),
        *IMPLIED_ACTIONS.get(name, ()),
    ]
    for action in actions:
        for arn in list_arns(action, operation, parameters):
            yield Request(action, arn, _condition_context(operation, parameters, tags, arn))
    if name in {"apprunner:CreateService", "apprunner:UpdateService"}:
        yield from _iter_pass_role(parameters)
    if name in {"ecs:CreateExpressGatewayService", "ecs:UpdateExpressGatewayService"}:
        yield from _iter_ecs_pass_role(parameters)


def list_arns(action: str, operation: str, parameters: Mapping[str, Any]) -> list[str]:
    """On what the action is asked for.  LookupError for a call nobody thought of."""
    service = action.partition(":")[0]
    if (action.startswith(WILDCARD_PREFIXES) and "Resource" not in parameters) or action in {
        "s3:ListAllMyBuckets",
        "sns:Unsubscribe",
        "ec2:CreateDefaultVpc",
        "ecs:ListServices",
        "ecs:RegisterTaskDefinition",
    }:
        return ["*"]
    if (
        (call_name := f"{service}:{operation}").startswith("apprunner:List")
        and "ForResource" not in operation
        and not parameters
    ):
        return ["*"] if call_name else []
    return _ARN_BUILDERS[service](action, operation, parameters)


def _s3_arns(action: str, operation: str, parameters: Mapping[str, Any]) -> list[str]:
    bucket = f"arn:aws:s3:::{parameters['Bucket']}"
    if operation == "CopyObject" and action == "s3:GetObject":
        source = parameters["CopySource"]
        return [f"arn:aws:s3:::{source['Bucket']}/{source['Key']}"]
    if operation == "DeleteObjects":
        return [f"{bucket}/{item['Key']}" for item in parameters["Delete"]["Objects"]]
    return [f"{bucket}/{parameters['Key']}"] if "Key" in parameters else [bucket]


def _iam_arns(action: str, operation: str, parameters: Mapping[str, Any]) -> list[str]:
    if operation == "CreateServiceLinkedRole":
        principal = parameters["AWSServiceName"]
        return [f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{principal}/AWSServiceRoleForRDS"]
    path = parameters.get("Path", "/orchestrator/joiabagur/prod/")
    return [f"arn:aws:iam::{ACCOUNT}:role{path}{parameters['RoleName']}"]


def _secret_arns(action: str, operation: str, parameters: Mapping[str, Any]) -> list[str]:
    name_or_arn = parameters.get("Name") or parameters["SecretId"]
    return [
        name_or_arn
        if name_or_arn.startswith("arn:")
        else f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name_or_arn}-a1B2c3"
    ]


def _rds_arns(action: str, operation: str, parameters: Mapping[str, Any]) -> list[str]:
    if "ResourceName" in parameters:
        return [parameters["ResourceName"]]
    arn_types = {"DBInstanceIdentifier": "db", "DBSubnetGroupName": "subgrp", "DBParameterGroupName": "pg"}
    found_arns = [
        f"arn:aws:rds:{REGION}:{ACCOUNT}:{arn_type}:{parameters[key]}"
        for key, arn_type in arn_types.items()
        if key in parameters
    ]
    return found_arns[:1] if action == "rds:AddTagsToResource" else found_arns


def _ecr_arns(action: str, operation: str, parameters: Mapping[str, Any]) -> list[str]:
    names = [parameters["repositoryName"]] if "repositoryName" in parameters else parameters.get("repositoryNames", [])
    return (
        [parameters["resourceArn"]]
        if "resourceArn" in parameters
        else [f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}" for name in names]
    )


def _budget_arns(action: str, operation: str, parameters: Mapping[str, Any]) -> list[str]:
    name = parameters.get("BudgetName") or parameters.get("Budget", {}).get("BudgetName", "any")
    return [parameters.get("ResourceARN", f"arn:aws:budgets::{ACCOUNT}:budget/{name}")]


def _cloudfront_arns(action: str, operation: str, parameters: Mapping[str, Any]) -> list[str]:
    if "Function" in action:
        return [f"arn:aws:cloudfront::{ACCOUNT}:function/{parameters['Name']}"]
    resource_path = next((path for word, path in CLOUDFRONT_RESOURCES.items() if word in action), "distribution/E2")
    return [parameters.get("Resource", f"arn:aws:cloudfront::{ACCOUNT}:{resource_path}")]


def _cloudwatch_arns(action: str, operation: str, parameters: Mapping[str, Any]) -> list[str]:
    names = [parameters["AlarmName"]] if "AlarmName" in parameters else parameters.get("AlarmNames", ["*"])
    return (
        [parameters["ResourceARN"]]
        if "ResourceARN" in parameters
        else [f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}" for name in names]
    )


def _sns_arns(action: str, operation: str, parameters: Mapping[str, Any]) -> list[str]:
    arn = parameters.get("TopicArn") or parameters.get("ResourceArn")
    return [arn or f"arn:aws:sns:{REGION}:{ACCOUNT}:{parameters['Name']}"]


def _log_arns(action: str, operation: str, parameters: Mapping[str, Any]) -> list[str]:
    return [f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{parameters['logGroupName']}"]


def _apprunner_arns(action: str, operation: str, parameters: Mapping[str, Any]) -> list[str]:
    for key in ("ServiceArn", "ResourceArn", "AutoScalingConfigurationArn", "VpcConnectorArn"):
        if key in parameters:
            return [parameters[key]]
    resource_type = next(
        (resource_type for word, resource_type in APPRUNNER_RESOURCES.items() if word in operation), "service"
    )
    name = next((parameters[key] for key in parameters if key.endswith("Name")), None)
    if name is None or operation.startswith("List"):
        return ["*"]
    return [f"arn:aws:apprunner:{REGION}:{ACCOUNT}:{resource_type}/{name}/1/abc" if resource_type != "service" else
            f"arn:aws:apprunner:{REGION}:{ACCOUNT}:service/{name}/abc"]  # fmt: skip


def _ecs_arns(action: str, operation: str, parameters: Mapping[str, Any]) -> list[str]:
    base = f"arn:aws:ecs:{REGION}:{ACCOUNT}:"
    if action == "ecs:CreateCluster":
        return [f"{base}cluster/default"]
    for key in ("serviceDeploymentArns", "serviceRevisionArns"):
        if key in parameters:
            return list(parameters[key])
    name = parameters.get("serviceName")
    return [f"{base}service/default/{name}" if name else parameters.get("serviceArn") or parameters.get("resourceArn")
            or parameters["service"]]  # fmt: skip


def _ec2_arns(action: str, operation: str, parameters: Mapping[str, Any]) -> list[str]:
    base = f"arn:aws:ec2:{REGION}:{ACCOUNT}:"
    group, endpoint = f"{base}security-group/sg-1", f"{base}vpc-endpoint/vpce-1"
    if operation == "CreateVpcEndpoint":
        return [endpoint] if action == "ec2:CreateTags" else [endpoint, f"{base}vpc/vpc-1", f"{base}route-table/rtb-1"]
    if operation == "CreateSecurityGroup":
        return [group] if action == "ec2:CreateTags" else [group, f"{base}vpc/vpc-1"]
    return [endpoint if "Endpoint" in operation else group]


_ARN_BUILDERS = {
    "apprunner": _apprunner_arns,
    "budgets": _budget_arns,
    "cloudfront": _cloudfront_arns,
    "cloudwatch": _cloudwatch_arns,
    "ec2": _ec2_arns,
    "ecs": _ecs_arns,
    "ecr": _ecr_arns,
    "iam": _iam_arns,
    "logs": _log_arns,
    "rds": _rds_arns,
    "s3": _s3_arns,
    "secretsmanager": _secret_arns,
    "sns": _sns_arns,
}


def _condition_context(
    operation: str, parameters: Mapping[str, Any], tags: Mapping[str, str], arn: str
) -> dict[str, str]:
    context = {f"aws:RequestTag/{key}": value for key, value in _request_tags(parameters).items()}
    if not operation.startswith("Create") or operation == "CreateInvalidation":
        context |= {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
    if ":role/" in arn:
        context["iam:PermissionsBoundary"] = parameters.get("PermissionsBoundary") or BOUNDARY_ARN
    if "PolicyArn" in parameters:
        context["iam:PolicyARN"] = parameters["PolicyArn"]
    if "AWSServiceName" in parameters:
        context["iam:AWSServiceName"] = parameters["AWSServiceName"]
    return context


BOUNDARY_ARN = f"arn:aws:iam::{ACCOUNT}:policy/orchestrator/joiabagur/prod.github/joiabagur-prod-boundary"


def _request_tags(parameters: Any) -> dict[str, str]:
    tags: dict[str, str] = {}
    for key in TAG_KEYS:
        entries = parameters.get(key, [])
        if isinstance(entries, Mapping):
            entries = entries.get("Items") or [{"Key": name, "Value": value} for name, value in entries.items()]
        for entry in entries:
            pairs = entry.get("Tags", [entry])
            tags |= {str(tag.get("Key", tag.get("key"))): str(tag.get("Value", tag.get("value"))) for tag in pairs}
    if "DistributionConfigWithTags" in parameters:
        tags |= _request_tags(parameters["DistributionConfigWithTags"])
    return tags


def _iter_pass_role(parameters: Mapping[str, Any]) -> Iterator[Request]:
    configuration = parameters.get("InstanceConfiguration", {}).get("InstanceRoleArn")
    authentication = (
        parameters.get("SourceConfiguration", {}).get("AuthenticationConfiguration", {}).get("AccessRoleArn")
    )
    for role, service in ((configuration, "tasks"), (authentication, "build")):
        if role:
            yield Request("iam:PassRole", role, {"iam:PassedToService": f"{service}.apprunner.amazonaws.com"})


def _iter_ecs_pass_role(parameters: Mapping[str, Any]) -> Iterator[Request]:
    principals = {"taskRoleArn": "ecs-tasks", "executionRoleArn": "ecs-tasks", "infrastructureRoleArn": "ecs"}
    for key, service in principals.items():
        if key in parameters:
            yield Request("iam:PassRole", parameters[key], {"iam:PassedToService": f"{service}.amazonaws.com"})
