"""List the permissions that a resource needs only with certain settings.  Pure.

Source: the dependent actions in AWS's service authorization reference, and the developer guides of RDS (Secrets
Manager integration, enhanced monitoring), CloudFront (standard logging) and AWS KMS (grants for AWS resources).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from orchestrator.bootstrap.permission_rules import PermissionRule, allow
from orchestrator.vocabulary import DesiredState, Resource

_MANAGED_SECRET_ARN: Final = "arn:aws:secretsmanager:{r}:{a}:secret:rds!db-*"  # noqa: S105 - an ARN
_GRANTING_TYPES: Final = frozenset({"apprunner_service", "rds_instance"})
"""Types for which AWS creates a grant on the customer's key."""


def option_rules(resource: Resource) -> Iterator[PermissionRule]:
    """Yield the rules for the settings of one resource."""
    spec: Any = resource.spec
    if resource.type == "rds_instance":
        yield from _database_rules(spec)
    if resource.type == "cloudfront_distribution":
        yield from _distribution_rules(spec)
    for key in sorted(set(find_kms_keys(spec))) if resource.type != "iam_role" else ():
        yield from _key_rules(resource.type, key)


def _key_rules(resource_type: str, key: str) -> Iterator[PermissionRule]:
    """Yield the rules for a customer's key: a plan reads the ledger, sites and models of encrypted buckets too."""
    if resource_type == "s3_bucket":
        arn = f"{key.partition(':alias/')[0]}:key/*" if is_alias(key) else key
        condition = f"via S3, {key}" if is_alias(key) else "via S3"
        yield allow("read", "kms", "Decrypt", arn, condition=condition)
        yield allow("write", "kms", "GenerateDataKey", arn, condition=condition)
        return
    yield allow("write", "kms", "Decrypt GenerateDataKey", key)
    if resource_type in _GRANTING_TYPES:
        yield allow("write", "kms", "DescribeKey", key)
        yield allow("write", "kms", "CreateGrant", key, condition="granted to AWS")


def passed_roles(desired: DesiredState) -> list[str]:
    """Return the ARNs of existing roles that databases pass to RDS for enhanced monitoring."""
    arns = {resource.spec.get("monitoring_role") for resource in desired.resources if resource.type == "rds_instance"}
    return sorted(str(arn) for arn in arns if arn)


def list_firewalls(desired: DesiredState) -> list[str]:
    """Return the ARNs of the web ACLs of distributions."""
    distributions = [item for item in desired.resources if item.type == "cloudfront_distribution"]
    arns = {str(item.spec.get("waf") or "") for item in distributions}
    return sorted(arn for arn in arns if arn.startswith("arn:"))


def _database_rules(spec: Any) -> Iterator[PermissionRule]:
    if spec["credentials"].get("managed"):
        yield allow("write", "secretsmanager", "CreateSecret TagResource", _MANAGED_SECRET_ARN)
        yield allow("write", "kms", "DescribeKey", "arn:aws:kms:{r}:{a}:key/*")
    if spec.get("monitoring_role"):
        yield allow("write", "iam", "PassRole", str(spec["monitoring_role"]), condition="monitored")


def _distribution_rules(spec: Any) -> Iterator[PermissionRule]:
    if spec.get("logging"):
        bucket = str(spec["logging"]["bucket"]).partition(".s3.")[0]
        yield allow("write", "s3", "GetBucketAcl PutBucketAcl", f"arn:aws:s3:::{bucket}")
    if str(spec.get("waf") or "").startswith("arn:"):
        yield allow("write", "wafv2", "GetWebACL", str(spec["waf"]))


def is_alias(arn: str) -> bool:
    """Return whether the ARN of a KMS key is that of an alias, which authorises nothing: IAM knows keys by their id."""
    return ":alias/" in arn


def find_kms_keys(value: Any) -> Iterator[str]:
    """Yield the ARNs of KMS keys and aliases in a spec."""
    match value:
        case str() if value.startswith("arn:aws:kms:"):
            yield value
        case dict():
            for item in value.values():
                yield from find_kms_keys(item)
        case list() | tuple():
            for item in value:
                yield from find_kms_keys(item)
