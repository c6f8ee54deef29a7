"""Which IAM actions each resource type needs, and on which ARNs.  Data; source: the service authorization reference.

How a rule is written, ``rules`` says; what runs services stands in ``runtimes``.
"""

from __future__ import annotations

from typing import Final

from orchestrator.bootstrap.permission_rules import LINKED, ROLES, Rule, each, rule
from orchestrator.bootstrap.runtime_permissions import SERVICES

BUCKET: Final = "arn:aws:s3:::{n}"
OBJECTS: Final = "arn:aws:s3:::{n}/*"
SECRET: Final = ("arn:aws:secretsmanager:{r}:{a}:secret:{n}", "arn:aws:secretsmanager:{r}:{a}:secret:{n}-??????")
_CDN = "arn:aws:cloudfront::{a}:"
_FUNCTION = f"{_CDN}function/{{n}}"
_HEADERS, _OAC = f"{_CDN}response-headers-policy/*", f"{_CDN}origin-access-control/*"
_EC2 = "arn:aws:ec2:{r}:{a}:"
_RDS = "arn:aws:rds:{r}:{a}:"
_REPOSITORY = "arn:aws:ecr:{r}:{a}:repository/{n}"
_ALARM = "arn:aws:cloudwatch:{r}:{a}:alarm:{n}"
_TOPIC = "arn:aws:sns:{r}:{a}:{n}"
_BUDGET = "arn:aws:budgets::{a}:budget/{n}"

ALWAYS: Final = (
    rule("read", "tag", "GetResources"),
    rule("read", "iam", "ListRoles"),
    rule("read", "cloudfront", "ListDistributions ListFunctions"),
    rule("read", "cloudfront", "ListOriginAccessControls ListResponseHeadersPolicies"),
    rule(
        "read",
        "apprunner",
        "ListServices ListAutoScalingConfigurations ListVpcConnectors ListObservabilityConfigurations",
    ),
    rule("read", "ecs", "ListServices"),
    rule("read", "s3", "ListAllMyBuckets"),
    rule("read", "budgets", "ViewBudget", "arn:aws:budgets::{a}:budget/*"),
)
"""What looking for forgotten things asks, whatever the manifests hold."""

