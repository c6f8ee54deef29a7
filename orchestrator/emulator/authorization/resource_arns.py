"""Find the ARNs that a call names, on which IAM authorises it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import unquote

from orchestrator.emulator.authorization.operation_actions import APPRUNNER_RESOURCES, CLOUDFRONT_RESOURCES


class AccountFacts(Protocol):
    """What IAM knows of an account besides the parameters of a call."""

    @property
    def region(self) -> str:
        """Return the region of the call."""
        ...

    @property
    def account(self) -> str:
        """Return the account's ID."""
        ...

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        """Return an ARN of the account."""
        ...

    def role_arns(self, name: str, action: str) -> list[str]:
        """Return the ARNs on which a role is authorised: one without a path if it does not exist."""
        ...

    def role_boundary(self, name: str) -> str:
        """Return the ARN of a role's permissions boundary, or ""."""
        ...

    def secret_arns(self, name: str) -> list[str]:
        """Return the ARNs on which the secret of a name is authorised."""
        ...

    def resource_tags(self, arn: str, parameters: Mapping[str, Any]) -> Mapping[str, str]:
        """Return the tags of what a call names."""
        ...

    def key_of(self, service: str, name: str) -> str | None:
        """Return the KMS key of a bucket or secret, or None if AWS's own key encrypts it."""
        ...


class NamedCall(Protocol):
    """A call whose resources are looked for."""

    @property
    def account(self) -> AccountFacts: ...

    @property
    def operation(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, Any]: ...


def find_arns(call: NamedCall, action: str) -> list[str]:
    """Return the ARNs that a call names for an action; [] if it names none."""
    build = _ARN_BUILDERS.get(action.partition(":")[0])
    try:
        return build(call, action) if build else []
    except KeyError:  # an operation that is about no resource of the known kinds
        return []


def _s3_arns(call: NamedCall, action: str) -> list[str]:
    bucket = f"arn:aws:s3:::{call.parameters['Bucket']}"
    if call.operation == "CopyObject" and action == "s3:GetObject":
        source = call.parameters["CopySource"]
        path = source if isinstance(source, str) else f"{source['Bucket']}/{source['Key']}"
        return [f"arn:aws:s3:::{unquote(path.removeprefix('/').partition('?versionId=')[0])}"]
    if call.operation == "DeleteObjects":
        return [f"{bucket}/{item['Key']}" for item in call.parameters["Delete"]["Objects"]]
    return [f"{bucket}/{call.parameters['Key']}"] if "Key" in call.parameters else [bucket]


def _iam_arns(call: NamedCall, action: str) -> list[str]:
    if call.operation == "CreateServiceLinkedRole":
        principal = call.parameters["AWSServiceName"]
        return [call.account.arn("iam", f"role/aws-service-role/{principal}/AWSServiceRoleForRDS", regional=False)]
    if "PolicyArn" in call.parameters and "RoleName" not in call.parameters:
        return [call.parameters["PolicyArn"]]
    name = call.parameters["RoleName"]
    if call.operation == "CreateRole":
        return [call.account.arn("iam", f"role{call.parameters.get('Path', '/')}{name}", regional=False)]
    return call.account.role_arns(name, action)


def _secret_arns(call: NamedCall, action: str) -> list[str]:
    name = call.parameters.get("Name") or call.parameters["SecretId"]
    return [name] if name.startswith("arn:") else call.account.secret_arns(name)


def _rds_arns(call: NamedCall, action: str) -> list[str]:
    if "ResourceName" in call.parameters:
        return [call.parameters["ResourceName"]]
    if call.operation == "DescribeDBSnapshots":
        return []
    kinds = {"DBInstanceIdentifier": "db", "DBSubnetGroupName": "subgrp", "DBParameterGroupName": "pg"}
    arns = [
        call.account.arn("rds", f"{kind}:{call.parameters[key]}")
        for key, kind in kinds.items()
        if key in call.parameters
    ]
    if call.operation in {"CreateDBInstance", "ModifyDBInstance"} and action != "rds:AddTagsToResource":
        arns += [call.account.arn("rds", "og:default:postgres-16"), call.account.arn("rds", "pg:default.postgres16")]
    return arns[:1] if action == "rds:AddTagsToResource" else arns


def _ecr_arns(call: NamedCall, action: str) -> list[str]:
    if "resourceArn" in call.parameters:
        return [call.parameters["resourceArn"]]
    one = [call.parameters["repositoryName"]] if "repositoryName" in call.parameters else []
    return [call.account.arn("ecr", f"repository/{name}") for name in one or call.parameters.get("repositoryNames", [])]


def _budget_arns(call: NamedCall, action: str) -> list[str]:
    budget = call.parameters.get("Budget") or call.parameters.get("NewBudget") or {}
    name = call.parameters.get("BudgetName") or budget.get("BudgetName")
    arns = [call.account.arn("budgets", f"budget/{name}", regional=False)] if name else []
    return [call.parameters["ResourceARN"]] if "ResourceARN" in call.parameters else arns


def _cloudfront_arns(call: NamedCall, action: str) -> list[str]:
    if "Resource" in call.parameters:
        return [call.parameters["Resource"]]
    kind = next((path for word, path in CLOUDFRONT_RESOURCES.items() if word in action), "distribution")
    name = call.parameters.get("Name") or call.parameters.get("Id") or call.parameters.get("DistributionId", "*")
    return [call.account.arn("cloudfront", f"{kind}/{name}", regional=False)]


