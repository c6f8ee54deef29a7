"""From what the manifests lead to, what each role may do, in documents that IAM takes.  Pure.

A policy holds no more than 6,144 characters, a role no more than ten policies: statements are merged by what they
allow, and packed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct, field

from orchestrator.bootstrap.permission_rules import Rule
from orchestrator.bootstrap.resource_permissions import ALWAYS, RELEASES, TYPES
from orchestrator.bootstrap.runtime_permissions import LINKED_SERVICES, PRINCIPALS, balancing, leaving
from orchestrator.problems import Problems
from orchestrator.values import Ref, resolve
from orchestrator.vocabulary import TAG_DELETION, TAG_ENVIRONMENT, TAG_PROJECT, Component, Desired, Resource, Scope

Statement = dict[str, Any]
Document = Mapping[str, Any]

LONGEST: Final = 6144
"""Characters of a managed policy, white space left out."""
MOST: Final = 10
"""Managed policies of a role."""
_CHUNK: Final = 2000
_SERVICES: Final = (
    "apprunner", "budgets", "cloudfront", "cloudwatch", "ec2", "ecr", "ecs", "kms", "logs", "rds", "s3",
    "secretsmanager", "sns", "tag",
)  # fmt: skip
_KMS: Final = ("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey")
_PULL: Final = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:DescribeImages",
    "ecr:GetDownloadUrlForLayer",
)
_WRITE_LOGS: Final = ("logs:CreateLogStream", "logs:PutLogEvents")
_TRACE: Final = (
    "xray:GetSamplingRules",
    "xray:GetSamplingStatisticSummaries",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
)


class Subject(Struct, frozen=True):
    """One thing that is worked on: its type's rules, its name in AWS, and whether its data may go."""

    rules: tuple[Rule, ...]
    name: str = ""
    deletable: bool = False


class _Merged(Struct):
    actions: set[str] = field(default_factory=set)
    arns: set[str] = field(default_factory=set)


def plan_documents(desired: Desired) -> list[Document]:
    """What the plan role may do: read the configuration of what the manifests make.  No secret's value.

    Raises Problems when it does not fit into a role.
    """
    return packed(_statements(desired, ("read",)), "plan")


def deploy_documents(desired: Desired) -> list[Document]:
    """What the deploy role may do: make and change what the manifests make, destroy what they let go.

    Raises Problems when it does not fit into a role.
    """
    return packed(_statements(desired, ("read", "write", "destroy")), "deploy")


def boundary(desired: Desired) -> Document:
    """What no role of a service may exceed, whatever a deploy writes into it."""
    scope, statements = desired.scope, []
    roles = [resource for resource in desired.resources if resource.type == "iam_role"]
    for role in roles:
        policy = resolve(role.spec.get("policy"), lambda ref: _stand_in(ref, desired))
        if isinstance(policy, Mapping):
            statements += [dict(each) for each in policy["Statement"]]
    names = [resource.physical for resource in desired.resources if resource.type == "ecr_repository"]
    if names:
        arns = [f"arn:aws:ecr:{scope.region}:{scope.account}:repository/{name}" for name in names]
        statements += [_allow(_PULL, arns), _allow(("ecr:GetAuthorizationToken",), ["*"])]
    if any("XRay" in str(role.spec.get("attached")) for role in roles):
        statements.append(_allow(_TRACE, ["*"]))
    if any("AmazonECSTaskExecutionRolePolicy" in str(role.spec.get("attached")) for role in roles):
        statements.append(_allow(_WRITE_LOGS, [f"arn:aws:logs:{scope.region}:{scope.account}:log-group:/ecs/*"]))
    merged: dict[str, _Merged] = {}
    for each in statements:
        arns = [each["Resource"]] if isinstance(each["Resource"], str) else each["Resource"]
        group = merged.setdefault(json.dumps(sorted(each["Action"])), _Merged(set(each["Action"])))
        group.arns |= set(arns)
    allowed = [_allow(group.actions, group.arns) for group in merged.values()]
    if any("ExpressGatewayServices" in str(role.spec.get("attached")) for role in roles):
        allowed += [_allow(actions, ["*"], condition) for actions, condition in balancing(scope)]
    documents = packed(allowed or [_allow(("sts:GetCallerIdentity",), ["*"])], "services", most=1)
    return documents[0]


def ceiling(scope: Scope) -> Document:
    """What the plan and the deploy role may not exceed, even if somebody gives them more: no users, no other roles."""
    roles = f"arn:aws:iam::{scope.account}:role{scope.path}*"
    linked = f"arn:aws:iam::{scope.account}:role/aws-service-role/*"
    return _document(
        [
            _allow([f"{service}:*" for service in _SERVICES], ["*"]),
            _allow(
                ("iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"), [roles]
            ),
            _allow(("iam:ListRoles",), ["*"]),
            _allow(
                ("iam:*Role", "iam:*RolePolicy", "iam:PutRolePermissionsBoundary", "iam:UpdateAssumeRolePolicy"),
                [roles],
            ),
            _allow(("iam:CreateServiceLinkedRole",), [linked]),
        ]
    )


def packed(statements: Iterable[Statement], role: str, most: int = MOST) -> list[Document]:
    """Statements in as few documents as hold them, first fit.

    Raises Problems when it would take more than ``most``.
    """
    bins: list[list[Statement]] = []
    for statement in (part for whole in statements for part in _split(whole)):
        for each in bins:
            if size(_document([*each, statement])) <= LONGEST:
                each.append(statement)
                break
        else:
            bins.append([statement])
    if len(bins) > most:
        raise Problems.one(
            f"what the {role} role must be allowed takes {len(bins)} policies, AWS allows {most}",
            hint="split the project, or the environment's largest component, in two",
        )
    return [_document(each) for each in bins]


