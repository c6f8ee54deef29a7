"""Map API calls to the IAM actions they require, if the names differ or there are several.  Pure.

Tagging a resource on creation and passing a role require permissions of their own.
Source: the service authorization reference.  IAM ignores case.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

IAM_ACTIONS_BY_API_CALL: Final[dict[str, tuple[str, ...]]] = {
    "apprunner:CreateAutoScalingConfiguration": ("apprunner:CreateAutoScalingConfiguration", "apprunner:TagResource"),
    "apprunner:CreateService": (
        "apprunner:CreateService",
        "apprunner:TagResource",
        "iam:CreateServiceLinkedRole",
        "iam:PassRole",
    ),
    "apprunner:CreateVpcConnector": (
        "apprunner:CreateVpcConnector",
        "apprunner:TagResource",
        "iam:CreateServiceLinkedRole",
    ),
    "apprunner:UpdateService": ("apprunner:UpdateService", "iam:PassRole"),
    "budgets:CreateBudget": ("budgets:ModifyBudget", "budgets:TagResource"),
    "budgets:CreateNotification": ("budgets:ModifyBudget",),
    "budgets:CreateSubscriber": ("budgets:ModifyBudget",),
    "budgets:DeleteBudget": ("budgets:ModifyBudget",),
    "budgets:DescribeBudgets": ("budgets:ViewBudget",),
    "budgets:DescribeNotificationsForBudget": ("budgets:ViewBudget",),
    "budgets:DescribeSubscribersForNotification": ("budgets:ViewBudget",),
    "budgets:DeleteNotification": ("budgets:ModifyBudget",),
    "budgets:DeleteSubscriber": ("budgets:ModifyBudget",),
    "budgets:UpdateBudget": ("budgets:ModifyBudget",),
    "budgets:UpdateNotification": ("budgets:ModifyBudget",),
    "budgets:UpdateSubscriber": ("budgets:ModifyBudget",),
    "cloudfront:CreateDistributionWithTags": ("cloudfront:CreateDistribution", "cloudfront:TagResource"),
    "cloudwatch:PutMetricAlarm": ("cloudwatch:PutMetricAlarm", "cloudwatch:TagResource"),
    "ec2:CreateSecurityGroup": ("ec2:CreateSecurityGroup", "ec2:CreateTags"),
    "ec2:CreateVpcEndpoint": ("ec2:CreateTags", "ec2:CreateVpcEndpoint"),
    "ecr:CreateRepository": ("ecr:CreateRepository", "ecr:TagResource"),
    "ecr:PutImage": (
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:GetDownloadUrlForLayer",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
    ),
    "ecs:CreateExpressGatewayService": (
        "ecs:CreateCluster",
        "ecs:CreateExpressGatewayService",
        "ecs:RegisterTaskDefinition",
        "ecs:TagResource",
        "iam:CreateServiceLinkedRole",
        "iam:PassRole",
    ),
    "ecs:UpdateExpressGatewayService": (
        "ecs:RegisterTaskDefinition",
        "ecs:UpdateExpressGatewayService",
        "iam:PassRole",
    ),
    "iam:CreateRole": ("iam:CreateRole", "iam:TagRole"),
    "rds:CreateDBInstance": ("iam:CreateServiceLinkedRole", "rds:AddTagsToResource", "rds:CreateDBInstance"),
    "rds:CreateDBParameterGroup": ("rds:AddTagsToResource", "rds:CreateDBParameterGroup"),
    "rds:CreateDBSnapshot": ("rds:AddTagsToResource", "rds:CreateDBSnapshot"),
    "rds:CreateDBSubnetGroup": ("rds:AddTagsToResource", "rds:CreateDBSubnetGroup"),
    "rds:DeleteDBInstance": ("rds:AddTagsToResource", "rds:CreateDBSnapshot", "rds:DeleteDBInstance"),
    "s3:CopyObject": ("s3:GetObject", "s3:PutObject"),
    "s3:CreateBucket": ("s3:CreateBucket", "s3:PutBucketOwnershipControls", "s3:TagResource"),
    "s3:DeleteBucketCors": ("s3:PutBucketCORS",),
    "s3:DeleteBucketLifecycle": ("s3:PutLifecycleConfiguration",),
    "s3:DeleteBucketTagging": ("s3:PutBucketTagging",),
    "s3:DeleteObjects": ("s3:DeleteObject", "s3:DeleteObjectVersion"),
    "s3:DeletePublicAccessBlock": ("s3:PutBucketPublicAccessBlock",),
    "s3:GetBucketCors": ("s3:GetBucketCORS",),
    "s3:GetBucketEncryption": ("s3:GetEncryptionConfiguration",),
    "s3:GetBucketLifecycleConfiguration": ("s3:GetLifecycleConfiguration",),
    "s3:GetBucketNotificationConfiguration": ("s3:GetBucketNotification",),
    "s3:GetBucketReplication": ("s3:GetReplicationConfiguration",),
    "s3:GetPublicAccessBlock": ("s3:GetBucketPublicAccessBlock",),
    "s3:HeadBucket": ("s3:ListBucket",),
    "s3:HeadObject": ("s3:GetObject",),
    "s3:ListBuckets": ("s3:ListAllMyBuckets",),
    "s3:ListMultipartUploads": ("s3:ListBucketMultipartUploads",),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    "s3:ListObjectVersions": ("s3:ListBucketVersions",),
    "s3:PutBucketCors": ("s3:PutBucketCORS",),
    "s3:PutBucketEncryption": ("s3:PutEncryptionConfiguration",),
    "s3:PutBucketLifecycleConfiguration": ("s3:PutLifecycleConfiguration",),
    "s3:PutBucketNotificationConfiguration": ("s3:PutBucketNotification",),
    "s3:PutPublicAccessBlock": ("s3:PutBucketPublicAccessBlock",),
    "secretsmanager:CreateSecret": ("secretsmanager:CreateSecret", "secretsmanager:TagResource"),
    "service-quotas:GetAwsDefaultServiceQuota": ("servicequotas:GetAWSDefaultServiceQuota",),
    "sns:CreateTopic": ("sns:CreateTopic", "sns:TagResource"),
}
_IAM_PREFIXES: Final = {
    "elbv2": "elasticloadbalancing",
    "resourcegroupstaggingapi": "tag",
    "service-quotas": "servicequotas",
}


def list_required_actions(api_calls: Iterable[str]) -> tuple[str, ...]:
    """Return the sorted IAM actions that API calls require; steps that are not API calls require none."""
    return tuple(sorted({action for api_call in api_calls if ":" in api_call for action in _list_actions(api_call)}))


def _list_actions(api_call: str) -> tuple[str, ...]:
    service, _, operation = api_call.partition(":")
    return IAM_ACTIONS_BY_API_CALL.get(api_call, (f"{_IAM_PREFIXES.get(service, service)}:{operation}",))