def _cloudwatch_arns(call: NamedCall, action: str) -> list[str]:
    if "ResourceARN" in call.parameters:
        return [call.parameters["ResourceARN"]]
    one = [call.parameters["AlarmName"]] if "AlarmName" in call.parameters else []
    return [call.account.arn("cloudwatch", f"alarm:{name}") for name in one or call.parameters.get("AlarmNames", [])]


def _sns_arns(call: NamedCall, action: str) -> list[str]:
    arn = call.parameters.get("TopicArn") or call.parameters.get("ResourceArn")
    return [arn or call.account.arn("sns", call.parameters["Name"])]


def _log_arns(call: NamedCall, action: str) -> list[str]:
    group = call.account.arn("logs", f"log-group:{call.parameters['logGroupName']}")
    stream = call.parameters.get("logStreamName")
    # Messages of AWS name the group of actions on a whole group with an empty stream.
    return [f"{group}:log-stream:{stream}"] if stream else [group, f"{group}:log-stream:"]


def _apprunner_arns(call: NamedCall, action: str) -> list[str]:
    keys = ["ServiceArn", "ResourceArn", "AutoScalingConfigurationArn", "VpcConnectorArn"]
    keys.append("ObservabilityConfigurationArn")
    kind = next((item for word, item in APPRUNNER_RESOURCES.items() if word in call.operation), "service")
    if kind != "service" or call.operation != "CreateService":
        for key in keys:
            if key in call.parameters:
                return [call.parameters[key]]
    name = next((call.parameters[key] for key in call.parameters if key.endswith("Name")), None)
    revision = "/1" if kind != "service" else ""
    return [call.account.arn("apprunner", f"{kind}/{name}{revision}/0a1b")] if name else []


def _ecs_arns(call: NamedCall, action: str) -> list[str]:
    if "serviceDeploymentArn" in call.parameters:
        return [call.parameters["serviceDeploymentArn"]]
    for key in ("serviceDeploymentArns", "serviceRevisionArns"):
        for arn in call.parameters.get(key, ()):
            service = arn.rpartition("/")[0].replace(f":{arn.split(':')[5].partition('/')[0]}/", ":service/")
            return [service, *call.parameters[key]]
    if standalone := _standalone_task_arns(call, action):
        return standalone
    name = call.parameters.get("serviceName")
    named = [call.parameters[key] for key in ("serviceArn", "resourceArn", "service") if key in call.parameters]
    arns = [item if item.startswith("arn:") else call.account.arn("ecs", f"service/default/{item}") for item in named]
    return [call.account.arn("ecs", f"service/default/{name}")] if name else arns


def _standalone_task_arns(call: NamedCall, action: str) -> list[str]:
    """Return what a call on a standalone task or its definition is authorised on."""
    parameters, arn = call.parameters, call.account.arn
    if action in {"ecs:CreateCluster", "ecs:DescribeClusters"}:
        names = parameters.get("clusters") or [parameters.get("clusterName", "default")]
        return [arn("ecs", f"cluster/{name}") for name in names]
    if call.operation == "RegisterTaskDefinition":
        return [arn("ecs", f"task-definition/{parameters['family']}:1")]
    if call.operation == "RunTask" and action == "ecs:TagResource":
        return [arn("ecs", "task/default/0a1b")]
    if call.operation == "RunTask":
        return [str(parameters["taskDefinition"])]
    if call.operation == "DeleteTaskDefinitions":
        return [str(name) for name in parameters["taskDefinitions"]]
    if call.operation == "StopTask":
        return [str(parameters["task"])]
    return [str(name) for name in parameters.get("tasks", ())]


def _ec2_arns(call: NamedCall, action: str) -> list[str]:
    parameters, arn = call.parameters, call.account.arn
    if call.operation in {"CreateTags", "DeleteTags"}:
        return [arn("ec2", f"{_ec2_kind(name)}/{name}") for name in parameters["Resources"]]
    if call.operation in {"CreateVpcEndpoint", "CreateSecurityGroup"}:
        created = arn("ec2", "vpc-endpoint/*" if call.operation == "CreateVpcEndpoint" else "security-group/*")
        if action == "ec2:CreateTags":
            return [created]
        tables = [arn("ec2", f"route-table/{name}") for name in parameters.get("RouteTableIds", ())]
        return [created, arn("ec2", f"vpc/{parameters['VpcId']}"), *tables]
    if "Endpoint" in action:
        names = parameters.get("VpcEndpointIds") or [parameters.get("VpcEndpointId", "*")]
        tables = [
            arn("ec2", f"route-table/{name}")
            for key in ("AddRouteTableIds", "RemoveRouteTableIds")
            for name in parameters.get(key, ())
        ]
        return [*(arn("ec2", f"vpc-endpoint/{name}") for name in names), *tables]
    return [arn("ec2", f"security-group/{parameters.get('GroupId', '*')}")]


def _ec2_kind(name: str) -> str:
    return {"sg": "security-group", "vpce": "vpc-endpoint"}.get(name.partition("-")[0], name.partition("-")[0])


_ARN_BUILDERS: Mapping[str, Callable[[NamedCall, str], list[str]]] = {
    "apprunner": _apprunner_arns,
    "budgets": _budget_arns,
    "cloudfront": _cloudfront_arns,
    "cloudwatch": _cloudwatch_arns,
    "ec2": _ec2_arns,
    "ecr": _ecr_arns,
    "ecs": _ecs_arns,
    "iam": _iam_arns,
    "logs": _log_arns,
    "rds": _rds_arns,
    "s3": _s3_arns,
    "secretsmanager": _secret_arns,
    "sns": _sns_arns,
}
