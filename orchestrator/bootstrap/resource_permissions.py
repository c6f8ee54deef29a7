"""List the IAM actions and ARNs that each resource type needs.  Data; source: AWS service authorization reference.

``permission_rules`` defines the rules; ``runtime_permissions`` covers the types that run container services.
"""

from __future__ import annotations

from typing import Final

from orchestrator.bootstrap.permission_rules import (
    ROLE_ARN,
    SERVICE_LINKED_ROLE_ARN,
    PermissionRule,
    allow,
    crud_actions,
)
from orchestrator.bootstrap.runtime_permissions import RUNTIME_RULES_BY_TYPE

BUCKET_ARN: Final = "arn:aws:s3:::{n}"
OBJECTS_ARN: Final = "arn:aws:s3:::{n}/*"
SECRET_ARNS: Final = ("arn:aws:secretsmanager:{r}:{a}:secret:{n}", "arn:aws:secretsmanager:{r}:{a}:secret:{n}-??????")
_CLOUDFRONT_ARN_PREFIX = "arn:aws:cloudfront::{a}:"
_FUNCTION_ARN = f"{_CLOUDFRONT_ARN_PREFIX}function/{{n}}"
_HEADERS_POLICY_ARN, _ORIGIN_ACCESS_CONTROL_ARN = (
    f"{_CLOUDFRONT_ARN_PREFIX}response-headers-policy/*",
    f"{_CLOUDFRONT_ARN_PREFIX}origin-access-control/*",
)
_EC2_ARN_PREFIX = "arn:aws:ec2:{r}:{a}:"
_RDS_ARN_PREFIX = "arn:aws:rds:{r}:{a}:"
_REPOSITORY_ARN = "arn:aws:ecr:{r}:{a}:repository/{n}"
_ALARM_ARN = "arn:aws:cloudwatch:{r}:{a}:alarm:{n}"
_TOPIC_ARN = "arn:aws:sns:{r}:{a}:{n}"
_BUDGET_ARN = "arn:aws:budgets::{a}:budget/{n}"

DISCOVERY_RULES: Final = (
    allow("read", "tag", "GetResources"),
    allow("read", "iam", "ListRoles"),
    allow("read", "cloudfront", "ListDistributions ListFunctions"),
    allow("read", "cloudfront", "ListOriginAccessControls ListResponseHeadersPolicies"),
    allow(
        "read",
        "apprunner",
        "ListServices ListAutoScalingConfigurations ListVpcConnectors ListObservabilityConfigurations",
    ),
    allow("read", "ecs", "ListServices"),
    allow("read", "s3", "ListAllMyBuckets"),
    allow("read", "budgets", "ViewBudget", "arn:aws:budgets::{a}:budget/*"),
)
"""What finding resources that are no longer in the manifests needs, whatever the manifests hold."""

