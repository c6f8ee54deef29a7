"""What a team has made by hand before it knew the orchestrator: one of each, with settings that it relies on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.ownership_tags import build_ownership_tags
from orchestrator.vocabulary import Plan, Scope
from tests.proofs import real_stack

IMAGE = "public.ecr.aws/docker/library/nginx:1.27"
BUCKET, SECRET, REPOSITORY = "legacy-files", "legacy/app", "legacy/api"
SUBNET_GROUP = "legacy-subnets"
DATABASE, SERVICE = "legacy-postgres", "legacy-api"
TAG_KEYS = tuple(build_ownership_tags(Scope("", "", "", ""), ""))
LIFECYCLE = {"ID": "old-logs", "Filter": {"Prefix": "log/"}, "Status": "Enabled", "Expiration": {"Days": 30}}
CORS = {"AllowedOrigins": ["https://old.example"], "AllowedMethods": ["GET"]}
PARTNER = {"AWS": "arn:aws:iam::210987654321:root"}
STATEMENT = {"Effect": "Allow", "Principal": PARTNER, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
DOCUMENT = {"Stripe": "sk_live_1", "Smtp": "pw", "Jwt:Key": "theirs"}

MANIFESTS = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {repository: team/shop, region: eu-west-1, account: "123456789012"}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: files, adopt: true}
spec: {name: legacy-files}
---
apiVersion: orchestrator/v1
kind: Secret
metadata: {name: app, adopt: true}
spec: {name: legacy/app, data: {"Jwt:Key": {generate: {length: 32}}, Issuer: shop}}
---
apiVersion: orchestrator/v1
kind: Database
metadata: {name: main, adopt: true}
spec: {identifier: legacy-postgres, version: "16", database: shop, username: shop}
---
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: api, adopt: true}
spec: {name: legacy-api, image: {repository: legacy/api, prebuilt: "IMAGE"}}
---
apiVersion: orchestrator/v1
kind: Cdn
metadata: {name: web, adopt: true}
spec: {origin: bucket.files, distributionId: DISTRIBUTION}
"""


def call(service: str, operation: str, **parameters: Any) -> Any:
    return real_stack.clients().call(service, operation, parameters)


def make_all() -> str:
    """Make everything, and return the manifests that adopt it."""
    make_bucket()
    make_secret()
    make_database()
    make_repository()
    make_service()
    return MANIFESTS.replace("IMAGE", IMAGE).replace("DISTRIBUTION", make_distribution())


def make_bucket() -> None:
    where = {"LocationConstraint": real_stack.REGION}
    call("s3", "create_bucket", Bucket=BUCKET, CreateBucketConfiguration=where)
    rules: Mapping[str, Any] = {"Rules": [LIFECYCLE]}
    call("s3", "put_bucket_lifecycle_configuration", Bucket=BUCKET, LifecycleConfiguration=rules)
    call("s3", "put_bucket_cors", Bucket=BUCKET, CORSConfiguration={"CORSRules": [CORS]})
    policy = json.dumps({"Version": "2012-10-17", "Statement": [STATEMENT]})
    call("s3", "put_bucket_policy", Bucket=BUCKET, Policy=policy)


def make_secret() -> None:
    call("secretsmanager", "create_secret", Name=SECRET, SecretString=json.dumps(DOCUMENT))


def make_database() -> None:
    request: dict[str, Any] = {
        "DBInstanceIdentifier": DATABASE,
        "Engine": "postgres",
        "EngineVersion": "16.4",
        "DBName": "shop",
    }
    request |= {"DBInstanceClass": "db.t4g.small", "AllocatedStorage": 50, "BackupRetentionPeriod": 14}
    (vpc,) = call("ec2", "describe_vpcs")["Vpcs"]
    filters = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    subnets = [item["SubnetId"] for item in call("ec2", "describe_subnets", Filters=filters)["Subnets"]]
    group = {"DBSubnetGroupName": SUBNET_GROUP, "DBSubnetGroupDescription": "by hand", "SubnetIds": subnets}
    call("rds", "create_db_subnet_group", **group)
    request |= {"DBSubnetGroupName": SUBNET_GROUP}
    call("rds", "create_db_instance", **request, MasterUsername="shop", MasterUserPassword="rather-secret")