TYPES: Final[dict[str, tuple[Rule, ...]]] = {
    **SERVICES,
    "budgets_budget": (
        rule("read", "budgets", "ListTagsForResource", _BUDGET),
        rule("write", "budgets", "ModifyBudget TagResource", _BUDGET),
    ),
    "cloudfront_distribution": (
        rule("read", "cloudfront", "GetDistribution GetDistributionConfig", f"{_CDN}distribution/*"),
        rule("read", "cloudfront", "ListTagsForResource", f"{_CDN}distribution/*"),
        rule("write", "cloudfront", "CreateDistribution", f"{_CDN}distribution/*", when="made"),
        rule(
            "write",
            "cloudfront",
            "UpdateDistribution DeleteDistribution CreateInvalidation",
            f"{_CDN}distribution/*",
            when="ours",
        ),
        rule("write", "cloudfront", "TagResource", f"{_CDN}distribution/*", when="made"),
    ),
    "cloudfront_function": (
        rule("read", "cloudfront", "DescribeFunction GetFunction", _FUNCTION),
        rule("write", "cloudfront", f"{each('Function')} PublishFunction", _FUNCTION),
    ),
    "cloudfront_headers": (
        rule("read", "cloudfront", "GetResponseHeadersPolicy", _HEADERS),
        rule("write", "cloudfront", each("ResponseHeadersPolicy"), _HEADERS),
    ),
    "cloudfront_oac": (
        rule("read", "cloudfront", "GetOriginAccessControl", _OAC),
        rule("write", "cloudfront", each("OriginAccessControl"), _OAC),
    ),
    "cloudwatch_alarm": (
        rule("read", "cloudwatch", "DescribeAlarms", "arn:aws:cloudwatch:{r}:{a}:alarm:*"),
        rule("read", "cloudwatch", "ListTagsForResource", _ALARM),
        rule("write", "cloudwatch", "PutMetricAlarm DeleteAlarms TagResource", _ALARM),
    ),
    "ec2_security_group": (
        rule("read", "ec2", "DescribeSecurityGroups DescribeSecurityGroupRules"),
        rule("write", "ec2", "CreateSecurityGroup", f"{_EC2}vpc/*"),
        rule("write", "ec2", "CreateSecurityGroup CreateTags", f"{_EC2}security-group/*", when="made"),
        rule(
            "write",
            "ec2",
            "AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress RevokeSecurityGroupIngress"
            " RevokeSecurityGroupEgress DeleteSecurityGroup",
            f"{_EC2}security-group/*",
            when="ours",
        ),
    ),
    "ec2_vpc": (
        rule("read", "ec2", "DescribeVpcs DescribeSubnets DescribeRouteTables"),
        rule("write", "ec2", "CreateDefaultVpc"),
    ),
    "ec2_vpc_endpoint": (
        rule("read", "ec2", "DescribeVpcEndpoints"),
        rule("write", "ec2", "CreateVpcEndpoint ModifyVpcEndpoint", f"{_EC2}vpc/*", f"{_EC2}route-table/*"),
        rule("write", "ec2", "CreateVpcEndpoint CreateTags", f"{_EC2}vpc-endpoint/*", when="made"),
        rule("write", "ec2", "ModifyVpcEndpoint DeleteVpcEndpoints", f"{_EC2}vpc-endpoint/*", when="ours"),
    ),
    "ecr_image": (
        rule("read", "ecr", "DescribeImages BatchGetImage", _REPOSITORY),
        rule("write", "ecr", "GetAuthorizationToken"),
        rule(
            "write",
            "ecr",
            "BatchCheckLayerAvailability CompleteLayerUpload GetDownloadUrlForLayer InitiateLayerUpload PutImage"
            " UploadLayerPart",
            _REPOSITORY,
        ),
    ),
    "ecr_repository": (
        rule(
            "read",
            "ecr",
            "DescribeRepositories GetLifecyclePolicy ListTagsForResource DescribeImages BatchGetImage",
            _REPOSITORY,
        ),
        rule(
            "write",
            "ecr",
            "CreateRepository TagResource PutImageTagMutability PutImageScanningConfiguration PutLifecyclePolicy"
            " DeleteLifecyclePolicy ListImages BatchDeleteImage",
            _REPOSITORY,
        ),
        rule("destroy", "ecr", "DeleteRepository", _REPOSITORY),
    ),
    "iam_role": (
        rule("read", "iam", "GetRole GetRolePolicy ListAttachedRolePolicies ListRolePolicies", ROLES),
        rule(
            "write",
            "iam",
            "CreateRole PutRolePolicy DeleteRolePolicy DetachRolePolicy PutRolePermissionsBoundary",
            ROLES,
            when="bounded",
        ),
        rule("write", "iam", "AttachRolePolicy", ROLES, when="attached"),
        rule("write", "iam", "DeleteRole TagRole UpdateAssumeRolePolicy", ROLES),
    ),
    "migration": (
        rule("read", "rds", "DescribeDBSnapshots"),
        rule("write", "rds", "CreateDBSnapshot AddTagsToResource", f"{_RDS}db:{{p}}-*", f"{_RDS}snapshot:{{p}}-*"),
    ),
    "rds_instance": (
        rule("read", "rds", "DescribeDBInstances", f"{_RDS}db:*"),
        rule("read", "rds", "ListTagsForResource", f"{_RDS}db:{{n}}"),
        rule(
            "write",
            "rds",
            "CreateDBInstance ModifyDBInstance AddTagsToResource",
            f"{_RDS}db:{{n}}",
            f"{_RDS}subgrp:{{p}}-*",
            f"{_RDS}pg:{{p}}-*",
        ),
        rule("write", "rds", "CreateDBInstance ModifyDBInstance", f"{_RDS}og:default*", f"{_RDS}pg:default*"),
        rule("write", "iam", "CreateServiceLinkedRole", LINKED, when="linked"),
        rule("destroy", "rds", "DeleteDBInstance", f"{_RDS}db:{{n}}"),
        rule("destroy", "rds", "CreateDBSnapshot DeleteDBInstance", f"{_RDS}snapshot:{{n}}-*", f"{_RDS}db:{{n}}"),
    ),
    "rds_parameter_group": (
        rule(
            "read",
            "rds",
            "DescribeDBParameterGroups DescribeDBParameters ListTagsForResource",
            f"{_RDS}pg:{{n}}",
        ),
        rule(
            "write",
            "rds",
            "CreateDBParameterGroup ModifyDBParameterGroup DeleteDBParameterGroup AddTagsToResource",
            f"{_RDS}pg:{{n}}",
        ),
    ),
    "rds_subnet_group": (
        rule("read", "rds", "DescribeDBSubnetGroups ListTagsForResource", f"{_RDS}subgrp:{{n}}"),
        rule(
            "write",
            "rds",
            "CreateDBSubnetGroup ModifyDBSubnetGroup DeleteDBSubnetGroup AddTagsToResource",
            f"{_RDS}subgrp:{{n}}",
        ),
    ),
    "s3_bucket": (
        rule(
            "read",
            "s3",
            "ListBucket GetBucketTagging GetBucketVersioning GetEncryptionConfiguration GetBucketPublicAccessBlock"
            " GetBucketOwnershipControls GetLifecycleConfiguration GetBucketLogging GetBucketNotification",
            BUCKET,
        ),
        rule(
            "write",
            "s3",
            "CreateBucket PutBucketTagging TagResource PutBucketVersioning PutEncryptionConfiguration"
            " PutBucketPublicAccessBlock PutBucketOwnershipControls PutLifecycleConfiguration PutBucketLogging"
            " PutBucketNotification",
            BUCKET,
        ),
        rule("destroy", "s3", "DeleteBucket ListBucketVersions ListBucketMultipartUploads", BUCKET),
        rule("destroy", "s3", "DeleteObject DeleteObjectVersion AbortMultipartUpload", OBJECTS),
    ),
    "s3_bucket_cors": (
        rule("read", "s3", "ListBucket GetBucketTagging GetBucketCORS", BUCKET),
        rule("write", "s3", "PutBucketCORS", BUCKET),
    ),
    "s3_bucket_policy": (
        rule("read", "s3", "ListBucket GetBucketTagging GetBucketPolicy", BUCKET),
        rule("write", "s3", "PutBucketPolicy DeleteBucketPolicy", BUCKET),
    ),
    "s3_model": (
        rule("read", "s3", "GetObject", f"{BUCKET}/ml-models/*"),
        rule("write", "s3", "PutObject", f"{BUCKET}/ml-models/current.json"),
    ),
    "s3_site": (
        rule("read", "s3", "ListBucket GetBucketTagging", BUCKET),
        rule("read", "s3", "GetObject", OBJECTS),
        rule("write", "s3", "PutObject DeleteObject", OBJECTS),
    ),
    "secretsmanager_secret": (
        rule("read", "secretsmanager", "DescribeSecret", *SECRET),
        rule(
            "write",
            "secretsmanager",
            "CreateSecret TagResource UntagResource UpdateSecret RestoreSecret GetSecretValue PutSecretValue"
            " ListSecretVersionIds UpdateSecretVersionStage",
            *SECRET,
        ),
        rule("destroy", "secretsmanager", "DeleteSecret", *SECRET),
    ),
    "secretsmanager_value": (),
    "sns_topic": (
        rule("read", "sns", "GetTopicAttributes ListTagsForResource ListSubscriptionsByTopic", _TOPIC),
        rule("write", "sns", "CreateTopic SetTopicAttributes TagResource Subscribe DeleteTopic", _TOPIC),
        rule("write", "sns", "Unsubscribe"),
    ),
}
"""Every type a manifest can lead to; a type that is missing here is a KeyError, and a failing test."""

RELEASES: Final = (
    rule("read", "s3", "ListBucket", BUCKET),
    rule("read", "s3", "GetObject", OBJECTS),
    rule("write", "s3", "PutObject DeleteObject", OBJECTS),
)
"""On the release bucket."""
