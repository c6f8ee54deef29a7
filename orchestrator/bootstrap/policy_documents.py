"""Build the IAM policy documents of the workflow roles from the desired resources.  Pure.

A managed policy holds at most 6,144 characters and a role at most ten policies, so statements are merged by what they
allow and packed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct, field

from orchestrator.bootstrap import option_permissions
from orchestrator.bootstrap.load_balancer_permissions import LOAD_BALANCER_ACTIONS, load_balancer_permissions
from orchestrator.bootstrap.permission_rules import PermissionRule
from orchestrator.bootstrap.policy_conditions import build_conditions
from orchestrator.bootstrap.resource_permissions import (
    DISCOVERY_RULES,
    PROMOTED_MODEL_RULES,
    PROMOTION_SOURCE_RULES,
    RELATED_TYPES,
    RELEASE_BUCKET_RULES,
    RULES_BY_TYPE,
)
from orchestrator.bootstrap.runtime_permissions import (
    MIGRATION_TASK_RULES,
    PASS_ROLE_PRINCIPALS,
    previous_runtime_rules,
)
from orchestrator.problems import Problems
from orchestrator.values import Ref, resolve
from orchestrator.vocabulary import TAG_DELETION_POLICY, Component, DesiredState, Resource, Scope

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
_ACCOUNT_READ_ACTIONS: Final = (
    "elasticloadbalancing:DescribeLoadBalancers",
    "freetier:GetAccountPlanState",
    "servicequotas:GetAWSDefaultServiceQuota",
    "servicequotas:GetServiceQuota",
)
"""What tells which resources AWS would refuse to the account."""
_ARTEFACT_TYPES: Final = frozenset({"ecr_image", "migration", "s3_model", "s3_site"})
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


_PLAN_LEVELS: Final = frozenset({"read", "adopt-read"})
_DEPLOY_LEVELS: Final = _PLAN_LEVELS | {"write", "destroy", "adopt"}


class RuleTarget(Struct, frozen=True):
    """A resource to grant access to: its rules, its name in AWS, and the access levels that its manifest excludes."""

    rules: tuple[PermissionRule, ...]
    name: str = ""
    excluded_levels: frozenset[str] = frozenset({"destroy", "adopt", "adopt-read"})


class _MergedStatement(Struct):
    actions: set[str] = field(default_factory=set)
    arns: set[str] = field(default_factory=set)


def build_plan_policies(desired: DesiredState) -> list[PolicyDocument]:
    """Return the policies of the plan role: read the configuration of all resources, but no secret values.

    Raises Problems if they exceed the limits of a role.
    """
    return pack_statements(_build_statements(desired, _PLAN_LEVELS), "plan")


def build_deploy_policies(desired: DesiredState) -> list[PolicyDocument]:
    """Return the policies of the deploy role: create and change all resources, destroy those marked deletable.

    Raises Problems if they exceed the limits of a role.
    """
    return pack_statements(_build_statements(desired, _DEPLOY_LEVELS), "deploy")


def build_permissions_boundary(desired: DesiredState) -> PolicyDocument:
    """Return the permissions boundary of service roles, which limits them whatever a deploy grants."""
    roles = [resource for resource in desired.resources if resource.type == "iam_role"]
    merged: dict[str, Statement] = {}
    for statement in [*_role_policy_statements(desired, roles), *_attached_policy_statements(desired.scope, roles)]:
        rest = {key: value for key, value in statement.items() if key != "Resource"}
        group = merged.setdefault(json.dumps(rest, sort_keys=True), {**rest, "Resource": []})
        group["Resource"] = sorted({*group["Resource"], *_as_list(statement["Resource"])})
    statements = list(merged.values())
    documents = pack_statements(
        statements or [_allow_statement(("sts:GetCallerIdentity",), ["*"])], "services", max_policies=1
    )
    return documents[0]


def _role_policy_statements(desired: DesiredState, roles: Iterable[Resource]) -> Iterator[Statement]:
    """Yield what the roles' own policies allow, and pulling the environment's images."""
    scope = desired.scope
    for role in roles:
        policy = resolve(role.spec.get("policy"), lambda ref: _secret_arn_pattern(ref, desired))
        if isinstance(policy, Mapping):
            yield from (dict(statement) for statement in policy["Statement"])
    repository_names = [resource.physical for resource in desired.resources if resource.type == "ecr_repository"]
    if repository_names:
        arns = [f"arn:aws:ecr:{scope.region}:{scope.account}:repository/{name}" for name in repository_names]
        yield _allow_statement(_IMAGE_PULL_ACTIONS, arns)
        yield _allow_statement(("ecr:GetAuthorizationToken",), ["*"])


def _attached_policy_statements(scope: Scope, roles: Iterable[Resource]) -> Iterator[Statement]:
    """Yield what AWS's attached policies allow: traces, logs, and the load balancer for the roles that manage it."""
    attached = {role.physical: str(role.spec.get("attached")) for role in roles}
    if any("XRay" in policies for policies in attached.values()):
        yield _allow_statement(_XRAY_WRITE_ACTIONS, ["*"])
    if any("AmazonECSTaskExecutionRolePolicy" in policies for policies in attached.values()):
        yield _allow_statement(_LOG_WRITE_ACTIONS, [f"arn:aws:logs:{scope.region}:{scope.account}:log-group:/ecs/*"])
    managers = [
        f"arn:aws:iam::{scope.account}:role{scope.iam_path}{name}"
        for name, policies in attached.items()
        if "ExpressGatewayServices" in policies
    ]
    if managers:
        for actions, arns, condition in load_balancer_permissions(scope):
            yield _allow_statement(actions, arns, {"StringEquals": condition} if condition else {})
        others = {"ArnNotEquals": {"aws:PrincipalArn": managers}}
        yield {**_allow_statement(LOAD_BALANCER_ACTIONS, ["*"], others), "Effect": "Deny"}


