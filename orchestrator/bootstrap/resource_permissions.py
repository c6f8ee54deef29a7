"""List the IAM actions and ARNs that each resource type needs.  Data; source: AWS service authorization reference.

``permission_rules`` defines the rules; ``runtime_permissions`` covers the types that run container services.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orchestrator.bootstrap.permission_rules import (
    PATHLESS_ROLE_ARN,
    QUOTA_RULES,
    ROLE_ARN,
    SERVICE_LINKED_ROLE_ARN,
    PermissionRule,
    allow,
)
from orchestrator.bootstrap.runtime_permissions import RUNTIME_RULES_BY_TYPE

BUCKET_ARN: Final = "arn:aws:s3:::{n}"
OBJECTS_ARN: Final = "arn:aws:s3:::{n}/*"
SECRET_ARNS: Final = ("arn:aws:secretsmanager:{r}:{a}:secret:{n}", "arn:aws:secretsmanager:{r}:{a}:secret:{n}-??????")
_CLOUDFRONT_ARN_PREFIX = "arn:aws:cloudfront::{a}:"
_DISTRIBUTION_ARN = f"{_CLOUDFRONT_ARN_PREFIX}distribution/*"
_NEW_DISTRIBUTION_ARN = f"{_CLOUDFRONT_ARN_PREFIX}distribution/?"
"""A distribution that is being created: CloudFront authorises it on `distribution/*`; real ids are longer."""
_FUNCTION_ARN = f"{_CLOUDFRONT_ARN_PREFIX}function/{{n}}"
_HEADERS_POLICY_ARN, _ORIGIN_ACCESS_CONTROL_ARN = (
    f"{_CLOUDFRONT_ARN_PREFIX}response-headers-policy/*",
    f"{_CLOUDFRONT_ARN_PREFIX}origin-access-control/*",
)
_EC2_ARN_PREFIX = "arn:aws:ec2:{r}:{a}:"
_SECURITY_GROUP_ARN, _VPC_ENDPOINT_ARN = f"{_EC2_ARN_PREFIX}security-group/*", f"{_EC2_ARN_PREFIX}vpc-endpoint/*"
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
    allow("read", "ec2", "DescribeSecurityGroups DescribeVpcEndpoints"),
    allow("read", "ecs", "ListServices"),
    allow("read", "s3", "ListAllMyBuckets"),
    allow("read", "budgets", "ViewBudget", "arn:aws:budgets::{a}:budget/*"),
)
"""What finding resources that are no longer in the manifests needs, whatever the manifests hold."""

_RESTORE_RULES: Final = (
    allow("read", "rds", "DescribeDBInstanceAutomatedBackups DescribeDBSnapshots"),
    allow(
        "write",
        "rds",
        "RestoreDBInstanceToPointInTime RestoreDBInstanceFromDBSnapshot",
        f"{_RDS_ARN_PREFIX}db:{{n}}",
        f"{_RDS_ARN_PREFIX}db:{{n}}-*",
        f"{_RDS_ARN_PREFIX}subgrp:{{p}}-*",
        f"{_RDS_ARN_PREFIX}pg:{{p}}-*",
        f"{_RDS_ARN_PREFIX}pg:default*",
        f"{_RDS_ARN_PREFIX}og:default*",
    ),
    allow("write", "rds", "RestoreDBInstanceToPointInTime", f"{_RDS_ARN_PREFIX}auto-backup:*"),
    allow("write", "rds", "RestoreDBInstanceFromDBSnapshot", f"{_RDS_ARN_PREFIX}snapshot:*"),
    # The restored instance and the one that it replaces have names made from that of the instance.
    allow("write", "rds", "ModifyDBInstance AddTagsToResource", f"{_RDS_ARN_PREFIX}db:{{n}}-*"),
    allow("write", "rds", "RemoveTagsFromResource", f"{_RDS_ARN_PREFIX}db:{{n}}", f"{_RDS_ARN_PREFIX}db:{{n}}-*"),
    # The throwaway of a drill has no data that is not in a backup.
    allow("write", "rds", "DeleteDBInstance", f"{_RDS_ARN_PREFIX}db:{{n}}-drill-*"),
    allow("read", "rds", "DescribeDBEngineVersions"),
    # Before another class or major version, a destructive migration or a deletion.
    allow("write", "rds", "CreateDBSnapshot", f"{_RDS_ARN_PREFIX}db:{{n}}", f"{_RDS_ARN_PREFIX}snapshot:{{n}}-*"),
)

RULES_BY_TYPE: Final[dict[str, tuple[PermissionRule, ...]]] = {
    **RUNTIME_RULES_BY_TYPE,
    "budgets_budget": (
        allow("read", "budgets", "ListTagsForResource", _BUDGET_ARN),
        allow("write", "budgets", "ModifyBudget TagResource", _BUDGET_ARN),
    ),
    "cloudfront_distribution": (
        *QUOTA_RULES,
        allow("read", "cloudwatch", "GetMetricData"),
        allow("read", "cloudfront", "GetDistribution GetDistributionConfig", _DISTRIBUTION_ARN, condition="ours"),
        allow("read", "cloudfront", "ListTagsForResource", _DISTRIBUTION_ARN),
        allow("write", "cloudfront", "CreateDistribution", condition="made"),
        allow("write", "cloudfront", "TagResource", _NEW_DISTRIBUTION_ARN, condition="made"),
        allow("write", "cloudfront", "TagResource", _DISTRIBUTION_ARN, condition="retagged"),
        allow(
            "write",
            "cloudfront",
            "UpdateDistribution DeleteDistribution CreateInvalidation",
            _DISTRIBUTION_ARN,
            condition="ours",
        ),
        allow("adopt-read", "cloudfront", "GetDistribution GetDistributionConfig", _DISTRIBUTION_ARN),
        allow("adopt", "cloudfront", "TagResource", _DISTRIBUTION_ARN, condition="adopted"),
    ),
    "cloudfront_function": (
        allow("read", "cloudfront", "DescribeFunction GetFunction", _FUNCTION_ARN),
        allow("write", "cloudfront", "CreateFunction"),
        allow("write", "cloudfront", "UpdateFunction DeleteFunction PublishFunction", _FUNCTION_ARN),
    ),
    "cloudfront_headers": (
        allow("read", "cloudfront", "GetResponseHeadersPolicy", _HEADERS_POLICY_ARN),
        allow("write", "cloudfront", "CreateResponseHeadersPolicy"),
        allow("write", "cloudfront", "UpdateResponseHeadersPolicy DeleteResponseHeadersPolicy", _HEADERS_POLICY_ARN),
    ),
    "cloudfront_oac": (
        allow("read", "cloudfront", "GetOriginAccessControl", _ORIGIN_ACCESS_CONTROL_ARN),
        allow("write", "cloudfront", "CreateOriginAccessControl"),
        allow("write", "cloudfront", "UpdateOriginAccessControl DeleteOriginAccessControl", _ORIGIN_ACCESS_CONTROL_ARN),
    ),
    "cloudwatch_alarm": (
        allow("read", "cloudwatch", "DescribeAlarms", "arn:aws:cloudwatch:{r}:{a}:alarm:*"),
        allow("write", "cloudwatch", "PutMetricAlarm DeleteAlarms TagResource", _ALARM_ARN),
    ),
    "ec2_security_group": (
        allow("read", "ec2", "DescribeSecurityGroups"),
        allow("write", "ec2", "CreateSecurityGroup", f"{_EC2_ARN_PREFIX}vpc/*"),
        allow("write", "ec2", "CreateSecurityGroup", _SECURITY_GROUP_ARN, condition="made"),
        allow("write", "ec2", "CreateTags", _SECURITY_GROUP_ARN, condition="tagged at creation"),
        allow("write", "ec2", "CreateTags", _SECURITY_GROUP_ARN, condition="retagged"),
        allow("adopt", "ec2", "CreateTags", _SECURITY_GROUP_ARN, condition="adopted"),
        allow(
            "write",
            "ec2",
            "AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress RevokeSecurityGroupIngress"
            " RevokeSecurityGroupEgress DeleteSecurityGroup",
            _SECURITY_GROUP_ARN,
            condition="ours",
        ),
    ),
    "ec2_vpc": (
        allow("read", "ec2", "DescribeVpcs DescribeSubnets DescribeRouteTables"),
        allow("write", "ec2", "CreateDefaultVpc"),
    ),
    "ec2_vpc_endpoint": (
        allow("read", "ec2", "DescribeVpcEndpoints"),
        allow("write", "ec2", "CreateVpcEndpoint", f"{_EC2_ARN_PREFIX}vpc/*"),
        allow("write", "ec2", "CreateVpcEndpoint ModifyVpcEndpoint", f"{_EC2_ARN_PREFIX}route-table/*"),
        allow("write", "ec2", "CreateVpcEndpoint", _VPC_ENDPOINT_ARN, condition="made"),
        allow("write", "ec2", "CreateTags", _VPC_ENDPOINT_ARN, condition="tagged at creation"),
        allow("write", "ec2", "CreateTags", _VPC_ENDPOINT_ARN, condition="retagged"),
        allow("write", "ec2", "ModifyVpcEndpoint DeleteVpcEndpoints", _VPC_ENDPOINT_ARN, condition="ours"),
        allow("write", "ec2", "CreateTags", _VPC_ENDPOINT_ARN, condition="sharing"),
        allow("write", "ec2", "CreateTags", _VPC_ENDPOINT_ARN, condition="sharing orphaned"),
        allow("write", "ec2", "DeleteTags", _VPC_ENDPOINT_ARN, condition="leaving"),
        allow("write", "ec2", "DeleteTags", _VPC_ENDPOINT_ARN, condition="ours"),
        allow("write", "ec2", "ModifyVpcEndpoint DeleteVpcEndpoints", _VPC_ENDPOINT_ARN, condition="shared"),
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
        allow("read", "ecr", "DescribeRepositories", "arn:aws:ecr:{r}:{a}:repository/*"),
        allow(
            "read",
            "ecr",
            "GetLifecyclePolicy GetRepositoryPolicy ListTagsForResource DescribeImages BatchGetImage",
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
        allow("read", "iam", "GetRole", ROLE_ARN, PATHLESS_ROLE_ARN),
        allow("read", "iam", "GetRolePolicy ListAttachedRolePolicies ListRolePolicies", ROLE_ARN),
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
    "migration": (allow("read", "rds", "DescribeDBSnapshots"),),
    "rds_instance": (
        *QUOTA_RULES,
        allow("read", "freetier", "GetAccountPlanState"),
        allow("read", "rds", "DescribeOrderableDBInstanceOptions"),
        allow("read", "rds", "DescribeDBInstances", f"{_RDS_ARN_PREFIX}db:*"),
        allow("write", "rds", "CreateDBInstance", f"{_RDS_ARN_PREFIX}subgrp:{{p}}-*"),
        allow(
            "write",
            "rds",
            "CreateDBInstance ModifyDBInstance",
            f"{_RDS_ARN_PREFIX}db:{{n}}",
            f"{_RDS_ARN_PREFIX}pg:{{p}}-*",
        ),
        allow("write", "rds", "AddTagsToResource StopDBInstance StartDBInstance", f"{_RDS_ARN_PREFIX}db:{{n}}"),
        allow(
            "write",
            "rds",
            "CreateDBInstance ModifyDBInstance",
            f"{_RDS_ARN_PREFIX}og:default*",
            f"{_RDS_ARN_PREFIX}pg:default*",
        ),
        *_RESTORE_RULES,
        allow("write", "iam", "CreateServiceLinkedRole", SERVICE_LINKED_ROLE_ARN, condition="linked"),
        allow("destroy", "rds", "DeleteDBInstance", f"{_RDS_ARN_PREFIX}db:{{n}}"),
        allow("write", "rds", "AddTagsToResource", f"{_RDS_ARN_PREFIX}snapshot:{{n}}-*"),
    ),
    "rds_parameter_group": (
        allow(
            "read",
            "rds",
            "DescribeDBParameterGroups DescribeDBParameters ListTagsForResource",
            f"{_RDS_ARN_PREFIX}pg:{{n}}",
        ),
        allow("read", "rds", "DescribeDBInstances", f"{_RDS_ARN_PREFIX}db:*"),
        allow(
            "write",
            "rds",
            "CreateDBParameterGroup ModifyDBParameterGroup DeleteDBParameterGroup AddTagsToResource",
            f"{_RDS_ARN_PREFIX}pg:{{n}}",
        ),
    ),
    "rds_subnet_group": (
        allow("read", "rds", "DescribeDBInstances", f"{_RDS_ARN_PREFIX}db:*"),
        allow("read", "rds", "DescribeDBSubnetGroups", f"{_RDS_ARN_PREFIX}subgrp:*"),
        allow("read", "rds", "ListTagsForResource", f"{_RDS_ARN_PREFIX}subgrp:{{n}}"),
        allow(
            "write",
            "rds",
            "CreateDBSubnetGroup ModifyDBSubnetGroup DeleteDBSubnetGroup AddTagsToResource",
            f"{_RDS_ARN_PREFIX}subgrp:{{n}}",
        ),
        allow("write", "iam", "CreateServiceLinkedRole", SERVICE_LINKED_ROLE_ARN, condition="linked"),
    ),
    "s3_bucket": (
        allow("read", "cloudwatch", "GetMetricData"),
        allow(
            "read",
            "s3",
            "ListBucket GetBucketTagging GetBucketVersioning GetEncryptionConfiguration GetBucketPublicAccessBlock"
            " GetBucketOwnershipControls GetLifecycleConfiguration GetBucketLogging GetBucketNotification"
            " GetReplicationConfiguration",
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
        allow("read", "s3", "GetObject", f"{BUCKET_ARN}/ml-models/*", f"{BUCKET_ARN}/ml-training/*"),
        allow(
            "write",
            "s3",
            "PutObject",
            f"{BUCKET_ARN}/ml-models/current.json",
            f"{BUCKET_ARN}/ml-models/training-needed.json",
        ),
    ),
    "s3_site": (
        allow("read", "s3", "ListBucket", BUCKET_ARN),
        allow("write", "s3", "PutObject DeleteObject", OBJECTS_ARN),
    ),
    "secretsmanager_secret": (
        allow("read", "secretsmanager", "DescribeSecret GetResourcePolicy ListSecretVersionIds", *SECRET_ARNS),
        allow(
            "write",
            "secretsmanager",
            "CreateSecret TagResource GetSecretValue PutSecretValue UpdateSecretVersionStage",
            *SECRET_ARNS,
        ),
        allow("write", "secretsmanager", "UntagResource UpdateSecret RestoreSecret", SECRET_ARNS[1]),
        allow("destroy", "secretsmanager", "DeleteSecret", SECRET_ARNS[1]),
    ),
    "secretsmanager_value": (),
    "sns_topic": (
        allow("read", "sns", "GetTopicAttributes ListTagsForResource ListSubscriptionsByTopic", _TOPIC_ARN),
        allow("write", "sns", "CreateTopic SetTopicAttributes TagResource Subscribe DeleteTopic", _TOPIC_ARN),
        allow("write", "sns", "Unsubscribe"),
    ),
}
"""Rules for every type that manifests can expand to; a missing type raises KeyError and fails a test."""

RELATED_TYPES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "apprunner_service": (
        ("apprunner_connector", "{n}"),
        ("apprunner_observability", "{n}"),
        ("cloudwatch_alarm", "{n}-*"),
        ("ec2_security_group", "{n}"),
    ),
    "cloudfront_distribution": (("cloudfront_function", "{n}"), ("cloudfront_headers", "{n}")),
    "ecs_express_service": (("cloudwatch_alarm", "{n}-*"),),
    "rds_instance": (("cloudwatch_alarm", "{n}-*"), ("rds_parameter_group", "{n}-*")),
}
"""By type: the types and names of what the component has with other options.

