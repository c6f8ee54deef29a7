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
from orchestrator.steps import camel
from tests.bootstrap.evaluator import Request

ACCOUNT, REGION = "123456789012", "eu-west-1"
TAG_KEYS = ("Tags", "tags", "TagList", "ResourceTags", "TagSpecifications")
OTHERWISE = {
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
ALSO = {
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
MORE = {
    "ecs:CreateExpressGatewayService": ["ecs:CreateCluster", "ecs:RegisterTaskDefinition", "ecs:TagResource"],
    "ecs:UpdateExpressGatewayService": ["ecs:RegisterTaskDefinition"],
}
"""An Express service is put together of other things, which the caller has to be allowed."""
CDN = {
    "Function": "function/fn",
    "OriginAccessControl": "origin-access-control/E1",
    "ResponseHeadersPolic": "response-headers-policy/p1",
}
APPRUNNER = {
    "AutoScaling": "autoscalingconfiguration",
    "VpcConnector": "vpcconnector",
    "Observab": "observabilityconfiguration",
}
NAMELESS = ("iam:ListRoles", "ec2:Describe", "cloudfront:List", "tag:", "logs:Describe", "ecr:GetAuthorizationToken")


@dataclass
class Recorder(Clients):
    """Clients that write down each call before they make it."""

    region: str = REGION
    seen: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.region, attempts=2)
        self._writing = threading.Lock()

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        self._note(service, operation, parameters)
        return super().call(service, operation, parameters, region)

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> list[Any]:
        self._note(service, operation, parameters)
        return super().pages(service, operation, parameters, region)

    def _note(self, service: str, operation: str, parameters: Mapping[str, Any]) -> None:
        with self._writing:
            self.seen.append((service, camel(operation), dict(parameters)))

    def requests(self, tags: Mapping[str, str]) -> list[Request]:
        """What IAM would be asked, each once; ``tags`` are those of the things that are worked on."""
        found = {str(each) + str(each.context): each for call in self.seen for each in requests(*call, tags)}
        return list(found.values())


def requests(service: str, operation: str, given: Mapping[str, Any], tags: Mapping[str, str]) -> Iterator[Request]:
    """What IAM is asked for one call."""
    name = f"{service}:{operation}"
    actions = [*OTHERWISE.get(name, [name]), *([ALSO[name]] if name in ALSO else []), *MORE.get(name, ())]
    for action in actions:
        for arn in arns(action, operation, given):
            yield Request(action, arn, _context(operation, given, tags, arn))
    if name in {"apprunner:CreateService", "apprunner:UpdateService"}:
        yield from _passed(given)
    if name in {"ecs:CreateExpressGatewayService", "ecs:UpdateExpressGatewayService"}:
        yield from _passed_to_ecs(given)


def arns(action: str, operation: str, given: Mapping[str, Any]) -> list[str]:
    """On what the action is asked for.  LookupError for a call nobody thought of."""
    service = action.partition(":")[0]
    if (action.startswith(NAMELESS) and "Resource" not in given) or action in {
        "s3:ListAllMyBuckets",
        "sns:Unsubscribe",
        "ec2:CreateDefaultVpc",
        "ecs:ListServices",
        "ecs:RegisterTaskDefinition",
    }:
        return ["*"]
    if (bare := f"{service}:{operation}").startswith("apprunner:List") and "ForResource" not in operation and not given:
        return ["*"] if bare else []
    return _PLACES[service](action, operation, given)


def _s3(action: str, operation: str, given: Mapping[str, Any]) -> list[str]:
    bucket = f"arn:aws:s3:::{given['Bucket']}"
    if operation == "CopyObject" and action == "s3:GetObject":
        source = given["CopySource"]
        return [f"arn:aws:s3:::{source['Bucket']}/{source['Key']}"]
    if operation == "DeleteObjects":
        return [f"{bucket}/{each['Key']}" for each in given["Delete"]["Objects"]]
    return [f"{bucket}/{given['Key']}"] if "Key" in given else [bucket]


def _iam(action: str, operation: str, given: Mapping[str, Any]) -> list[str]:
    path = given.get("Path", "/orchestrator/joiabagur/prod/")
    return [f"arn:aws:iam::{ACCOUNT}:role{path}{given['RoleName']}"]


def _secrets(action: str, operation: str, given: Mapping[str, Any]) -> list[str]:
    said = given.get("Name") or given["SecretId"]
    return [said if said.startswith("arn:") else f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{said}-a1B2c3"]


def _rds(action: str, operation: str, given: Mapping[str, Any]) -> list[str]:
    if "ResourceName" in given:
        return [given["ResourceName"]]
    kinds = {"DBInstanceIdentifier": "db", "DBSubnetGroupName": "subgrp", "DBParameterGroupName": "pg"}
    found = [f"arn:aws:rds:{REGION}:{ACCOUNT}:{kind}:{given[key]}" for key, kind in kinds.items() if key in given]
    return found[:1] if action == "rds:AddTagsToResource" else found


def _ecr(action: str, operation: str, given: Mapping[str, Any]) -> list[str]:
    names = [given["repositoryName"]] if "repositoryName" in given else given.get("repositoryNames", [])
    return (
        [given["resourceArn"]]
        if "resourceArn" in given
        else [f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}" for name in names]
    )


def _budgets(action: str, operation: str, given: Mapping[str, Any]) -> list[str]:
    name = given.get("BudgetName") or given.get("Budget", {}).get("BudgetName", "any")
    return [given.get("ResourceARN", f"arn:aws:budgets::{ACCOUNT}:budget/{name}")]


def _cloudfront(action: str, operation: str, given: Mapping[str, Any]) -> list[str]:
    if "Function" in action:
        return [f"arn:aws:cloudfront::{ACCOUNT}:function/{given['Name']}"]
    what = next((place for word, place in CDN.items() if word in action), "distribution/E2")
    return [given.get("Resource", f"arn:aws:cloudfront::{ACCOUNT}:{what}")]


def _cloudwatch(action: str, operation: str, given: Mapping[str, Any]) -> list[str]:
    names = [given["AlarmName"]] if "AlarmName" in given else given.get("AlarmNames", ["*"])
    return (
        [given["ResourceARN"]]
        if "ResourceARN" in given
        else [f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}" for name in names]
    )


def _sns(action: str, operation: str, given: Mapping[str, Any]) -> list[str]:
    arn = given.get("TopicArn") or given.get("ResourceArn")
    return [arn or f"arn:aws:sns:{REGION}:{ACCOUNT}:{given['Name']}"]


def _logs(action: str, operation: str, given: Mapping[str, Any]) -> list[str]:
    return [f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{given['logGroupName']}"]


def _apprunner(action: str, operation: str, given: Mapping[str, Any]) -> list[str]:
    for key in ("ServiceArn", "ResourceArn", "AutoScalingConfigurationArn", "VpcConnectorArn"):
        if key in given:
            return [given[key]]
    kind = next((kind for word, kind in APPRUNNER.items() if word in operation), "service")
    name = next((given[key] for key in given if key.endswith("Name")), None)
    if name is None or operation.startswith("List"):
        return ["*"]
    return [f"arn:aws:apprunner:{REGION}:{ACCOUNT}:{kind}/{name}/1/abc" if kind != "service" else
            f"arn:aws:apprunner:{REGION}:{ACCOUNT}:service/{name}/abc"]  # fmt: skip


def _ecs(action: str, operation: str, given: Mapping[str, Any]) -> list[str]:
    base = f"arn:aws:ecs:{REGION}:{ACCOUNT}:"
    if action == "ecs:CreateCluster":
        return [f"{base}cluster/default"]
    for key in ("serviceDeploymentArns", "serviceRevisionArns"):
        if key in given:
            return list(given[key])
    name = given.get("serviceName")
    return [f"{base}service/default/{name}" if name else given.get("serviceArn") or given.get("resourceArn")
            or given["service"]]  # fmt: skip


def _ec2(action: str, operation: str, given: Mapping[str, Any]) -> list[str]:
    base = f"arn:aws:ec2:{REGION}:{ACCOUNT}:"
    group, endpoint = f"{base}security-group/sg-1", f"{base}vpc-endpoint/vpce-1"
    if operation == "CreateVpcEndpoint":
        return [endpoint] if action == "ec2:CreateTags" else [endpoint, f"{base}vpc/vpc-1", f"{base}route-table/rtb-1"]
    if operation == "CreateSecurityGroup":
        return [group] if action == "ec2:CreateTags" else [group, f"{base}vpc/vpc-1"]
    return [endpoint if "Endpoint" in operation else group]


_PLACES = {
    "apprunner": _apprunner, "budgets": _budgets, "cloudfront": _cloudfront, "cloudwatch": _cloudwatch, "ec2": _ec2,
    "ecs": _ecs, "ecr": _ecr, "iam": _iam, "logs": _logs, "rds": _rds, "s3": _s3, "secretsmanager": _secrets,
    "sns": _sns,
}  # fmt: skip


def _context(operation: str, given: Mapping[str, Any], tags: Mapping[str, str], arn: str) -> dict[str, str]:
    context = {f"aws:RequestTag/{key}": value for key, value in _tags(given).items()}
    if not operation.startswith("Create") or operation == "CreateInvalidation":
        context |= {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
    if ":role/" in arn:
        context["iam:PermissionsBoundary"] = given.get("PermissionsBoundary") or BOUNDARY
    if "PolicyArn" in given:
        context["iam:PolicyARN"] = given["PolicyArn"]
    return context


BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/orchestrator/joiabagur/prod.github/joiabagur-prod-boundary"


def _tags(given: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in TAG_KEYS:
        said = given.get(key, [])
        if isinstance(said, Mapping):
            said = said.get("Items") or [{"Key": name, "Value": value} for name, value in said.items()]
        for each in said:
            inner = each.get("Tags", [each])
            found |= {str(tag.get("Key", tag.get("key"))): str(tag.get("Value", tag.get("value"))) for tag in inner}
    if "DistributionConfigWithTags" in given:
        found |= _tags(given["DistributionConfigWithTags"])
    return found


def _passed(given: Mapping[str, Any]) -> Iterator[Request]:
    configuration = given.get("InstanceConfiguration", {}).get("InstanceRoleArn")
    authentication = given.get("SourceConfiguration", {}).get("AuthenticationConfiguration", {}).get("AccessRoleArn")
    for role, service in ((configuration, "tasks"), (authentication, "build")):
        if role:
            yield Request("iam:PassRole", role, {"iam:PassedToService": f"{service}.apprunner.amazonaws.com"})


def _passed_to_ecs(given: Mapping[str, Any]) -> Iterator[Request]:
    principals = {"taskRoleArn": "ecs-tasks", "executionRoleArn": "ecs-tasks", "infrastructureRoleArn": "ecs"}
    for key, service in principals.items():
        if key in given:
            yield Request("iam:PassRole", given[key], {"iam:PassedToService": f"{service}.amazonaws.com"})