def build_workflow_boundary(desired: DesiredState) -> PolicyDocument:
    """Return the boundary of the plan and deploy roles: whatever they are granted, no users and no other roles."""
    scope = desired.scope
    account_arn = f"arn:aws:iam::{scope.account}:role"
    role_arn = f"{account_arn}{scope.iam_path}*"
    statements = [
        _allow_statement([f"{service}:*" for service in _ALLOWED_SERVICES], ["*"]),
        _allow_statement(_ACCOUNT_READ_ACTIONS, ["*"]),
        _allow_statement(("iam:GetRole",), [role_arn, f"{account_arn}/{scope.name_prefix}-*"]),
        _allow_statement(("iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"), [role_arn]),
        _allow_statement(("iam:ListRoles",), ["*"]),
        _allow_statement(
            ("iam:*Role", "iam:*RolePolicy", "iam:PutRolePermissionsBoundary", "iam:UpdateAssumeRolePolicy"),
            [role_arn],
        ),
        _allow_statement(("iam:CreateServiceLinkedRole",), [f"{account_arn}/aws-service-role/*"]),
    ]
    if roles := option_permissions.passed_roles(desired):
        statements.append(_allow_statement(("iam:PassRole",), roles, build_conditions(desired)["monitored"]))
    if firewalls := option_permissions.list_firewalls(desired):
        statements.append(_allow_statement(("wafv2:GetWebACL",), firewalls))
    return _build_document(statements)


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
            f"the permissions of the {role} role need {len(bins)} policies, but AWS allows at most {max_policies}",
            hint="move some components to another project",
        )
    return [_build_document(bin_statements) for bin_statements in bins]


def policy_size(document: PolicyDocument) -> int:
    """Return the number of characters of a document as IAM counts them."""
    return len(json.dumps(document, separators=(",", ":")))


