"""The tagging API finds everything a stack tags, on both backends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.emulator.account import Account, Client, Clients

MINE = [{"Key": "orchestrator:project", "Value": "joiabagur"}, {"Key": "orchestrator:component", "Value": "x"}]
FILTER = [{"Key": "orchestrator:project", "Values": ["joiabagur"]}]


def found(client: Client, **params: Any) -> list[str]:
    pages = client.get_paginator("get_resources").paginate(**params)
    return [each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"]]


@pytest.fixture
def stack(account: Account, aws: Clients) -> list[str]:
    """One of everything, tagged; the kinds expected in eu-west-1, in the order of ARNs."""
    aws("s3").create_bucket(
        Bucket="files-prod", CreateBucketConfiguration={"LocationConstraint": "eu-west-1", "Tags": MINE}
    )
    aws("s3").create_bucket(Bucket="untagged-prod", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    aws("rds").create_db_subnet_group(
        DBSubnetGroupName="main", DBSubnetGroupDescription="d", SubnetIds=account.list_subnets(), Tags=MINE
    )
    account.create_instance(DBSubnetGroupName="main", Tags=MINE)
    aws("secretsmanager").create_secret(Name="app", SecretString="x", Tags=MINE)
    aws("ecr").create_repository(repositoryName="api", tags=MINE)
    vpc = aws("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    specification = [{"ResourceType": "security-group", "Tags": MINE}]
    aws("ec2").create_security_group(GroupName="db", Description="d", VpcId=vpc, TagSpecifications=specification)
    aws("ec2").create_vpc_endpoint(
        VpcId=vpc,
        ServiceName="com.amazonaws.eu-west-1.s3",
        TagSpecifications=[{"ResourceType": "vpc-endpoint", "Tags": MINE}],
    )
    aws("apprunner").create_auto_scaling_configuration(AutoScalingConfigurationName="api-prod", Tags=MINE)
    aws("apprunner").create_vpc_connector(VpcConnectorName="api-prod", Subnets=account.list_subnets(), Tags=MINE)
    account.create_service(Tags=MINE)
    account.create_express_service(tags=[{"key": tag["Key"], "value": tag["Value"]} for tag in MINE])
    aws("logs").create_log_group(logGroupName="/app", tags={tag["Key"]: tag["Value"] for tag in MINE})
    aws("sns").create_topic(Name="alerts", Tags=MINE)
    alarm(aws)
    return [
        "apprunner:autoscalingconfiguration",
        "apprunner:service",
        "apprunner:vpcconnector",
        "cloudwatch:alarm",
        "ec2:security-group",
        "ec2:vpc-endpoint",
        "ecr:repository",
        "ecs:service",
        "logs:log-group",
        "rds:db",
        "rds:subgrp",
        "secretsmanager:secret",
        "s3:files-prod",
        "sns:alerts",
    ]


def alarm(aws: Clients) -> None:
    aws("cloudwatch").put_metric_alarm(
        AlarmName="cpu",
        Namespace="AWS/RDS",
        MetricName="CPUUtilization",
        Statistic="Average",
        Period=300,
        EvaluationPeriods=1,
        Threshold=80.0,
        ComparisonOperator="GreaterThanThreshold",
        Tags=MINE,
    )


def kind(arn: str) -> str:
    _, _, service, _, _, rest = arn.split(":", 5)
    return f"{service}:{rest.replace('/', ':').split(':')[0]}"


def test_it_finds_all_of_a_stack(stack: list[str], aws: Clients) -> None:
    """By one tag, in one region, whatever the service."""
    client = aws("resourcegroupstaggingapi")

    assert sorted(map(kind, found(client, TagFilters=FILTER))) == sorted(stack)


def test_pages_types_and_filters(stack: list[str], aws: Clients) -> None:
    """Small pages give the same; types and values narrow it."""
    client = aws("resourcegroupstaggingapi")
    other = [{"Key": "orchestrator:project", "Values": ["other"]}]

    assert len(found(client, TagFilters=FILTER, ResourcesPerPage=4)) == len(stack)
    assert list(map(kind, found(client, ResourceTypeFilters=["rds:db", "ecr"]))) == ["ecr:repository", "rds:db"]
    assert found(client, TagFilters=other) == []
    assert found(client, TagFilters=[*FILTER, {"Key": "none"}]) == []


def test_what_is_deleted_is_not_found(stack: list[str], account: Account, aws: Clients) -> None:
    """Not even as something once tagged."""
    client, ec2 = aws("resourcegroupstaggingapi"), aws("ec2")
    endpoint = ec2.describe_vpc_endpoints()["VpcEndpoints"][0]["VpcEndpointId"]
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    aws("secretsmanager").delete_secret(SecretId="app", RecoveryWindowInDays=7)

    left = {kind(arn) for arn in found(client, TagFilters=FILTER)}
    assert set(stack) - left == {"ec2:vpc-endpoint", "secretsmanager:secret"}


def test_another_region_lists_no_bucket(stack: list[str], aws: Clients) -> None:
    """Buckets are listed in their own region; asking elsewhere is no error."""
    arns = found(aws("resourcegroupstaggingapi", "us-east-1"), TagFilters=FILTER)

    assert [arn for arn in arns if ":s3:" in arn] == []


def test_distributions_are_in_us_east_1(aws: Clients) -> None:
    """And nowhere else; IAM is nowhere at all."""
    trust = {"Effect": "Allow", "Principal": {"Service": "tasks.apprunner.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    aws("iam", "us-east-1").create_role(RoleName="api", AssumeRolePolicyDocument=policy, Tags=MINE)
    origin = {
        "Id": "web",
        "DomainName": "web.s3.eu-west-1.amazonaws.com",
        "S3OriginConfig": {"OriginAccessIdentity": ""},
    }
    config = {
        "CallerReference": "web",
        "Comment": "",
        "Enabled": True,
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": {
            "TargetOriginId": "web",
            "ViewerProtocolPolicy": "https-only",
            "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6",
        },
    }
    made = aws("cloudfront", "us-east-1").create_distribution_with_tags(
        DistributionConfigWithTags={"DistributionConfig": config, "Tags": {"Items": MINE}}
    )

    assert found(aws("resourcegroupstaggingapi", "us-east-1")) == [made["Distribution"]["ARN"]]
    assert found(aws("resourcegroupstaggingapi")) == []