def make_repository() -> None:
    call("ecr", "create_repository", repositoryName=REPOSITORY)
    rule: dict[str, Any] = {"rulePriority": 1, "action": {"type": "expire"}}
    rule |= {"selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 500}}
    text = json.dumps({"rules": [rule]})
    call("ecr", "put_lifecycle_policy", repositoryName=REPOSITORY, lifecyclePolicyText=text)


def make_service() -> None:
    image: dict[str, Any] = {"Port": "8080", "RuntimeEnvironmentVariables": {"MODE": "legacy"}}
    source: dict[str, Any] = {
        "ImageIdentifier": IMAGE,
        "ImageRepositoryType": "ECR_PUBLIC",
        "ImageConfiguration": image,
    }
    configuration = {"ImageRepository": source, "AutoDeploymentsEnabled": False}
    call("apprunner", "create_service", ServiceName=SERVICE, SourceConfiguration=configuration)


def make_distribution() -> str:
    """Make a distribution without an alias, and return its id."""
    origin: dict[str, Any] = {"Id": "files", "DomainName": f"{BUCKET}.s3.eu-west-1.amazonaws.com"}
    origin |= {"S3OriginConfig": {"OriginAccessIdentity": ""}}
    behaviour = {"TargetOriginId": "files", "ViewerProtocolPolicy": "allow-all"}
    behaviour |= {"CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6"}
    config: dict[str, Any] = {"CallerReference": "by hand", "Comment": "the shop", "Enabled": True}
    config |= {"DefaultRootObject": "home.html"}
    config |= {"Origins": {"Quantity": 1, "Items": [origin]}, "DefaultCacheBehavior": behaviour}
    response = call("cloudfront", "create_distribution", DistributionConfig=config)
    return str(response["Distribution"]["Id"])


def remove_marks(plan: Plan) -> None:
    """Remove the tags and comments that say whose the resources of a plan are, as if somebody else had made them.

    CloudFront's resources stay: a caller reference, which nobody can change, says whose a distribution is.
    """
    live = {change.address: change.physical for change in plan.changes}
    for address, name in live.items():
        resource_type = address.partition(".")[0]
        if resource_type in _UNTAGGING:
            _UNTAGGING[resource_type](name)


def _untag_apprunner(listing: str, member: str, name_key: str, arn_key: str) -> Callable[[str], None]:
    def untag(name: str) -> None:
        for item in call("apprunner", listing)[member]:
            if item[name_key] == name:
                call("apprunner", "untag_resource", ResourceArn=item[arn_key], TagKeys=list(TAG_KEYS))

    return untag


def _untag_rds(kind: str) -> Callable[[str], None]:
    arn = f"arn:aws:rds:{real_stack.REGION}:{real_stack.ACCOUNT}:{kind}:"
    return lambda name: call("rds", "remove_tags_from_resource", ResourceName=f"{arn}{name}", TagKeys=list(TAG_KEYS))


def _untag_group(name: str) -> None:
    filters = [{"Name": "group-name", "Values": [name]}]
    groups = call("ec2", "describe_security_groups", Filters=filters)["SecurityGroups"]
    tags = [{"Key": key} for key in TAG_KEYS]
    call("ec2", "delete_tags", Resources=[group["GroupId"] for group in groups], Tags=tags)


_ALARM_MEMBERS = (
    "AlarmName",
    "MetricName",
    "Namespace",
    "Statistic",
    "Dimensions",
    "Period",
    "EvaluationPeriods",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
    "AlarmActions",
    "ActionsEnabled",
)


def _untag_alarm(name: str) -> None:
    (alarm,) = call("cloudwatch", "describe_alarms", AlarmNames=[name])["MetricAlarms"]
    members = {*alarm} & {*_ALARM_MEMBERS}
    request = {member: alarm[member] for member in members}
    action = f"arn:aws:sns:{real_stack.REGION}:{real_stack.ACCOUNT}:legacy"
    call("cloudwatch", "put_metric_alarm", **request, AlarmDescription="by hand", InsufficientDataActions=[action])
    call("cloudwatch", "untag_resource", ResourceARN=alarm["AlarmArn"], TagKeys=list(TAG_KEYS))


def _arn(service: str, name: str, region: str = real_stack.REGION) -> str:
    return f"arn:aws:{service}:{region}:{real_stack.ACCOUNT}:{name}"


_UNTAGGING: Mapping[str, Callable[[str], Any]] = {
    "s3_bucket": lambda name: call("s3", "delete_bucket_tagging", Bucket=name),
    "secretsmanager_secret": lambda name: call(
        "secretsmanager", "untag_resource", SecretId=name, TagKeys=list(TAG_KEYS)
    ),
    "ecr_repository": lambda name: call(
        "ecr", "untag_resource", resourceArn=_arn("ecr", f"repository/{name}"), tagKeys=list(TAG_KEYS)
    ),
    "rds_instance": _untag_rds("db"),
    "rds_subnet_group": _untag_rds("subgrp"),
    "rds_parameter_group": _untag_rds("pg"),
    "apprunner_service": _untag_apprunner("list_services", "ServiceSummaryList", "ServiceName", "ServiceArn"),
    "apprunner_autoscaling": _untag_apprunner(
        "list_auto_scaling_configurations",
        "AutoScalingConfigurationSummaryList",
        "AutoScalingConfigurationName",
        "AutoScalingConfigurationArn",
    ),
    "apprunner_connector": _untag_apprunner(
        "list_vpc_connectors", "VpcConnectors", "VpcConnectorName", "VpcConnectorArn"
    ),
    "apprunner_observability": _untag_apprunner(
        "list_observability_configurations",
        "ObservabilityConfigurationSummaryList",
        "ObservabilityConfigurationName",
        "ObservabilityConfigurationArn",
    ),
    "ecs_express_service": lambda name: call(
        "ecs", "untag_resource", resourceArn=_arn("ecs", f"service/default/{name}"), tagKeys=list(TAG_KEYS)
    ),
    "ec2_security_group": _untag_group,
    "iam_role": lambda name: call("iam", "untag_role", RoleName=name, TagKeys=list(TAG_KEYS)),
    "sns_topic": lambda name: call("sns", "untag_resource", ResourceArn=_arn("sns", name), TagKeys=list(TAG_KEYS)),
    "budgets_budget": lambda name: call(
        "budgets", "untag_resource", ResourceARN=_arn("budgets", f"budget/{name}", ""), ResourceTagKeys=list(TAG_KEYS)
    ),
    "cloudwatch_alarm": _untag_alarm,
}
TYPES_WITH_MARKS = frozenset(_UNTAGGING)