def _build_statements(desired: DesiredState, access_levels: frozenset[str]) -> list[Statement]:
    merged: dict[tuple[str, tuple[str, ...], str], _MergedStatement] = {}
    for target in list_targets(desired):
        for rule in target.rules:
            if rule.access_level not in access_levels - target.excluded_levels:
                continue
            arns = tuple(sorted(fill_arn_template(arn, desired.scope, target.name) for arn in rule.arns))
            service = rule.actions[0].partition(":")[0]
            merged.setdefault((service, arns, rule.condition), _MergedStatement()).actions.update(rule.actions)
    # Rules for one set of ARNs form one statement; sets of ARNs with equal actions are merged as well.
    merged_by_actions: dict[tuple[tuple[str, ...], str], _MergedStatement] = {}
    for (_, arns, condition), merged_statement in merged.items():
        group = merged_by_actions.setdefault(
            (tuple(sorted(merged_statement.actions)), condition), _MergedStatement(merged_statement.actions)
        )
        group.arns.update(arns)
    conditions = build_conditions(desired)
    return [
        _allow_statement(group.actions, group.arns, conditions[condition])
        for (_, condition), group in sorted(merged_by_actions.items())
    ]


def list_targets(desired: DesiredState) -> Iterator[RuleTarget]:
    """Yield what access is granted to: each resource, what its component has with other options, and artefacts."""
    yield RuleTarget(DISCOVERY_RULES)
    for resource in desired.resources:
        if resource.type not in _ARTEFACT_TYPES:
            rules = (*RULES_BY_TYPE[resource.type], *option_permissions.option_rules(resource))
            yield RuleTarget(rules, resource.physical, _excluded_levels(resource))
            yield RuleTarget(tuple(previous_runtime_rules(resource.type)), resource.physical)
            for related_type, name in RELATED_TYPES.get(resource.type, ()):
                yield RuleTarget(RULES_BY_TYPE[related_type], name.format(n=resource.physical))
    for resource_type, name in _list_artefacts(desired):
        yield RuleTarget(RULES_BY_TYPE[resource_type], name)
    in_vpc = {item.handle for item in desired.components if (item.spec.get("migrate") or {}).get("runs") == "in-vpc"}
    for resource in desired.resources:
        if resource.type in PASS_ROLE_PRINCIPALS and resource.component in in_vpc:
            yield RuleTarget(MIGRATION_TASK_RULES, resource.physical)
    if bucket := _find_release_bucket(desired):
        yield RuleTarget(RELEASE_BUCKET_RULES, bucket)
    if desired.promotion_source is not None:
        yield from _list_promotion_targets(desired, desired.promotion_source)


def _list_promotion_targets(desired: DesiredState, source: DesiredState) -> Iterator[RuleTarget]:
    """Yield what a promotion reads where the releases come from, and the files of models that it writes here."""
    for resource_type, name in _list_artefacts(source):
        yield RuleTarget(PROMOTION_SOURCE_RULES.get(resource_type, ()), name)
    yield RuleTarget(PROMOTION_SOURCE_RULES["releases"], _find_release_bucket(source))
    for resource_type, name in _list_artefacts(desired):
        yield RuleTarget(PROMOTED_MODEL_RULES if resource_type == "s3_model" else (), name)
    for resource in source.resources:
        if resource.type == "s3_bucket":
            yield RuleTarget(tuple(option_permissions.option_rules(resource)), resource.physical)


def _list_artefacts(desired: DesiredState) -> Iterator[tuple[str, str]]:
    """Yield the artefact types that deploys ship, each with the name of its parent resource."""
    physical_names = {(resource.type, resource.component): resource.physical for resource in desired.resources}
    for component in desired.components:
        for resource_type, parent_type in _list_artefact_types(component):
            yield resource_type, physical_names.get((parent_type, component.handle), "")


def _find_release_bucket(desired: DesiredState) -> str:
    settings = next((project.spec["releases"] for project in desired.components if project.kind == "Project"), None)
    handle = settings.get("bucket") if isinstance(settings, Mapping) else None
    buckets = (item for item in desired.resources if item.type == "s3_bucket" and item.component == handle)
    return next((bucket.physical for bucket in buckets), "")


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


def _excluded_levels(resource: Resource) -> frozenset[str]:
    tags = resource.spec.get("tags")
    is_deletable = isinstance(tags, Mapping) and tags.get(TAG_DELETION_POLICY) == "delete"
    return frozenset([*(() if is_deletable else ("destroy",)), *(() if resource.adopt else ("adopt", "adopt-read"))])


def _as_list(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) else list(value)


def fill_arn_template(template: str, scope: Scope, name: str) -> str:
    """Return the ARN of a rule for one resource."""
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
