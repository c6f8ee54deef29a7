"""List AWS's errors whose meaning is in their wording, as data: missing, temporary, and those with their own advice.

An error code alone often says too little: ``InvalidParameterException`` may mean a missing resource, a role that is not
visible yet or a wrong value.  Wordings are compared without case.  Each entry names where AWS's wording is recorded.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

from msgspec import Struct

ANY: Final = "*"


class ErrorPattern(Struct, frozen=True):
    """Errors of some calls: ``operations`` are globs of boto3's names; ``codes`` or ``fragments`` () match all.

    ``fragments``: lower-case texts, one of which the message has to contain.
    """

    service: str
    operations: tuple[str, ...]
    codes: tuple[str, ...]
    fragments: tuple[str, ...]

    def matches(self, service: str, operation: str, code: str, message: str) -> bool:
        """Return whether this is an error of that kind."""
        return (
            self.service in (ANY, service)
            and any(fnmatchcase(operation, pattern) for pattern in self.operations)
            and (not self.codes or code in self.codes)
            and (not self.fragments or any(fragment in message.lower() for fragment in self.fragments))
        )


class MissingError(Struct, frozen=True):
    """An error that means that the resource does not exist, although its code says something else."""

    pattern: ErrorPattern
    code: str
    source: str


class TemporaryError(Struct, frozen=True):
    """An error that ends by itself: the call is retried.  ``reason`` says what it waits for."""

    pattern: ErrorPattern
    reason: str
    source: str


class ErrorAdvice(Struct, frozen=True):
    """An error with a cause that its code hides.  ``advice`` says what to do."""

    pattern: ErrorPattern
    advice: str
    source: str


_EXPRESS_OPERATIONS = ("*_express_gateway_service",)
_EXPRESS_WRITES = ("create_express_gateway_service", "update_express_gateway_service")
_ROLE_REASON = "until AWS can assume the new role"
_LINKED_ROLE_REASON = "until the service-linked role is usable"

MISSING_ERRORS: Final = (
    MissingError(
        ErrorPattern("ecs", _EXPRESS_OPERATIONS, ("InvalidParameterException",), ("resource not found",)),
        "ResourceNotFoundException",
        "terraform-provider-aws internal/service/ecs/express_gateway_service.go",
    ),
)

TEMPORARY_ERRORS: Final = (
    TemporaryError(
        ErrorPattern(
            "ecs",
            (*_EXPRESS_WRITES, "register_task_definition", "run_task"),
            ("AccessDeniedException", "InvalidParameterException", "ClientException"),
            (
                "cannot assume role",
                "cannot be assumed",
                "unable to assume role",
                "unable to assume the role",
                "not authorized to perform: sts:assumerole",
                "not able to validate the provided access credentials",
            ),
        ),
        _ROLE_REASON,
        "terraform-provider-aws internal/service/ecs/express_gateway_service.go, pull requests 45235 and 47568",
    ),
    TemporaryError(
        ErrorPattern(
            "ecs",
            (*_EXPRESS_WRITES, "create_cluster", "run_task"),
            (),
            ("unable to assume the service linked role", "unable to assume the service-linked role"),
        ),
        _LINKED_ROLE_REASON,
        "terraform-provider-aws internal/service/ecs/cluster.go",
    ),
    TemporaryError(
        ErrorPattern("ecs", ("create_express_gateway_service",), (), ("still draining",)),
        "until ECS has removed the previous service with this name",
        "Amazon ECS developer guide, service event messages",
    ),
    TemporaryError(
        ErrorPattern(
            "apprunner",
            ("create_service", "update_service"),
            ("InvalidRequestException",),
            ("error in assuming",),
        ),
        _ROLE_REASON,
        "terraform-provider-aws internal/service/apprunner/service.go; pulumi issue 12417 (access role)",
    ),
    TemporaryError(
        ErrorPattern(
            "apprunner",
            ("create_service", "update_service", "create_vpc_connector"),
            ("InvalidRequestException", "InternalServiceErrorException"),
            ("service linked role", "service-linked role"),
        ),
        _LINKED_ROLE_REASON,
        "App Runner developer guide, using service-linked roles",
    ),
    TemporaryError(
        ErrorPattern(
            "rds",
            ("create_db_instance", "create_db_subnet_group"),
            (),
            ("permission to create service linked role", "wait and try again later", "missing necessary credentials"),
        ),
        _LINKED_ROLE_REASON,
        "terraform-provider-aws issue 10100, terraform-aws-rds issue 364: an account that never had RDS",
    ),
    TemporaryError(
        ErrorPattern(
            "cloudfront",
            ("create_distribution*", "update_distribution"),
            (
                "InvalidOriginAccessControl",
                "InvalidFunctionAssociation",
                "NoSuchResponseHeadersPolicy",
            ),
            (),
        ),
        "until the new policy has propagated to CloudFront",
        "botocore model of CloudFront, CreateDistribution and UpdateDistribution; eventual consistency",
    ),
    TemporaryError(
        ErrorPattern(
            "iam",
            ("put_role_policy", "attach_role_policy", "put_role_permissions_boundary", "update_*role*", "tag_role"),
            ("NoSuchEntity",),
            (),
        ),
        "until the new role or policy has propagated in IAM",
        "IAM user guide, troubleshooting: changes that I make are not always immediately visible",
    ),
    TemporaryError(
        ErrorPattern("s3", ("copy_object",), ("NoSuchKey",), ()),
        "until the object to copy is visible in S3",
        "Amazon S3 API reference, PutBucketVersioning: 404 for new objects after versioning was enabled",
    ),
    TemporaryError(
        ErrorPattern("iam", ("create_role",), ("NoSuchEntity",), ("policy",)),
        "until the new permissions boundary has propagated in IAM",
        "IAM user guide, troubleshooting: changes that I make are not always immediately visible",
    ),
)

_RERUN = "The next run continues from the current state in AWS."

ERROR_ADVICE: Final = (
    ErrorAdvice(
        ErrorPattern("cloudfront", (ANY,), (), ("account must be verified",)),
        "AWS has not verified this account for CloudFront yet; no permission is missing. Open a support case (Account "
        "and billing, Account verification). Verification takes a day or two.",
        "aws-cdk-examples issue 279, terraform-provider-aws issue 36663",
    ),
    ErrorAdvice(
        ErrorPattern(
            "apprunner",
            ("create_*",),
            (),
            ("available to new customers", "maintenance mode", "needs a subscription"),
        ),
        "AWS closed App Runner on 2026-04-30 to accounts that had not used it before. Set `runtime: ecs-express` in "
        "the manifest. Everything else stays the same, but the service costs more: see `orchestrator plan`.",
        "App Runner developer guide, availability change; aws-solutions-library-samples pull request 149 (wording)",
    ),
    ErrorAdvice(
        ErrorPattern("apprunner", ("create_vpc_connector",), (), ("availability zone",)),
        "App Runner VPC connectors are not available in every Availability Zone. Remove the subnets that the "
        "message names from `network.subnets` of the Project.",
        "App Runner developer guide, VPC access for outgoing traffic, subnets",
    ),
    ErrorAdvice(
        ErrorPattern("apprunner", ("create_*",), ("OptInRequired", "SubscriptionRequiredException"), ()),
        "AWS closed App Runner on 2026-04-30 to accounts that had not used it before. Set `runtime: ecs-express` in "
        "the manifest. Everything else stays the same, but the service costs more: see `orchestrator plan`.",
        "App Runner developer guide, availability change; common errors of AWS APIs",
    ),
    ErrorAdvice(
        ErrorPattern("budgets", (ANY,), (), ("is a linked account", "ask the payer account")),
        "This account belongs to an organisation that has not enabled budgets for it, or was created less than a day "
        "ago. Ask the owner of the management account to enable budgets, or remove the Budget from the manifests.",
        "org-formation-cli issue 198",
    ),
    ErrorAdvice(
        ErrorPattern(ANY, (ANY,), (), ("does not support creating load balancers",)),
        "This account cannot create load balancers yet, and an Express service requires one. Open a support case "
        "(Account and billing) and request access to Elastic Load Balancing.",
        "AWS re:Post, OperationNotPermitted of CreateLoadBalancer in new accounts",
    ),
    ErrorAdvice(
        ErrorPattern("rds", (ANY,), ("FreeTierRestrictionError",), ("backup retention",)),
        "This account is on the AWS Free plan. Set `backups.retentionDays: 1` in the Database, or upgrade the account "
        "to the Paid plan in the Billing console.",
        "AWS Free Tier user guide, Free plan; public deployment reports of 2025 and 2026",
    ),
    ErrorAdvice(
        ErrorPattern(ANY, (ANY,), ("FreeTierRestrictionError",), ()),
        "This account is on the AWS Free plan, which does not allow this setting. Choose a smaller value, or upgrade "
        "the account to the Paid plan in the Billing console.",
        "AWS Free Tier user guide, Free plan",
    ),
    ErrorAdvice(
        ErrorPattern("rds", (ANY,), (), ("create service linked role", "missing necessary credentials")),
        "RDS has no service-linked role in this account. Create it once: "
        "`aws iam create-service-linked-role --aws-service-name rds.amazonaws.com`.",
        "RDS user guide, using service-linked roles",
    ),
    ErrorAdvice(
        ErrorPattern("rds", ("modify_db_subnet_group",), ("SubnetAlreadyInUse", "InvalidParameterValue"), ("in use",)),
        "A database runs in a subnet that would be removed from the DB subnet group. Keep that subnet in "
        "`network.subnets` of the Project, or restore a snapshot of the database to another subnet group.",
        "AWS re:Post knowledge centre, RDS DB subnet group",
    ),
    ErrorAdvice(
        ErrorPattern("rds", ("delete_db_parameter_group",), ("InvalidDBParameterGroupState",), ()),
        "A database still uses this parameter group, or RDS is modifying the group. To see which databases use it, "
        "run `aws rds describe-db-instances --query 'DBInstances[].[DBInstanceIdentifier,DBParameterGroups]'`. Run "
        "the command again when no database uses the group.",
        "RDS API reference, DeleteDBParameterGroup",
    ),
    ErrorAdvice(
        ErrorPattern("ecs", (ANY,), (), ("assume the service linked role", "assume the service-linked role")),
        "ECS has no service-linked role in this account. Create it once: "
        "`aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com`.",
        "Amazon ECS developer guide, using service-linked roles",
    ),
    ErrorAdvice(
        ErrorPattern(
            ANY,
            (ANY,),
            ("RequestTimeTooSkewed", "RequestInTheFuture"),
            (),
        ),
        "This machine's clock is off by several minutes. Correct it (`timedatectl set-ntp true`), then run the "
        "command again.",
        "Amazon S3 API reference, error responses",
    ),
    ErrorAdvice(
        ErrorPattern(
            ANY,
            (ANY,),
            ("SignatureDoesNotMatch", "InvalidSignatureException"),
            ("signature expired", "signature not yet current", "is now earlier than", "is still later than"),
        ),
        "This machine's clock is off by several minutes. Correct it (`timedatectl set-ntp true`), then run the "
        "command again.",
        "AWS general reference, troubleshooting Signature Version 4",
    ),
    ErrorAdvice(
        ErrorPattern(
            ANY,
            (ANY,),
            ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"),
            (),
        ),
        f"The session has expired: log in again, or start the job again. {_RERUN}",
        "AWS STS API reference, common errors; EC2 API error codes",
    ),
    ErrorAdvice(
        ErrorPattern("s3", (ANY,), ("ObjectNotVisible",), ()),
        "S3 can return 404 for existing objects for up to 15 minutes after versioning is enabled on a bucket. Wait, "
        "then run the command again.",
        "Amazon S3 API reference, PutBucketVersioning",
    ),
    ErrorAdvice(
        ErrorPattern(ANY, (ANY,), ("MissingDependency",), ()),
        "The profile uses an `aws login` session, which requires a package that is not installed. Export the "
        'session instead: `eval "$(aws configure export-credentials --format env)"`, or install the package: '
        '`pip install "botocore[crt]"`.',
        "AWS CLI user guide, aws login; botocore, MissingDependencyException",
    ),
    ErrorAdvice(
        ErrorPattern(ANY, (ANY,), ("UnexpectedResponse",), ()),
        "A proxy or a network's sign-in page responded instead of AWS. Sign in to the network in a browser, or "
        "check HTTPS_PROXY and AWS_ENDPOINT_URL.",
        "RFC 8952, captive portals",
    ),
    ErrorAdvice(
        ErrorPattern(ANY, (ANY,), ("Unreachable",), ("certificate verify failed",)),
        "A proxy between this machine and AWS uses its own certificate. Set AWS_CA_BUNDLE to a file with the proxy's "
        "CA certificate.",
        "AWS CLI user guide, SSL certificate validation errors",
    ),
    ErrorAdvice(
        ErrorPattern(ANY, (ANY,), (), ("explicit deny in a service control policy",)),
        "A service control policy of the organisation denies this action in the whole account. Ask the owner of the "
        "management account to allow it.",
        "IAM user guide, access denied error messages",
    ),
    ErrorAdvice(
        ErrorPattern(ANY, (ANY,), (), ("no permissions boundary allows", "explicit deny in a permissions boundary")),
        "The permissions boundary of these credentials denies this action. Change the boundary: adding "
        "another policy does not help.",
        "IAM user guide, access denied error messages",
    ),
)


def canonical_code(service: str, operation: str, code: str, message: str) -> str:
    """Return the error code that means what the message says."""
    missing = next((item for item in MISSING_ERRORS if item.pattern.matches(service, operation, code, message)), None)
    return missing.code if missing else code


def find_temporary_error(service: str, operation: str, code: str, message: str) -> TemporaryError | None:
    """Return the entry of an error that ends by itself, or None."""
    return next((item for item in TEMPORARY_ERRORS if item.pattern.matches(service, operation, code, message)), None)


def find_advice(service: str, operation: str, code: str, message: str) -> str:
    """Return what to do about an error, or "" if its code and message say it."""
    return next((item.advice for item in ERROR_ADVICE if item.pattern.matches(service, operation, code, message)), "")


def has_advice(text: str) -> bool:
    """Return whether a failure's text contains advice from here."""
    return any(item.advice in text for item in ERROR_ADVICE)
