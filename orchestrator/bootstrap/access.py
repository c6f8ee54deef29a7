"""Which IAM actions each resource type needs, and on which ARNs.  Data; source: the service authorization reference.

An ARN is a template: ``{a}`` account, ``{r}`` region, ``{n}`` the resource's name in AWS, ``{p}`` the prefix of the
environment's names, ``{path}`` the path of its roles.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

ANY: Final = ("*",)


class Rule(Struct, frozen=True):
    """``actions`` (of one service) on ``arns``.

    ``who``: ``read`` for planning and deploying, ``write`` for deploying, ``destroy`` for deploying where the manifest
    lets the data go.  ``when``: a name in ``policies.CONDITIONS``.
    """

    who: str
    actions: tuple[str, ...]
    arns: tuple[str, ...] = ANY
    when: str = ""


def _rule(who: str, service: str, actions: str, *arns: str, when: str = "") -> Rule:
    return Rule(who, tuple(f"{service}:{action}" for action in actions.split()), arns or ANY, when)


def _each(what: str) -> str:
    """Making, changing and deleting it."""
    return f"Create{what} Update{what} Delete{what}"


BUCKET: Final = "arn:aws:s3:::{n}"
OBJECTS: Final = "arn:aws:s3:::{n}/*"
SECRET: Final = ("arn:aws:secretsmanager:{r}:{a}:secret:{n}", "arn:aws:secretsmanager:{r}:{a}:secret:{n}-??????")
_APP = "arn:aws:apprunner:{r}:{a}:"
_CDN = "arn:aws:cloudfront::{a}:"
_FUNCTION = f"{_CDN}function/{{n}}"
_HEADERS, _OAC = f"{_CDN}response-headers-policy/*", f"{_CDN}origin-access-control/*"
_EC2 = "arn:aws:ec2:{r}:{a}:"
_RDS = "arn:aws:rds:{r}:{a}:"
_SERVICE, _SCALING = f"{_APP}service/{{n}}/*", f"{_APP}autoscalingconfiguration/{{n}}/*"
_CONNECTOR, _TRACING = f"{_APP}vpcconnector/{{n}}/*", f"{_APP}observabilityconfiguration/{{n}}/*"
_REPOSITORY = "arn:aws:ecr:{r}:{a}:repository/{n}"
_ROLES = "arn:aws:iam::{a}:role{path}*"
_ALARM = "arn:aws:cloudwatch:{r}:{a}:alarm:{n}"
_TOPIC = "arn:aws:sns:{r}:{a}:{n}"
_BUDGET = "arn:aws:budgets::{a}:budget/{n}"
_LOGS = "arn:aws:logs:{r}:{a}:log-group:/aws/apprunner/{n}/*"
_SLR = "arn:aws:iam::{a}:role/aws-service-role/*"

ALWAYS: Final = (
    _rule("read", "tag", "GetResources"),
    _rule("read", "iam", "ListRoles"),
    _rule("read", "cloudfront", "ListDistributions ListFunctions"),
    _rule("read", "cloudfront", "ListOriginAccessControls ListResponseHeadersPolicies"),
    _rule(
        "read",
        "apprunner",
        "ListServices ListAutoScalingConfigurations ListVpcConnectors ListObservabilityConfigurations",
    ),
    _rule("read", "s3", "ListAllMyBuckets"),
    _rule("read", "budgets", "ViewBudget", "arn:aws:budgets::{a}:budget/*"),
)
"""What looking for forgotten things asks, whatever the manifests hold."""

TYPES: Final[dict[str, tuple[Rule, ...]]] = {
    "apprunner_autoscaling": (
        _rule("read", "apprunner", "DescribeAutoScalingConfiguration ListTagsForResource", _SCALING),
        _rule("write", "apprunner", "CreateAutoScalingConfiguration DeleteAutoScalingConfiguration", _SCALING),
        _rule("write", "apprunner", "TagResource", _SCALING),
    ),
    "apprunner_connector": (
        _rule("read", "apprunner", "DescribeVpcConnector ListTagsForResource", _CONNECTOR),
        _rule("write", "apprunner", "CreateVpcConnector DeleteVpcConnector TagResource", _CONNECTOR),
        _rule("write", "iam", "CreateServiceLinkedRole", _SLR, when="linked"),
    ),
    "apprunner_observability": (
        _rule("read", "apprunner", "DescribeObservabilityConfiguration ListTagsForResource", _TRACING),
        _rule("write", "apprunner", "TagResource CreateObservabilityConfiguration", _TRACING),
        _rule("write", "apprunner", "DeleteObservabilityConfiguration", _TRACING),
    ),
    "apprunner_service": (
        _rule("read", "apprunner", "DescribeService ListOperations ListTagsForResource", _SERVICE),
        _rule("read", "logs", "DescribeLogGroups"),
        _rule("write", "apprunner", "UpdateService DeleteService ResumeService TagResource", _SERVICE),
        _rule("write", "apprunner", "CreateService", _SERVICE),
        _rule("write", "apprunner", "CreateService UpdateService", _SCALING, _CONNECTOR, _TRACING),
        _rule("write", "logs", "CreateLogGroup PutRetentionPolicy TagResource", _LOGS),
        _rule("write", "logs", "DescribeLogStreams GetLogEvents", _LOGS),
        _rule("write", "iam", "PassRole", _ROLES, when="passed"),
        _rule("write", "iam", "CreateServiceLinkedRole", _SLR, when="linked"),
    ),
    "budgets_budget": (
        _rule("read", "budgets", "ListTagsForResource", _BUDGET),
        _rule("write", "budgets", "ModifyBudget TagResource", _BUDGET),
    ),
    "cloudfront_distribution": (
        _rule("read", "cloudfront", "GetDistribution GetDistributionConfig", f"{_CDN}distribution/*"),
        _rule("read", "cloudfront", "ListTagsForResource", f"{_CDN}distribution/*"),
        _rule("write", "cloudfront", "CreateDistribution", f"{_CDN}distribution/*", when="made"),
        _rule(
            "write",
            "cloudfront",
            "UpdateDistribution DeleteDistribution CreateInvalidation",
            f"{_CDN}distribution/*",
            when="ours",
        ),
        _rule("write", "cloudfront", "TagResource", f"{_CDN}distribution/*", when="made"),
    ),
    "cloudfront_function": (
        _rule("read", "cloudfront", "DescribeFunction GetFunction", _FUNCTION),
        _rule("write", "cloudfront", f"{_each('Function')} PublishFunction", _FUNCTION),
    ),
    "cloudfront_headers": (
        _rule("read", "cloudfront", "GetResponseHeadersPolicy", _HEADERS),
        _rule("write", "cloudfront", _each("ResponseHeadersPolicy"), _HEADERS),
    ),
    "cloudfront_oac": (
        _rule("read", "cloudfront", "GetOriginAccessControl", _OAC),
        _rule("write", "cloudfront", _each("OriginAccessControl"), _OAC),
    ),
    "cloudwatch_alarm": (
        _rule("read", "cloudwatch", "DescribeAlarms", "arn:aws:cloudwatch:{r}:{a}:alarm:*"),
        _rule("read", "cloudwatch", "ListTagsForResource", _ALARM),
        _rule("write", "cloudwatch", "PutMetricAlarm DeleteAlarms TagResource", _ALARM),
    ),
    "ec2_security_group": (
        _rule("read", "ec2", "DescribeSecurityGroups DescribeSecurityGroupRules"),
        _rule("write", "ec2", "CreateSecurityGroup", f"{_EC2}vpc/*"),
        _rule("write", "ec2", "CreateSecurityGroup CreateTags", f"{_EC2}security-group/*", when="made"),
        _rule(
            "write",
            "ec2",
            "AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress RevokeSecurityGroupIngress"
            " RevokeSecurityGroupEgress DeleteSecurityGroup",
            f"{_EC2}security-group/*",
            when="ours",
        ),
    ),
    "ec2_vpc": (
        _rule("read", "ec2", "DescribeVpcs DescribeSubnets DescribeRouteTables"),
        _rule("write", "ec2", "CreateDefaultVpc"),
    ),
    "ec2_vpc_endpoint": (
        _rule("read", "ec2", "DescribeVpcEndpoints"),
        _rule("write", "ec2", "CreateVpcEndpoint ModifyVpcEndpoint", f"{_EC2}vpc/*", f"{_EC2}route-table/*"),
        _rule("write", "ec2", "CreateVpcEndpoint CreateTags", f"{_EC2}vpc-endpoint/*", when="made"),
        _rule("write", "ec2", "ModifyVpcEndpoint DeleteVpcEndpoints", f"{_EC2}vpc-endpoint/*", when="ours"),
    ),
    "ecr_image": (
        _rule("read", "ecr", "DescribeImages BatchGetImage", _REPOSITORY),
        _rule("write", "ecr", "GetAuthorizationToken"),
        _rule(
            "write",
            "ecr",
            "BatchCheckLayerAvailability CompleteLayerUpload GetDownloadUrlForLayer InitiateLayerUpload PutImage"
            " UploadLayerPart",
            _REPOSITORY,
        ),
    ),
    "ecr_repository": (
        _rule(
            "read",
            "ecr",
            "DescribeRepositories GetLifecyclePolicy ListTagsForResource DescribeImages BatchGetImage",
            _REPOSITORY,
        ),
        _rule(
            "write",
            "ecr",
            "CreateRepository TagResource PutImageTagMutability PutImageScanningConfiguration PutLifecyclePolicy"
            " DeleteLifecyclePolicy ListImages BatchDeleteImage",
            _REPOSITORY,
        ),
        _rule("destroy", "ecr", "DeleteRepository", _REPOSITORY),
    ),
    "iam_role": (
        _rule("read", "iam", "GetRole GetRolePolicy ListAttachedRolePolicies ListRolePolicies", _ROLES),
        _rule(
            "write",
            "iam",
            "CreateRole PutRolePolicy DeleteRolePolicy DetachRolePolicy PutRolePermissionsBoundary",
            _ROLES,
            when="bounded",
        ),
        _rule("write", "iam", "AttachRolePolicy", _ROLES, when="attached"),
        _rule("write", "iam", "DeleteRole TagRole UpdateAssumeRolePolicy", _ROLES),
    ),
    "migration": (
        _rule("read", "rds", "DescribeDBSnapshots"),
        _rule("write", "rds", "CreateDBSnapshot AddTagsToResource", f"{_RDS}db:{{p}}-*", f"{_RDS}snapshot:{{p}}-*"),
    ),
    "rds_instance": (
        _rule("read", "rds", "DescribeDBInstances", f"{_RDS}db:*"),
        _rule("read", "rds", "ListTagsForResource", f"{_RDS}db:{{n}}"),
        _rule(
            "write",
            "rds",
            "CreateDBInstance ModifyDBInstance AddTagsToResource",
            f"{_RDS}db:{{n}}",
            f"{_RDS}subgrp:{{p}}-*",
            f"{_RDS}pg:{{p}}-*",
        ),
        _rule("write", "rds", "CreateDBInstance ModifyDBInstance", f"{_RDS}og:default*", f"{_RDS}pg:default*"),
        _rule("write", "iam", "CreateServiceLinkedRole", _SLR, when="linked"),
        _rule("destroy", "rds", "DeleteDBInstance", f"{_RDS}db:{{n}}"),
        _rule("destroy", "rds", "CreateDBSnapshot DeleteDBInstance", f"{_RDS}snapshot:{{n}}-*", f"{_RDS}db:{{n}}"),
    ),
    "rds_parameter_group": (
        _rule(
            "read",
            "rds",
            "DescribeDBParameterGroups DescribeDBParameters ListTagsForResource",
            f"{_RDS}pg:{{n}}",
        ),
        _rule(
            "write",
            "rds",
            "CreateDBParameterGroup ModifyDBParameterGroup DeleteDBParameterGroup AddTagsToResource",
            f"{_RDS}pg:{{n}}",
        ),
    ),
    "rds_subnet_group": (
        _rule("read", "rds", "DescribeDBSubnetGroups ListTagsForResource", f"{_RDS}subgrp:{{n}}"),
        _rule(
            "write",
            "rds",
            "CreateDBSubnetGroup ModifyDBSubnetGroup DeleteDBSubnetGroup AddTagsToResource",
            f"{_RDS}subgrp:{{n}}",
        ),
    ),
    "s3_bucket": (
        _rule(
            "read",
            "s3",
            "ListBucket GetBucketTagging GetBucketVersioning GetEncryptionConfiguration GetBucketPublicAccessBlock"
            " GetBucketOwnershipControls GetLifecycleConfiguration GetBucketLogging GetBucketNotification",
            BUCKET,
        ),
        _rule(
            "write",
            "s3",
            "CreateBucket PutBucketTagging TagResource PutBucketVersioning PutEncryptionConfiguration"
            " PutBucketPublicAccessBlock PutBucketOwnershipControls PutLifecycleConfiguration PutBucketLogging"
            " PutBucketNotification",
            BUCKET,
        ),
        _rule("destroy", "s3", "DeleteBucket ListBucketVersions ListBucketMultipartUploads", BUCKET),
        _rule("destroy", "s3", "DeleteObject DeleteObjectVersion AbortMultipartUpload", OBJECTS),
    ),
    "s3_bucket_cors": (
        _rule("read", "s3", "ListBucket GetBucketTagging GetBucketCORS", BUCKET),
        _rule("write", "s3", "PutBucketCORS", BUCKET),
    ),
    "s3_bucket_policy": (
        _rule("read", "s3", "ListBucket GetBucketTagging GetBucketPolicy", BUCKET),
        _rule("write", "s3", "PutBucketPolicy DeleteBucketPolicy", BUCKET),
    ),
    "s3_model": (
        _rule("read", "s3", "GetObject", f"{BUCKET}/ml-models/*"),
        _rule("write", "s3", "PutObject", f"{BUCKET}/ml-models/current.json"),
    ),
    "s3_site": (
        _rule("read", "s3", "ListBucket GetBucketTagging", BUCKET),
        _rule("read", "s3", "GetObject", OBJECTS),
        _rule("write", "s3", "PutObject DeleteObject", OBJECTS),
    ),
    "secretsmanager_secret": (
        _rule("read", "secretsmanager", "DescribeSecret", *SECRET),
        _rule(
            "write",
            "secretsmanager",
            "CreateSecret TagResource UntagResource UpdateSecret RestoreSecret GetSecretValue PutSecretValue"
            " ListSecretVersionIds UpdateSecretVersionStage",
            *SECRET,
        ),
        _rule("destroy", "secretsmanager", "DeleteSecret", *SECRET),
    ),
    "secretsmanager_value": (),
    "sns_topic": (
        _rule("read", "sns", "GetTopicAttributes ListTagsForResource ListSubscriptionsByTopic", _TOPIC),
        _rule("write", "sns", "CreateTopic SetTopicAttributes TagResource Subscribe DeleteTopic", _TOPIC),
        _rule("write", "sns", "Unsubscribe"),
    ),
}
"""Every type a manifest can lead to; a type that is missing here is a KeyError, and a failing test."""

RELEASES: Final = (
    _rule("read", "s3", "ListBucket", BUCKET),
    _rule("read", "s3", "GetObject", OBJECTS),
    _rule("write", "s3", "PutObject DeleteObject", OBJECTS),
)
"""On the release bucket."""
