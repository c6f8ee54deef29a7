"""List which IAM actions authorise an API operation, and what an operation may do besides.  Data.

Written from AWS's API references and the service authorization reference, apart from the product's own tables, so that
each checks the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

IAM_ACTIONS = {
    "s3:HeadBucket": ["s3:ListBucket"],
    "s3:ListBuckets": ["s3:ListAllMyBuckets"],
    "s3:ListObjectsV2": ["s3:ListBucket"],
    "s3:ListObjectVersions": ["s3:ListBucketVersions"],
    "s3:ListMultipartUploads": ["s3:ListBucketMultipartUploads"],
    "s3:HeadObject": ["s3:GetObject"],
    "s3:CopyObject": ["s3:GetObject", "s3:PutObject"],
    "s3:CreateMultipartUpload": ["s3:PutObject"],
    "s3:UploadPart": ["s3:PutObject"],
    "s3:CompleteMultipartUpload": ["s3:PutObject"],
    "s3:GetBucketEncryption": ["s3:GetEncryptionConfiguration"],
    "s3:PutBucketEncryption": ["s3:PutEncryptionConfiguration"],
    "s3:GetPublicAccessBlock": ["s3:GetBucketPublicAccessBlock"],
    "s3:PutPublicAccessBlock": ["s3:PutBucketPublicAccessBlock"],
    "s3:GetBucketLifecycleConfiguration": ["s3:GetLifecycleConfiguration"],
    "s3:PutBucketLifecycleConfiguration": ["s3:PutLifecycleConfiguration"],
    "s3:DeleteBucketLifecycle": ["s3:PutLifecycleConfiguration"],
    "s3:DeleteBucketCors": ["s3:PutBucketCORS"],
    "s3:GetBucketCors": ["s3:GetBucketCORS"],
    "s3:PutBucketCors": ["s3:PutBucketCORS"],
    "s3:GetBucketReplication": ["s3:GetReplicationConfiguration"],
    "s3:GetBucketNotificationConfiguration": ["s3:GetBucketNotification"],
    "s3:PutBucketNotificationConfiguration": ["s3:PutBucketNotification"],
    "budgets:DescribeBudgets": ["budgets:ViewBudget"],
    "budgets:DescribeNotificationsForBudget": ["budgets:ViewBudget"],
    "budgets:DescribeSubscribersForNotification": ["budgets:ViewBudget"],
    **{
        f"budgets:{verb}{noun}": ["budgets:ModifyBudget"]
        for verb in ("Create", "Update", "Delete")
        for noun in ("Budget", "Notification", "Subscriber")
    },
    "cloudfront:CreateDistributionWithTags": ["cloudfront:CreateDistribution"],
    "s3:ListObjects": ["s3:ListBucket"],
    "s3:ListParts": ["s3:ListMultipartUploadParts"],
    "servicequotas:GetAwsDefaultServiceQuota": ["servicequotas:GetAWSDefaultServiceQuota"],
    "sts:GetCallerIdentity": [],
    "sts:AssumeRoleWithWebIdentity": [],
}
"""IAM's names, where they are not the operation's; the last two need no permission of the caller."""
IAM_PREFIXES = {
    "elbv2": "elasticloadbalancing",
    "resourcegroupstaggingapi": "tag",
    "service-quotas": "servicequotas",
}
"""IAM's names of services, where they are not botocore's."""
TAGGING_ACTIONS = {
    "apprunner:CreateAutoScalingConfiguration": "apprunner:TagResource",
    "apprunner:CreateObservabilityConfiguration": "apprunner:TagResource",
    "apprunner:CreateService": "apprunner:TagResource",
    "apprunner:CreateVpcConnector": "apprunner:TagResource",
    "budgets:CreateBudget": "budgets:TagResource",
    "cloudfront:CreateDistributionWithTags": "cloudfront:TagResource",
    "cloudwatch:PutMetricAlarm": "cloudwatch:TagResource",
    "ec2:CreateSecurityGroup": "ec2:CreateTags",
    "ec2:CreateVpcEndpoint": "ec2:CreateTags",
    "ecr:CreateRepository": "ecr:TagResource",
    "ecs:CreateExpressGatewayService": "ecs:TagResource",
    "ecs:RegisterTaskDefinition": "ecs:TagResource",
    "ecs:RunTask": "ecs:TagResource",
    "iam:CreateRole": "iam:TagRole",
    "rds:CreateDBInstance": "rds:AddTagsToResource",
    "rds:CreateDBParameterGroup": "rds:AddTagsToResource",
    "rds:CreateDBSnapshot": "rds:AddTagsToResource",
    "rds:CreateDBSubnetGroup": "rds:AddTagsToResource",
    "s3:CreateBucket": "s3:TagResource",
    "secretsmanager:CreateSecret": "secretsmanager:TagResource",
    "sns:CreateTopic": "sns:TagResource",
}
"""Creating with tags needs the right to tag."""
CREATED_WITHOUT_RESOURCE = {
    "cloudfront:CreateDistribution": "distribution/*",
    "cloudfront:CreateFunction": "function/{Name}",
    "cloudfront:CreateOriginAccessControl": "origin-access-control/*",
    "cloudfront:CreateResponseHeadersPolicy": "response-headers-policy/*",
}
"""The reference knows no resource for these, messages of AWS name one: both have to be allowed."""
SERVICE_LINKED_ROLES = {
    "apprunner:CreateService": "apprunner.amazonaws.com/AWSServiceRoleForAppRunner",
    "apprunner:CreateVpcConnector": "networking.apprunner.amazonaws.com/AWSServiceRoleForAppRunnerNetworking",
    "ecs:CreateExpressGatewayService": "ecs.amazonaws.com/AWSServiceRoleForECS",
    "rds:CreateDBInstance": "rds.amazonaws.com/AWSServiceRoleForRDS",
}
"""The first resource of an account needs them made."""
APP_RUNNER_PRINCIPALS = (
    "apprunner.amazonaws.com",
    "tasks.apprunner.amazonaws.com",
    "build.apprunner.amazonaws.com",
    "",
)
"""iam:PassedToService of App Runner: AWS's managed policy says the first, reports say the others or none."""
APPRUNNER_RESOURCES = {
    "AutoScaling": "autoscalingconfiguration",
    "VpcConnector": "vpcconnector",
    "Observab": "observabilityconfiguration",
}
CLOUDFRONT_RESOURCES = {
    "Function": "function",
    "OriginAccessControl": "origin-access-control",
    "ResponseHeadersPolicy": "response-headers-policy",
}


def list_actions(service: str, operation: str, parameters: Mapping[str, Any] | None = None) -> list[str]:
    """Return the IAM actions of a call, such as ``s3:ListBucket`` for HeadBucket; DeleteObjects depends on its keys."""
    name = f"{IAM_PREFIXES.get(service, service)}:{operation}"
    if name == "s3:DeleteObjects":
        objects = (parameters or {}).get("Delete", {}).get("Objects", [{}])
        has_versions = sorted({"VersionId" in item for item in objects})
        return ["s3:DeleteObjectVersion" if is_version else "s3:DeleteObject" for is_version in has_versions]
    return IAM_ACTIONS.get(name, [name])
