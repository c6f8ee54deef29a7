"""Build the IAM policy documents of the workflow roles from the desired resources.  Pure.

A managed policy holds at most 6,144 characters and a role at most ten policies, so statements are merged by what they
allow and packed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct, field

from orchestrator.bootstrap.permission_rules import PermissionRule
from orchestrator.bootstrap.resource_permissions import DISCOVERY_RULES, RELEASE_BUCKET_RULES, RULES_BY_TYPE
from orchestrator.bootstrap.runtime_permissions import (
    PASS_ROLE_PRINCIPALS,
    SERVICE_LINKED_ROLE_PRINCIPALS,
    load_balancer_permissions,
    previous_runtime_rules,
)
from orchestrator.problems import Problems
from orchestrator.values import Ref, resolve
from orchestrator.vocabulary import (
    TAG_DELETION_POLICY,
    TAG_ENVIRONMENT,
    TAG_PROJECT,
    Component,
    DesiredState,
    Resource,
    Scope,
)

Statement = dict[str, Any]
PolicyDocument = Mapping[str, Any]

MAX_POLICY_CHARACTERS: Final = 6144
"""IAM's limit for a managed policy, without white space."""
MAX_POLICIES_PER_ROLE: Final = 10
"""IAM's limit for managed policies attached to a role."""
_MAX_CHUNK_CHARACTERS: Final = 2000
_ALLOWED_SERVICES: Final = (
    "apprunner", "budgets", "cloudfront", "cloudwatch", "ec2", "ecr", "ecs", "kms", "logs", "rds", "s3",
    "secretsmanager", "sns", "tag",
)  # fmt: skip
_KMS_ACTIONS: Final = ("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey")
_IMAGE_PULL_ACTIONS: Final = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:DescribeImages",
    "ecr:GetDownloadUrlForLayer",
)
_LOG_WRITE_ACTIONS: Final = ("logs:CreateLogStream", "logs:PutLogEvents")
_XRAY_WRITE_ACTIONS: Final = (
    "xray:GetSamplingRules",
    "xray:GetSamplingStatisticSummaries",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
)


class RuleTarget(Struct, frozen=True):
    """A resource to grant access to: the rules of its type, its name in AWS, and whether it may be destroyed."""

    rules: tuple[PermissionRule, ...]
    name: str = ""
    deletable: bool = False


class _MergedStatement(Struct):
    actions: set[str] = field(default_factory=set)
    arns: set[str] = field(default_factory=set)


def build_plan_policies(desired: DesiredState) -> list[PolicyDocument]:
    """Return the policies of the plan role: read the configuration of all resources, but no secret values.

    Raises Problems if they exceed the limits of a role.
    """
    return pack_statements(_build_statements(desired, ("read",)), "plan")


def build_deploy_policies(desired: DesiredState) -> list[PolicyDocument]:
    """Return the policies of the deploy role: create and change all resources, destroy those marked deletable.

    Raises Problems if they exceed the limits of a role.
    """
    return pack_statements(_build_statements(desired, ("read", "write", "destroy")), "deploy")


