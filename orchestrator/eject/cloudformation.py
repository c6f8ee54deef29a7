"""Write the CloudFormation template and the list of resources with which a stack imports an environment.

Source: the resource provider schemas (primary identifier, required properties).  Nested properties are whole, because
CloudFormation replaces them as a whole; at the top level only what identifies a resource or is required is declared,
and CloudFormation leaves alone what a template does not declare.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from orchestrator.eject.cloudfront_properties import convert_distribution, convert_headers
from orchestrator.eject.owned_resources import Inventory, OwnedResource, list_log_groups


class CloudFormationImport(Struct, frozen=True):
    """One resource of the template: its type, the name and value of its identifier, and its properties."""

    type: str
    identifier: tuple[str, str]
    properties: Mapping[str, Any]


PROPERTIES_OF_OTHERS = frozenset({"s3_bucket_cors"})
"""Types that are a property of another resource in CloudFormation; it leaves a property alone that is not declared."""


def list_imports(resource: OwnedResource) -> tuple[CloudFormationImport, ...]:
    """Return how CloudFormation imports a resource.  Raises KeyError if its type is not known."""
    if resource.type in PROPERTIES_OF_OTHERS:
        return ()
    groups = (
        CloudFormationImport(
            "AWS::Logs::LogGroup", ("LogGroupName", name), {"LogGroupName": name, "RetentionInDays": days}
        )
        for name, days in list_log_groups(resource)
    )
    return (_IMPORTS[resource.type](resource), *groups)


def render_files(inventory: Inventory) -> dict[str, str]:
    """Return the template and the list of resources to import, by file name."""
    imports = {
        _logical_id(resource, position): item
        for resource in inventory.resources
        for position, item in enumerate(list_imports(resource))
    }
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Imported from orchestrator: {inventory.scope.owner}",
        "Resources": {
            logical_id: {
                "Type": item.type,
                "DeletionPolicy": "Retain",
                "UpdateReplacePolicy": "Retain",
                "Properties": item.properties,
            }
            for logical_id, item in imports.items()
        },
    }
    resources = [
        {
            "ResourceType": item.type,
            "LogicalResourceId": logical_id,
            "ResourceIdentifier": dict([item.identifier]),
        }
        for logical_id, item in imports.items()
    ]
    return {
        "template.json": json.dumps(template, indent=2, ensure_ascii=False) + "\n",
        "resources-to-import.json": json.dumps(resources, indent=2, ensure_ascii=False) + "\n",
    }


def _logical_id(resource: OwnedResource, position: int) -> str:
    """Return an alphanumeric name: ``s3_bucket.files`` is ``S3BucketFiles``."""
    suffix = f"_logs{position}" if position else ""
    return "".join(part.capitalize() for part in f"{resource.type}_{resource.label}{suffix}".split("_"))


def _named(kind: str, identifier: str, *, build: Callable[[OwnedResource], dict[str, Any]] = lambda _: {}) -> Importer:
    """Return the importer of a type whose identifier is a name that the template declares."""

    def describe(resource: OwnedResource) -> CloudFormationImport:
        properties = {identifier: resource.physical, **build(resource)}
        return CloudFormationImport(kind, (identifier, resource.physical), properties)

    return describe


def _assigned(kind: str, identifier: str, output: str, build: Callable[[OwnedResource], dict[str, Any]]) -> Importer:
    """Return the importer of a type whose identifier AWS assigns, which is an output of ours."""

    def describe(resource: OwnedResource) -> CloudFormationImport:
        return CloudFormationImport(kind, (identifier, resource.output(output)), build(resource))

    return describe


def _role(resource: OwnedResource) -> dict[str, Any]:
    return {"AssumeRolePolicyDocument": resource.spec["trust"], "Path": resource.spec["path"]}


def _bucket_policy(resource: OwnedResource) -> dict[str, Any]:
    return {"PolicyDocument": {"Version": "2012-10-17", "Statement": resource.spec["statements"]}}


def _app_runner(resource: OwnedResource) -> dict[str, Any]:
    spec = resource.spec
    image = {
        "Port": str(spec["port"]),
        "RuntimeEnvironmentVariables": _pairs(spec["environment"], "Value"),
        "RuntimeEnvironmentSecrets": _pairs(spec["secrets"], "Value"),
        **({"StartCommand": spec["command"]} if spec.get("command") else {}),
    }
    source: dict[str, Any] = {
        "AutoDeploymentsEnabled": spec["auto_deployments"],
        "ImageRepository": {
            "ImageIdentifier": spec["image"],
            "ImageRepositoryType": spec["image_repository_type"],
            "ImageConfiguration": image,
        },
    }
    if spec.get("access_role"):
        source["AuthenticationConfiguration"] = {"AccessRoleArn": spec["access_role"]}
    return {"ServiceName": resource.physical, "SourceConfiguration": source}


def _express(resource: OwnedResource) -> dict[str, Any]:
    spec = resource.spec
    container = {
        "Image": spec["image"],
        "ContainerPort": spec["port"],
        "Environment": _pairs(spec["environment"], "Value"),
        "Secrets": _pairs(spec["secrets"], "ValueFrom"),
        "AwsLogsConfiguration": {"LogGroup": spec["log_group"], "LogStreamPrefix": "service"},
        **({"Command": spec["command"]} if spec.get("command") else {}),
    }
    return {
        "ServiceName": resource.physical,
        "InfrastructureRoleArn": spec["infrastructure_role"],
        "ExecutionRoleArn": spec["execution_role"],
        "PrimaryContainer": container,
    }


def _pairs(values: Mapping[str, str], member: str) -> list[dict[str, str]]:
    return [{"Name": name, member: value} for name, value in values.items()]


def _budget(resource: OwnedResource) -> CloudFormationImport:
    spec = resource.spec
    budget = {
        "BudgetName": resource.physical,
        "BudgetType": "COST",
        "TimeUnit": spec["period"],
        "BudgetLimit": {"Amount": spec["limit"], "Unit": spec["currency"]},
        "CostTypes": {
            "IncludeCredit": spec["include_credit"],
            "IncludeRefund": spec["include_refund"],
            "IncludeTax": spec["include_tax"],
            "IncludeSupport": spec["include_support"],
        },
    }
    return CloudFormationImport("AWS::Budgets::Budget", ("Id", resource.physical), {"Budget": budget})


def _access_control(resource: OwnedResource) -> dict[str, Any]:
    spec = resource.spec
    config = {
        "Name": resource.physical,
        "Description": spec["description"],
        "OriginAccessControlOriginType": spec["origin_type"],
        "SigningBehavior": spec["signing_behavior"],
        "SigningProtocol": spec["signing_protocol"],
    }
    return {"OriginAccessControlConfig": config}


def _function(resource: OwnedResource) -> dict[str, Any]:
    spec = resource.spec
    return {
        "Name": resource.physical,
        "FunctionConfig": {"Comment": spec["comment"], "Runtime": spec["runtime"]},
        "FunctionCode": "\n".join(part for part in (spec.get("data", ""), spec["code"]) if part),
    }


def _security_group(resource: OwnedResource) -> dict[str, Any]:
    spec = resource.spec
    return {"GroupName": resource.physical, "GroupDescription": spec["description"], "VpcId": spec["vpc"]}


def _endpoint(resource: OwnedResource) -> dict[str, Any]:
    return {
        "VpcEndpointType": "Gateway",
        "VpcId": resource.network_id,
        "ServiceName": f"com.amazonaws.{resource.scope.region}.s3",
        "RouteTableIds": list(resource.live.private["route_tables"]),
    }


def _alarm(resource: OwnedResource) -> dict[str, Any]:
    spec = resource.spec
    return {
        "AlarmDescription": spec["description"],
        "Namespace": spec["namespace"],
        "MetricName": spec["metric"],
        "Dimensions": _pairs(spec["dimensions"], "Value"),
        "Statistic": spec["statistic"],
        "Period": spec["period"],
        "EvaluationPeriods": spec["evaluation_periods"],
        "ComparisonOperator": spec["comparison"],
        "Threshold": spec["threshold"],
        "TreatMissingData": spec["missing"],
        "AlarmActions": spec["actions"],
    }


def _instance(resource: OwnedResource) -> dict[str, Any]:
    spec = resource.spec
    return {
        "DBInstanceClass": spec["instance_class"],
        "Engine": spec["engine"],
        "EngineVersion": resource.live.private["version"],
        "AllocatedStorage": str(spec["storage_gb"]),
        "MasterUsername": spec["username"],
        "DeletionProtection": spec["deletion_protection"],
    }


Importer = Callable[[OwnedResource], CloudFormationImport]

_IMPORTS: Mapping[str, Importer] = {
    "apprunner_autoscaling": _assigned(
        "AWS::AppRunner::AutoScalingConfiguration",
        "AutoScalingConfigurationArn",
        "arn",
        lambda resource: {"AutoScalingConfigurationName": resource.physical},
    ),
    "apprunner_connector": _assigned(
        "AWS::AppRunner::VpcConnector",
        "VpcConnectorArn",
        "arn",
        lambda resource: {"VpcConnectorName": resource.physical, "Subnets": resource.spec["subnets"]},
    ),
    "apprunner_observability": _assigned(
        "AWS::AppRunner::ObservabilityConfiguration",
        "ObservabilityConfigurationArn",
        "arn",
        lambda resource: {"ObservabilityConfigurationName": resource.physical},
    ),
    "apprunner_service": _assigned("AWS::AppRunner::Service", "ServiceArn", "arn", _app_runner),
    "budgets_budget": _budget,
    "cloudfront_distribution": _assigned(
        "AWS::CloudFront::Distribution",
        "Id",
        "id",
        lambda resource: {"DistributionConfig": convert_distribution(resource.live.private["config"])},
    ),
    "cloudfront_function": _assigned("AWS::CloudFront::Function", "FunctionARN", "arn", _function),
    "cloudfront_headers": _assigned(
        "AWS::CloudFront::ResponseHeadersPolicy",
        "Id",
        "id",
        lambda resource: {"ResponseHeadersPolicyConfig": convert_headers(resource.physical, resource.spec)},
    ),
    "cloudfront_oac": _assigned("AWS::CloudFront::OriginAccessControl", "Id", "id", _access_control),
    "cloudwatch_alarm": _named("AWS::CloudWatch::Alarm", "AlarmName", build=_alarm),
    "ec2_security_group": _assigned("AWS::EC2::SecurityGroup", "Id", "id", _security_group),
    "ec2_vpc_endpoint": _assigned("AWS::EC2::VPCEndpoint", "Id", "id", _endpoint),
    "ecr_repository": _named("AWS::ECR::Repository", "RepositoryName"),
    "ecs_express_service": _assigned("AWS::ECS::ExpressGatewayService", "ServiceArn", "arn", _express),
    "iam_role": _named("AWS::IAM::Role", "RoleName", build=_role),
    "rds_instance": _named("AWS::RDS::DBInstance", "DBInstanceIdentifier", build=_instance),
    "rds_parameter_group": _named(
        "AWS::RDS::DBParameterGroup",
        "DBParameterGroupName",
        build=lambda resource: {
            "Family": resource.spec["family"],
            "Description": resource.spec["description"],
            "Parameters": resource.spec.get("parameters", {}),
        },
    ),
    "rds_subnet_group": _named(
        "AWS::RDS::DBSubnetGroup",
        "DBSubnetGroupName",
        build=lambda resource: {
            "DBSubnetGroupDescription": resource.spec["description"],
            "SubnetIds": resource.spec["subnets"],
        },
    ),
    "s3_bucket": _named("AWS::S3::Bucket", "BucketName"),
    "s3_bucket_policy": _named("AWS::S3::BucketPolicy", "Bucket", build=_bucket_policy),
    "secretsmanager_secret": _assigned(
        "AWS::SecretsManager::Secret", "Id", "arn", lambda resource: {"Name": resource.physical}
    ),
    "sns_topic": _assigned("AWS::SNS::Topic", "TopicArn", "arn", lambda resource: {"TopicName": resource.physical}),
}
EXPORTED_TYPES = frozenset(_IMPORTS)
"""Resource types that are exported."""