A deploy creates and deletes them when an option changes, and a rollback when it changes back.
"""

RELEASE_BUCKET_RULES: Final = (
    allow("read", "s3", "ListBucket", BUCKET_ARN),
    allow("read", "s3", "GetObject", OBJECTS_ARN),
    allow("write", "s3", "PutObject DeleteObject", OBJECTS_ARN),
    allow("write", "s3", "ListBucketVersions", BUCKET_ARN),
    allow("write", "s3", "GetObjectVersion", OBJECTS_ARN),
)
"""Rules for the release bucket."""

PROMOTION_SOURCE_RULES: Final[Mapping[str, tuple[PermissionRule, ...]]] = {
    "ecr_image": (
        allow("read", "ecr", "DescribeImages BatchGetImage", _REPOSITORY_ARN),
        allow("write", "ecr", "BatchCheckLayerAvailability GetDownloadUrlForLayer", _REPOSITORY_ARN),
    ),
    "s3_model": (
        allow("read", "s3", "ListBucket", BUCKET_ARN),
        allow("write", "s3", "GetObject", f"{BUCKET_ARN}/ml-models/*", f"{BUCKET_ARN}/ml-training/*"),
    ),
    "s3_site": (
        allow("read", "s3", "ListBucket", BUCKET_ARN),
        allow("write", "s3", "GetObject", OBJECTS_ARN),
    ),
    "releases": (
        allow("read", "s3", "ListBucket", BUCKET_ARN),
        allow("read", "s3", "GetObject", OBJECTS_ARN),
    ),
}
"""By artefact type: what a promotion reads of the environment that it comes from.

Source: "Blob mounting in Amazon ECR": a layer is mounted with ``ecr:GetDownloadUrlForLayer`` on its repository.
"""

PROMOTED_MODEL_RULES: Final = (
    allow("write", "s3", "PutObject", f"{BUCKET_ARN}/ml-models/*", f"{BUCKET_ARN}/ml-training/*"),
)
"""Rules for a bucket that gets the files of a promoted model."""