def build_permissions_boundary(desired: DesiredState) -> PolicyDocument:
    """Return the permissions boundary of service roles, which limits them whatever a deploy grants."""
    scope, statements = desired.scope, []
    roles = [resource for resource in desired.resources if resource.type == "iam_role"]
    for role in roles:
        policy = resolve(role.spec.get("policy"), lambda ref: _secret_arn_pattern(ref, desired))
        if isinstance(policy, Mapping):
            statements += [dict(statement) for statement in policy["Statement"]]
    repository_names = [resource.physical for resource in desired.resources if resource.type == "ecr_repository"]
    if repository_names:
        arns = [f"arn:aws:ecr:{scope.region}:{scope.account}:repository/{name}" for name in repository_names]
        statements += [
            _allow_statement(_IMAGE_PULL_ACTIONS, arns),
            _allow_statement(("ecr:GetAuthorizationToken",), ["*"]),
        ]
    if any("XRay" in str(role.spec.get("attached")) for role in roles):
        statements.append(_allow_statement(_XRAY_WRITE_ACTIONS, ["*"]))
    if any("AmazonECSTaskExecutionRolePolicy" in str(role.spec.get("attached")) for role in roles):
        statements.append(
            _allow_statement(_LOG_WRITE_ACTIONS, [f"arn:aws:logs:{scope.region}:{scope.account}:log-group:/ecs/*"])
        )
    merged: dict[str, _MergedStatement] = {}
    for statement in statements:
        arns = [statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"]
        group = merged.setdefault(json.dumps(sorted(statement["Action"])), _MergedStatement(set(statement["Action"])))
        group.arns |= set(arns)
    merged_statements = [_allow_statement(group.actions, group.arns) for group in merged.values()]
    if any("ExpressGatewayServices" in str(role.spec.get("attached")) for role in roles):
        merged_statements += [
            _allow_statement(actions, ["*"], condition) for actions, condition in load_balancer_permissions(scope)
        ]
    documents = pack_statements(
        merged_statements or [_allow_statement(("sts:GetCallerIdentity",), ["*"])], "services", max_policies=1
    )
    return documents[0]


def build_workflow_boundary(scope: Scope) -> PolicyDocument:
    """Return the boundary of the plan and deploy roles: whatever they are granted, no users and no other roles."""
    role_arn = f"arn:aws:iam::{scope.account}:role{scope.iam_path}*"
    service_linked_role_arn = f"arn:aws:iam::{scope.account}:role/aws-service-role/*"
    return _build_document(
        [
            _allow_statement([f"{service}:*" for service in _ALLOWED_SERVICES], ["*"]),
            _allow_statement(
                ("iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"), [role_arn]
            ),
            _allow_statement(("iam:ListRoles",), ["*"]),
            _allow_statement(
                ("iam:*Role", "iam:*RolePolicy", "iam:PutRolePermissionsBoundary", "iam:UpdateAssumeRolePolicy"),
                [role_arn],
            ),
            _allow_statement(("iam:CreateServiceLinkedRole",), [service_linked_role_arn]),
        ]
    )


def pack_statements(
    statements: Iterable[Statement], role: str, max_policies: int = MAX_POLICIES_PER_ROLE
) -> list[PolicyDocument]:
    """Pack statements into as few documents as possible, first fit.

    Raises Problems if that takes more than ``max_policies``.
    """
    bins: list[list[Statement]] = []
    for statement in (statement_part for original in statements for statement_part in _split_statement(original)):
        for bin_statements in bins:
            if policy_size(_build_document([*bin_statements, statement])) <= MAX_POLICY_CHARACTERS:
                bin_statements.append(statement)
                break
        else:
            bins.append([statement])
    if len(bins) > max_policies:
        raise Problems.from_message(
            f"the permissions of the {role} role need {len(bins)} policies, but AWS allows {max_policies}",
            hint="split the project or the environment's largest component in two",
        )
    return [_build_document(bin_statements) for bin_statements in bins]


def policy_size(document: PolicyDocument) -> int:
    """Return the number of characters of a document as IAM counts them."""
    return len(json.dumps(document, separators=(",", ":")))


def _build_statements(desired: DesiredState, access_levels: tuple[str, ...]) -> list[Statement]:
    merged: dict[tuple[str, tuple[str, ...], str], _MergedStatement] = {}
    for target in _list_targets(desired):
        for rule in target.rules:
            if rule.access_level not in access_levels or (rule.access_level == "destroy" and not target.deletable):
                continue
            arns = tuple(sorted(_fill_arn_template(arn, desired.scope, target.name) for arn in rule.arns))
            service = rule.actions[0].partition(":")[0]
            merged.setdefault((service, arns, rule.condition), _MergedStatement()).actions.update(rule.actions)
    # Rules for one set of ARNs form one statement; sets of ARNs with equal actions are merged as well.
    merged_by_actions: dict[tuple[tuple[str, ...], str], _MergedStatement] = {}
    for (_, arns, condition), merged_statement in merged.items():
        group = merged_by_actions.setdefault(
            (tuple(sorted(merged_statement.actions)), condition), _MergedStatement(merged_statement.actions)
        )
        group.arns.update(arns)
    conditions = _build_conditions(desired)
    return [
        _allow_statement(group.actions, group.arns, conditions[condition])
        for (_, condition), group in sorted(merged_by_actions.items())
    ]


def _list_targets(desired: DesiredState) -> Iterator[RuleTarget]:
    yield RuleTarget(DISCOVERY_RULES)
    for resource in desired.resources:
        if resource.type not in {
            "ecr_image",
            "migration",
            "s3_model",
            "s3_site",
        }:  # artefacts: below
            yield RuleTarget(RULES_BY_TYPE[resource.type], resource.physical, _is_deletable(resource))
            yield RuleTarget(tuple(previous_runtime_rules(resource.type)), resource.physical)
    physical_names = {(resource.type, resource.component): resource.physical for resource in desired.resources}
    for component in desired.components:
        for resource_type, parent_type in _list_artefact_types(component):
            yield RuleTarget(RULES_BY_TYPE[resource_type], physical_names.get((parent_type, component.handle), ""))
    kms_keys = sorted({key for resource in desired.resources for key in _find_kms_keys(resource.spec)})
    if kms_keys:
        yield RuleTarget((PermissionRule("write", _KMS_ACTIONS, tuple(kms_keys)),))
    release_settings = next(
        (project.spec["releases"] for project in desired.components if project.kind == "Project"), None
    )
    handle = release_settings.get("bucket") if isinstance(release_settings, Mapping) else None
    if handle:
        yield RuleTarget(RELEASE_BUCKET_RULES, physical_names["s3_bucket", str(handle)])


def _list_artefact_types(component: Component) -> Iterator[tuple[str, str]]:
    """Yield the artefact types that deploys ship for a component, each with the type of its parent resource."""
    spec: Mapping[str, Any] = component.spec
    if component.kind == "Bucket" and spec.get("spa"):
        yield "s3_site", "s3_bucket"
    if component.kind == "Bucket" and "ml-models" in (spec.get("prefixes") or ()):
        yield "s3_model", "s3_bucket"
    if component.kind == "ContainerService":
        if "build" in spec["image"]:
            yield "ecr_image", "ecr_repository"
        if spec.get("migrate"):
            yield "migration", "ecr_repository"


def _is_deletable(resource: Resource) -> bool:
    tags = resource.spec.get("tags")
    return isinstance(tags, Mapping) and tags.get(TAG_DELETION_POLICY) == "delete"


def _find_kms_keys(value: Any) -> Iterator[str]:
    match value:
        case str() if value.startswith("arn:aws:kms:"):
            yield value
        case Mapping():
            for item in value.values():
                yield from _find_kms_keys(item)
        case list() | tuple():
            for item in value:
                yield from _find_kms_keys(item)


def _build_conditions(desired: DesiredState) -> Mapping[str, Mapping[str, Any]]:
    scope = desired.scope
    ownership_tags = {TAG_PROJECT: scope.project, TAG_ENVIRONMENT: scope.environment}
    request_tags = {f"aws:RequestTag/{key}": value for key, value in ownership_tags.items()}
    resource_tags = {f"aws:ResourceTag/{key}": value for key, value in ownership_tags.items()}
    boundary_condition = {"StringEquals": {"iam:PermissionsBoundary": scope.permissions_boundary_arn}}
    attached_arns = sorted(
        {arn for item in desired.resources if item.type == "iam_role" for arn in _attached_policy_arns(item)}
    )
    resource_types = {item.type for item in desired.resources}
    linked_services = sorted(
        name for item, names in SERVICE_LINKED_ROLE_PRINCIPALS.items() if item in resource_types for name in names
    )
    pass_role_services = sorted(
        name for item, names in PASS_ROLE_PRINCIPALS.items() if item in resource_types for name in names
    )
    return {
        "": {},
        "made": {"StringEquals": request_tags, "StringEqualsIfExists": resource_tags},
        "ours": {"StringEquals": resource_tags},
        "bounded": boundary_condition,
        "attached": {**boundary_condition, "ArnEquals": {"iam:PolicyARN": attached_arns}},
        "linked": {"StringEquals": {"iam:AWSServiceName": linked_services}},
        "passed": {"StringEquals": {"iam:PassedToService": pass_role_services}},
    }


def _attached_policy_arns(role: Resource) -> list[str]:
    attached = role.spec.get("attached")
    return [str(arn) for arn in attached] if isinstance(attached, list) else []


def _fill_arn_template(template: str, scope: Scope, name: str) -> str:
    return template.format(a=scope.account, r=scope.region, n=name, p=scope.name_prefix, path=scope.iam_path)


def _secret_arn_pattern(ref: Ref, desired: DesiredState) -> str:
    """Return the ARN pattern of a secret: AWS appends six characters to its name."""
    resource = next(candidate for candidate in desired.resources if candidate.address == ref.address)
    return f"arn:aws:secretsmanager:{desired.scope.region}:{desired.scope.account}:secret:{resource.physical}-??????"


def _allow_statement(
    actions: Iterable[str], arns: Iterable[str], condition: Mapping[str, Any] | None = None
) -> Statement:
    statement: Statement = {"Effect": "Allow", "Action": sorted(actions), "Resource": sorted(arns)}
    return {**statement, "Condition": dict(condition)} if condition else statement


def _split_statement(statement: Statement) -> Iterator[Statement]:
    """Split a statement with many ARNs into statements that each fit into a document."""
    arn_chunk: list[str] = []
    for arn in statement["Resource"]:
        if sum(len(chunked_arn) + 3 for chunked_arn in arn_chunk) > _MAX_CHUNK_CHARACTERS:
            yield {**statement, "Resource": arn_chunk}
            arn_chunk = []
        arn_chunk = [*arn_chunk, arn]
    yield {**statement, "Resource": arn_chunk}


def _build_document(statements: list[Statement]) -> PolicyDocument:
    return {"Version": "2012-10-17", "Statement": statements}