def size(document: Document) -> int:
    """Characters of a document as IAM counts them."""
    return len(json.dumps(document, separators=(",", ":")))


def _statements(desired: Desired, who: tuple[str, ...]) -> list[Statement]:
    merged: dict[tuple[str, tuple[str, ...], str], _Merged] = {}
    for subject in _subjects(desired):
        for rule in subject.rules:
            if rule.who not in who or (rule.who == "destroy" and not subject.deletable):
                continue
            arns = tuple(sorted(_fill(arn, desired.scope, subject.name) for arn in rule.arns))
            service = rule.actions[0].partition(":")[0]
            merged.setdefault((service, arns, rule.when), _Merged()).actions.update(rule.actions)
    # Rules of one place are one statement; places that allow the same are one statement too.
    alike: dict[tuple[tuple[str, ...], str], _Merged] = {}
    for (_, arns, when), found in merged.items():
        group = alike.setdefault((tuple(sorted(found.actions)), when), _Merged(found.actions))
        group.arns.update(arns)
    conditions = _conditions(desired)
    return [_allow(group.actions, group.arns, conditions[when]) for (_, when), group in sorted(alike.items())]


def _subjects(desired: Desired) -> Iterator[Subject]:
    yield Subject(ALWAYS)
    for resource in desired.resources:
        if resource.type not in {"ecr_image", "migration", "s3_model", "s3_site"}:  # what is shipped: below
            yield Subject(TYPES[resource.type], resource.physical, _is_deletable(resource))
            yield Subject(tuple(leaving(resource.type)), resource.physical)
    names = {(resource.type, resource.component): resource.physical for resource in desired.resources}
    for component in desired.components:
        for kind, holder in _shipped(component):
            yield Subject(TYPES[kind], names.get((holder, component.handle), ""))
    keys = sorted({key for resource in desired.resources for key in _keys(resource.spec)})
    if keys:
        yield Subject((Rule("write", _KMS, tuple(keys)),))
    released = next((one.spec["releases"] for one in desired.components if one.kind == "Project"), None)
    handle = released.get("bucket") if isinstance(released, Mapping) else None
    if handle:
        yield Subject(RELEASES, names["s3_bucket", str(handle)])


def _shipped(component: Component) -> Iterator[tuple[str, str]]:
    """What deploys ship of a component, whether or not there is anything to ship now: type, and what holds it."""
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
    return isinstance(tags, Mapping) and tags.get(TAG_DELETION) == "delete"


def _keys(value: Any) -> Iterator[str]:
    match value:
        case str() if value.startswith("arn:aws:kms:"):
            yield value
        case Mapping():
            for each in value.values():
                yield from _keys(each)
        case list() | tuple():
            for each in value:
                yield from _keys(each)


def _conditions(desired: Desired) -> Mapping[str, Mapping[str, Any]]:
    scope = desired.scope
    ours = {TAG_PROJECT: scope.project, TAG_ENVIRONMENT: scope.environment}
    made = {f"aws:RequestTag/{key}": value for key, value in ours.items()}
    theirs = {f"aws:ResourceTag/{key}": value for key, value in ours.items()}
    bounded = {"StringEquals": {"iam:PermissionsBoundary": scope.boundary}}
    attached = sorted({arn for each in desired.resources if each.type == "iam_role" for arn in _attached(each)})
    types = {each.type for each in desired.resources}
    services = sorted(name for each, names in LINKED_SERVICES.items() if each in types for name in names)
    passed = sorted(name for each, names in PRINCIPALS.items() if each in types for name in names)
    return {
        "": {},
        "made": {"StringEquals": made, "StringEqualsIfExists": theirs},
        "ours": {"StringEquals": theirs},
        "bounded": bounded,
        "attached": {**bounded, "ArnEquals": {"iam:PolicyARN": attached}},
        "linked": {"StringEquals": {"iam:AWSServiceName": services}},
        "passed": {"StringEquals": {"iam:PassedToService": passed}},
    }


def _attached(role: Resource) -> list[str]:
    found = role.spec.get("attached")
    return [str(arn) for arn in found] if isinstance(found, list) else []


def _fill(template: str, scope: Scope, name: str) -> str:
    return template.format(a=scope.account, r=scope.region, n=name, p=scope.prefix, path=scope.path)


def _stand_in(ref: Ref, desired: Desired) -> str:
    """The ARN of a secret before it is made: AWS adds six characters of its own."""
    resource = next(each for each in desired.resources if each.address == ref.address)
    return f"arn:aws:secretsmanager:{desired.scope.region}:{desired.scope.account}:secret:{resource.physical}-??????"


def _allow(actions: Iterable[str], arns: Iterable[str], condition: Mapping[str, Any] | None = None) -> Statement:
    said: Statement = {"Effect": "Allow", "Action": sorted(actions), "Resource": sorted(arns)}
    return {**said, "Condition": dict(condition)} if condition else said


def _split(statement: Statement) -> Iterator[Statement]:
    """A statement about very many things, in pieces that fit into a document each."""
    part: list[str] = []
    for arn in statement["Resource"]:
        if sum(len(each) + 3 for each in part) > _CHUNK:
            yield {**statement, "Resource": part}
            part = []
        part = [*part, arn]
    yield {**statement, "Resource": part}


def _document(statements: list[Statement]) -> Document:
    return {"Version": "2012-10-17", "Statement": statements}
