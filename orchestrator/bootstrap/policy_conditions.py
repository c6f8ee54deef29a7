"""Build the conditions under which permission rules apply.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from orchestrator.bootstrap.option_permissions import find_kms_keys, is_alias
from orchestrator.bootstrap.runtime_permissions import (
    PASS_ROLE_PRINCIPALS,
    SERVICE_LINKED_ROLE_PRINCIPALS,
    TASK_PRINCIPAL,
)
from orchestrator.vocabulary import TAG_ENVIRONMENT, TAG_PROJECT, TAG_SHARED, TAG_USED_BY_PREFIX, DesiredState, Resource

MONITORING_PRINCIPAL: Final = "monitoring.rds.amazonaws.com"
_TAGGED_CREATE_ACTIONS: Final = ("CreateSecurityGroup", "CreateVpcEndpoint")


def build_conditions(desired: DesiredState) -> Mapping[str, Mapping[str, Any]]:
    """Return the conditions by the name that rules use."""
    scope = desired.scope
    boundary_condition = {"iam:PermissionsBoundary": scope.permissions_boundary_arn}
    roles = [resource for resource in desired.resources if resource.type == "iam_role"]
    via_s3 = {"StringEquals": {"kms:ViaService": f"s3.{scope.region}.amazonaws.com"}}
    alias_conditions = {
        arn: {"ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{arn.partition(':alias/')[2]}"}}
        for resource in (*desired.resources, *(desired.promotion_source.resources if desired.promotion_source else ()))
        for arn in find_kms_keys(resource.spec)
        if is_alias(arn)
    }
    attached_arns = sorted({arn for role in roles for arn in _attached_policy_arns(role)})
    return {
        "": {},
        **_tag_conditions(desired),
        "bounded": {"StringEquals": boundary_condition},
        "attached": {"StringEquals": boundary_condition, "ArnEquals": {"iam:PolicyARN": attached_arns}},
        "linked": {"StringEquals": {"iam:AWSServiceName": _list_principals(SERVICE_LINKED_ROLE_PRINCIPALS, desired)}},
        # App Runner may leave the key out; the ARN limits the roles to those of services.
        "passed": {"StringEqualsIfExists": {"iam:PassedToService": _list_principals(PASS_ROLE_PRINCIPALS, desired)}},
        "passed to tasks": {"StringEquals": {"iam:PassedToService": TASK_PRINCIPAL}},
        "linked to tasks": {"StringEquals": {"iam:AWSServiceName": "ecs.amazonaws.com"}},
        "monitored": {"StringEquals": {"iam:PassedToService": MONITORING_PRINCIPAL}},
        "granted to AWS": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        "via S3": via_s3,
        **{f"via S3, {arn}": {**via_s3, **condition} for arn, condition in alias_conditions.items()},
    }


def _tag_conditions(desired: DesiredState) -> Mapping[str, Mapping[str, Any]]:
    """Return conditions on ownership tags.  Only what is created, ours, or declared as adopted may get our tags.

    What another environment of the orchestrator created may get the tag that says that this one uses it.
    """
    usage_tag = f"{TAG_USED_BY_PREFIX}{desired.scope.owner}"
    ownership_tags = {TAG_PROJECT: desired.scope.project, TAG_ENVIRONMENT: desired.scope.environment}
    request_tags = {f"aws:RequestTag/{key}": value for key, value in ownership_tags.items()}
    resource_tags = {f"aws:ResourceTag/{key}": value for key, value in ownership_tags.items()}
    return {
        "made": {"StringEquals": request_tags},
        "tagged at creation": {"StringEquals": {**request_tags, "ec2:CreateAction": list(_TAGGED_CREATE_ACTIONS)}},
        "ours": {"StringEquals": resource_tags},
        "retagged": {"StringEquals": {**request_tags, **resource_tags}},
        "sharing": {
            "Null": {f"aws:ResourceTag/{TAG_PROJECT}": "false"},
            "ForAllValues:StringEquals": {"aws:TagKeys": [usage_tag]},
        },
        "sharing orphaned": {
            "StringEquals": {f"aws:ResourceTag/{TAG_SHARED}": "true"},
            "ForAllValues:StringEquals": {"aws:TagKeys": [usage_tag]},
        },
        "leaving": {"ForAllValues:StringEquals": {"aws:TagKeys": [usage_tag]}},
        # While its creator is there, only the creator changes or deletes it.
        "shared": {"Null": {f"aws:ResourceTag/{usage_tag}": "false", f"aws:ResourceTag/{TAG_PROJECT}": "true"}},
        "adopted": {"StringEquals": request_tags, "Null": dict.fromkeys(resource_tags, "true")},
    }


def _list_principals(principals_by_type: Mapping[str, Iterable[str]], desired: DesiredState) -> list[str]:
    types = {resource.type for resource in desired.resources}
    return sorted({name for item, names in principals_by_type.items() if item in types for name in names})


def _attached_policy_arns(role: Resource) -> list[str]:
    attached = role.spec.get("attached")
    return [str(arn) for arn in attached] if isinstance(attached, list) else []