RULES_BY_TYPE: Final[dict[str, tuple[PermissionRule, ...]]] = {
    **RUNTIME_RULES_BY_TYPE,
    "budgets_budget": (
        allow("read", "budgets", "ListTagsForResource", _BUDGET_ARN),
        allow("write", "budgets", "ModifyBudget TagResource", _BUDGET_ARN),
    ),
    "cloudfront_distribution": (
        allow("read", "cloudfront", "GetDistribution GetDistributionConfig", f"{_CLOUDFRONT_ARN_PREFIX}distribution/*"),
        allow("read", "cloudfront", "ListTagsForResource", f"{_CLOUDFRONT_ARN_PREFIX}distribution/*"),
        allow("write", "cloudfront", "CreateDistribution", f"{_CLOUDFRONT_ARN_PREFIX}distribution/*", condition="made"),
        allow(
            "write",
            "cloudfront",
            "UpdateDistribution DeleteDistribution CreateInvalidation",
            f"{_CLOUDFRONT_ARN_PREFIX}distribution/*",
            condition="ours",
        ),
        allow("write", "cloudfront", "TagResource", f"{_CLOUDFRONT_ARN_PREFIX}distribution/*", condition="made"),
    ),
    "cloudfront_function": (
        allow("read", "cloudfront", "DescribeFunction GetFunction", _FUNCTION_ARN),
        allow("write", "cloudfront", f"{crud_actions('Function')} PublishFunction", _FUNCTION_ARN),
    ),
    "cloudfront_headers": (
        allow("read", "cloudfront", "GetResponseHeadersPolicy", _HEADERS_POLICY_ARN),
        allow("write", "cloudfront", crud_actions("ResponseHeadersPolicy"), _HEADERS_POLICY_ARN),
    ),
    "cloudfront_oac": (
        allow("read", "cloudfront", "GetOriginAccessControl", _ORIGIN_ACCESS_CONTROL_ARN),
        allow("write", "cloudfront", crud_actions("OriginAccessControl"), _ORIGIN_ACCESS_CONTROL_ARN),
    ),
    "cloudwatch_alarm": (
        allow("read", "cloudwatch", "DescribeAlarms", "arn:aws:cloudwatch:{r}:{a}:alarm:*"),
        allow("read", "cloudwatch", "ListTagsForResource", _ALARM_ARN),
        allow("write", "cloudwatch", "PutMetricAlarm DeleteAlarms TagResource", _ALARM_ARN),
    ),
    "ec2_security_group": (
        allow("read", "ec2", "DescribeSecurityGroups DescribeSecurityGroupRules"),
        allow("write", "ec2", "CreateSecurityGroup", f"{_EC2_ARN_PREFIX}vpc/*"),
        allow("write", "ec2", "CreateSecurityGroup CreateTags", f"{_EC2_ARN_PREFIX}security-group/*", condition="made"),
        allow(
            "write",
            "ec2",
            "AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress RevokeSecurityGroupIngress"
            " RevokeSecurityGroupEgress DeleteSecurityGroup",
            f"{_EC2_ARN_PREFIX}security-group/*",
            condition="ours",
        ),
    ),
    "ec2_vpc": (
        allow("read", "ec2", "DescribeVpcs DescribeSubnets DescribeRouteTables"),
        allow("write", "ec2", "CreateDefaultVpc"),
    ),
    "ec2_vpc_endpoint": (
        allow("read", "ec2", "DescribeVpcEndpoints"),
        allow(
            "write",
            "ec2",
            "CreateVpcEndpoint ModifyVpcEndpoint",
            f"{_EC2_ARN_PREFIX}vpc/*",
            f"{_EC2_ARN_PREFIX}route-table/*",
        ),
        allow("write", "ec2", "CreateVpcEndpoint CreateTags", f"{_EC2_ARN_PREFIX}vpc-endpoint/*", condition="made"),
        allow(
            "write", "ec2", "ModifyVpcEndpoint DeleteVpcEndpoints", f"{_EC2_ARN_PREFIX}vpc-endpoint/*", condition="ours"
        ),
    ),
    "ecr_image": (
        allow("read", "ecr", "DescribeImages BatchGetImage", _REPOSITORY_ARN),
        allow("write", "ecr", "GetAuthorizationToken"),
        allow(
            "write",
            "ecr",
            "BatchCheckLayerAvailability CompleteLayerUpload GetDownloadUrlForLayer InitiateLayerUpload PutImage"
            " UploadLayerPart",
            _REPOSITORY_ARN,
        ),
    ),
    "ecr_repository": (
        allow(
            "read",
            "ecr",
            "DescribeRepositories GetLifecyclePolicy ListTagsForResource DescribeImages BatchGetImage",
            _REPOSITORY_ARN,
        ),
        allow(
            "write",
            "ecr",
            "CreateRepository TagResource PutImageTagMutability PutImageScanningConfiguration PutLifecyclePolicy"
            " DeleteLifecyclePolicy ListImages BatchDeleteImage",
            _REPOSITORY_ARN,
        ),
        allow("destroy", "ecr", "DeleteRepository", _REPOSITORY_ARN),
    ),
    "iam_role": (
        allow("read", "iam", "GetRole GetRolePolicy ListAttachedRolePolicies ListRolePolicies", ROLE_ARN),
        allow(
            "write",
            "iam",
            "CreateRole PutRolePolicy DeleteRolePolicy DetachRolePolicy PutRolePermissionsBoundary",
            ROLE_ARN,
            condition="bounded",
        ),
        allow("write", "iam", "AttachRolePolicy", ROLE_ARN, condition="attached"),
        allow("write", "iam", "DeleteRole TagRole UpdateAssumeRolePolicy", ROLE_ARN),
    ),
    "migration": (
        allow("read", "rds", "DescribeDBSnapshots"),
        allow(
            "write",
            "rds",
            "CreateDBSnapshot AddTagsToResource",
            f"{_RDS_ARN_PREFIX}db:{{p}}-*",
            f"{_RDS_ARN_PREFIX}snapshot:{{p}}-*",
        ),
    ),
    "rds_instance": (
        allow("read", "rds", "DescribeDBInstances", f"{_RDS_ARN_PREFIX}db:*"),
        allow("read", "rds", "ListTagsForResource", f"{_RDS_ARN_PREFIX}db:{{n}}"),
        allow(
            "write",
            "rds",
            "CreateDBInstance ModifyDBInstance AddTagsToResource",
            f"{_RDS_ARN_PREFIX}db:{{n}}",
            f"{_RDS_ARN_PREFIX}subgrp:{{p}}-*",
            f"{_RDS_ARN_PREFIX}pg:{{p}}-*",
        ),
        allow(
            "write",
            "rds",
            "CreateDBInstance ModifyDBInstance",
            f"{_RDS_ARN_PREFIX}og:default*",
            f"{_RDS_ARN_PREFIX}pg:default*",
        ),
        allow("write", "iam", "CreateServiceLinkedRole", SERVICE_LINKED_ROLE_ARN, condition="linked"),
        allow("destroy", "rds", "DeleteDBInstance", f"{_RDS_ARN_PREFIX}db:{{n}}"),
        allow(
            "destroy",
            "rds",
            "CreateDBSnapshot DeleteDBInstance",
            f"{_RDS_ARN_PREFIX}snapshot:{{n}}-*",
            f"{_RDS_ARN_PREFIX}db:{{n}}",
        ),
    ),
    "rds_parameter_group": (
        allow(
            "read",
            "rds",
            "DescribeDBParameterGroups DescribeDBParameters ListTagsForResource",
            f"{_RDS_ARN_PREFIX}pg:{{n}}",
        ),
        allow(
            "write",
            "rds",
            "CreateDBParameterGroup ModifyDBParameterGroup DeleteDBParameterGroup AddTagsToResource",
            f"{_RDS_ARN_PREFIX}pg:{{n}}",
        ),
    ),
    "rds_subnet_group": (
        allow("read", "rds", "DescribeDBSubnetGroups ListTagsForResource", f"{_RDS_ARN_PREFIX}subgrp:{{n}}"),
        allow(
            "write",
            "rds",
            "CreateDBSubnetGroup ModifyDBSubnetGroup DeleteDBSubnetGroup AddTagsToResource",
            f"{_RDS_ARN_PREFIX}subgrp:{{n}}",
        ),
    ),
    "s3_bucket": (
        allow(
            "read",
            "s3",
            "ListBucket GetBucketTagging GetBucketVersioning GetEncryptionConfiguration GetBucketPublicAccessBlock"
            " GetBucketOwnershipControls GetLifecycleConfiguration GetBucketLogging GetBucketNotification",
            BUCKET_ARN,
        ),
        allow(
            "write",
            "s3",
            "CreateBucket PutBucketTagging TagResource PutBucketVersioning PutEncryptionConfiguration"
            " PutBucketPublicAccessBlock PutBucketOwnershipControls PutLifecycleConfiguration PutBucketLogging"
            " PutBucketNotification",
            BUCKET_ARN,
        ),
        allow("destroy", "s3", "DeleteBucket ListBucketVersions ListBucketMultipartUploads", BUCKET_ARN),
        allow("destroy", "s3", "DeleteObject DeleteObjectVersion AbortMultipartUpload", OBJECTS_ARN),
    ),
    "s3_bucket_cors": (
        allow("read", "s3", "ListBucket GetBucketTagging GetBucketCORS", BUCKET_ARN),
        allow("write", "s3", "PutBucketCORS", BUCKET_ARN),
    ),
    "s3_bucket_policy": (
        allow("read", "s3", "ListBucket GetBucketTagging GetBucketPolicy", BUCKET_ARN),
        allow("write", "s3", "PutBucketPolicy DeleteBucketPolicy", BUCKET_ARN),
    ),
    "s3_model": (
        allow("read", "s3", "GetObject", f"{BUCKET_ARN}/ml-models/*"),
        allow("write", "s3", "PutObject", f"{BUCKET_ARN}/ml-models/current.json"),
    ),
    "s3_site": (
        allow("read", "s3", "ListBucket GetBucketTagging", BUCKET_ARN),
        allow("read", "s3", "GetObject", OBJECTS_ARN),
        allow("write", "s3", "PutObject DeleteObject", OBJECTS_ARN),
    ),
    "secretsmanager_secret": (
        allow("read", "secretsmanager", "DescribeSecret", *SECRET_ARNS),
        allow(
            "write",
            "secretsmanager",
            "CreateSecret TagResource UntagResource UpdateSecret RestoreSecret GetSecretValue PutSecretValue"
            " ListSecretVersionIds UpdateSecretVersionStage",
            *SECRET_ARNS,
        ),
        allow("destroy", "secretsmanager", "DeleteSecret", *SECRET_ARNS),
    ),
    "secretsmanager_value": (),
    "sns_topic": (
        allow("read", "sns", "GetTopicAttributes ListTagsForResource ListSubscriptionsByTopic", _TOPIC_ARN),
        allow("write", "sns", "CreateTopic SetTopicAttributes TagResource Subscribe DeleteTopic", _TOPIC_ARN),
        allow("write", "sns", "Unsubscribe"),
    ),
}
"""Rules for every type that manifests can expand to; a missing type raises KeyError and fails a test."""

RELEASE_BUCKET_RULES: Final = (
    allow("read", "s3", "ListBucket", BUCKET_ARN),
    allow("read", "s3", "GetObject", OBJECTS_ARN),
    allow("write", "s3", "PutObject DeleteObject", OBJECTS_ARN),
)
"""Rules for the release bucket."""
