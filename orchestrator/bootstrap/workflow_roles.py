"""Expand the access of workflows to desired resources: OIDC provider, policies, boundaries, roles.  Pure.

They have a scope of their own, so plans and deploys of the environment never manage them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NotRequired, TypedDict

from msgspec import Struct

from orchestrator.bootstrap import policy_documents
from orchestrator.manifest import aws_names
from orchestrator.ownership_tags import build_ownership_tags
from orchestrator.problems import Problem, Problems
from orchestrator.values import Ref, Value
from orchestrator.vocabulary import Component, DesiredState, Resource, Scope

OIDC_ISSUER: Final = "token.actions.githubusercontent.com"
OIDC_AUDIENCE: Final = "sts.amazonaws.com"
PLAN_ROLE, DEPLOY_ROLE = "plan", "deploy"
SESSION_SECONDS: Final = 5400
"""Seconds that a deploy's session lasts: as long as its job may take."""
MAX_SESSION_SECONDS: Final = 7200
"""Longest session that the deploy role allows; AWS's default of an hour is shorter than a deploy may take."""


class Repository(Struct, frozen=True):
    """A GitHub repository: ``OWNER/NAME``, the ids that survive a rename, and the main branch.

    ``has_environments`` is False if GitHub's plan has no environments for it, so its branch alone is trusted.
    ``subject_prefix`` is how GitHub begins its OIDC subjects, if GitHub says so.
    """

    name: str
    id: int
    owner_id: int
    branch: str = "main"
    has_environments: bool = True
    subject_prefix: str = ""

    def oidc_subjects(self, suffix: str) -> list[Value]:
        """Return the OIDC subjects of its runs: the classic form, and the form with ids of newer repositories."""
        owner, _, name = self.name.partition("/")
        prefixes = [f"repo:{owner}/{name}", f"repo:{owner}@{self.owner_id}/{name}@{self.id}", self.subject_prefix]
        return [f"{prefix}:{suffix}" for prefix in dict.fromkeys(prefixes) if prefix]


def role_arn(scope: Scope, role: str) -> str:
    """Return the ARN of the ``plan`` or ``deploy`` role of an environment."""
    return f"arn:aws:iam::{scope.account}:role{scope.github_scope.iam_path}{role_name(scope, role)}"


def role_name(scope: Scope, role: str) -> str:
    return f"{scope.name_prefix}-{role}"


def expand(desired: DesiredState, repository: Repository) -> DesiredState:
    """Return the resources that let the workflows of ``repository`` plan and deploy ``desired``.

    Raises Problems if names are too long, policies exceed the limits, or the Project has no permissions boundary.
    """
    project = next(component for component in desired.components if component.kind == "Project")
    require_permissions_boundary(project, desired)
    resources = list(_build_resources(desired, repository, project))
    problems = list(aws_names.check_names(resources))
    if problems:
        raise Problems(problems)
    return DesiredState(desired.scope.github_scope, tuple(resources))


class AccessDocument(TypedDict):
    """Output of ``orchestrator bootstrap github --plan --format json``.

    Policies and trust policies by name, in IAM's form, and the settings that GitHub lacks.  Without a GitHub token,
    only policies are listed.
    """

    policies: dict[str, dict[str, Any]]
    roles: NotRequired[dict[str, dict[str, Any]]]
    settings: NotRequired[list[str]]


def describe_access(access: DesiredState) -> AccessDocument:
    """Return the whole policy documents and trust policies of expanded access, by name, in IAM's form."""
    return {
        "policies": {item.physical: item.spec["document"] for item in access.resources if item.type == "iam_policy"},
        "roles": {item.physical: item.spec["trust"] for item in access.resources if item.type == "iam_role"},
    }


def require_permissions_boundary(project: Component, desired: DesiredState) -> None:
    """Raise Problems if services need roles but the Project has no permissions boundary.

    The deploy role may create roles only with a boundary.
    """
    if any(resource.type == "iam_role" for resource in desired.resources) and not project.spec["permissionsBoundary"]:
        message = (
            "the Project has no permissions boundary: without one, anyone who deploys could create a role with any "
            "permission"
        )
        hint = "add `permissionsBoundary: true` to the Project spec, then run the command again; nothing was changed"
        raise Problems([Problem(message, project.where, hint)])


def _build_resources(desired: DesiredState, repository: Repository, project: Component) -> Iterator[Resource]:
    scope = desired.scope
    yield Resource(
        "iam_oidc_provider", "github", OIDC_ISSUER, {"audiences": [OIDC_AUDIENCE]}, project.handle, project.where
    )
    yield _build_policy(
        scope,
        "boundary",
        "What no role of a service may exceed",
        policy_documents.build_permissions_boundary(desired),
        project,
    )
    yield _build_policy(
        scope, "ceiling", "What no workflow may exceed", policy_documents.build_workflow_boundary(desired), project
    )
    for role, documents, condition in (
        (PLAN_ROLE, policy_documents.build_plan_policies(desired), _plan_trust_condition(repository)),
        (DEPLOY_ROLE, policy_documents.build_deploy_policies(desired), _deploy_trust_condition(repository, scope)),
    ):
        role_policies = [
            _build_policy(scope, f"{role}-{number}", f"What the {role} role may do, part {number}", document, project)
            for number, document in enumerate(documents, start=1)
        ]
        yield from role_policies
        yield _build_role(scope, role, role_policies, condition, project)


def _build_policy(
    scope: Scope, name: str, description: str, document: Mapping[str, Any], project: Component
) -> Resource:
    spec: Mapping[str, Value] = {
        "path": scope.github_scope.iam_path,
        "description": f"{description} ({scope.owner})",
        "document": dict(document),
        "tags": build_ownership_tags(scope.github_scope, project.handle),
    }
    physical = f"{scope.name_prefix}-{name}"
    return Resource("iam_policy", name, physical, spec, project.handle, project.where)


def _build_role(
    scope: Scope, role: str, policies_attached: list[Resource], condition: Mapping[str, Value], project: Component
) -> Resource:
    spec: Mapping[str, Value] = {
        "path": scope.github_scope.iam_path,
        "trust": _trust_policy(scope, condition),
        "policy": None,
        "boundary": Ref("iam_policy.ceiling", "arn"),
        **({"max_session_seconds": MAX_SESSION_SECONDS} if role == DEPLOY_ROLE else {}),
        "attached": [Ref(attached_policy.address, "arn") for attached_policy in policies_attached],
        "tags": build_ownership_tags(scope.github_scope, project.handle),
    }
    after = frozenset({"iam_oidc_provider.github", "iam_policy.boundary"})
    return Resource("iam_role", role, role_name(scope, role), spec, project.handle, project.where, after)


def _trust_policy(scope: Scope, condition: Mapping[str, Value]) -> Value:
    string_equals: dict[str, Value] = {
        f"{OIDC_ISSUER}:{claim_name}": value for claim_name, value in {"aud": OIDC_AUDIENCE, **condition}.items()
    }
    statement: dict[str, Value] = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::{scope.account}:oidc-provider/{OIDC_ISSUER}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": string_equals},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def _plan_trust_condition(repository: Repository) -> Mapping[str, Value]:
    """Trust pull requests and the main branch, where the drift workflow runs."""
    subjects = [
        *repository.oidc_subjects("pull_request"),
        *repository.oidc_subjects(f"ref:refs/heads/{repository.branch}"),
    ]
    return {"repository_id": str(repository.id), "sub": subjects}


def _deploy_trust_condition(repository: Repository, scope: Scope) -> Mapping[str, Value]:
    """Trust the main branch, in a job that names the environment, so that its protection rules apply.

    Without environments, trust any job of the main branch.
    """
    ref = f"refs/heads/{repository.branch}"
    condition: dict[str, Value] = {"repository_id": str(repository.id), "ref": ref}
    subjects = repository.oidc_subjects(f"environment:{scope.environment}")
    if not repository.has_environments:
        return condition | {"sub": [*subjects, *repository.oidc_subjects(f"ref:{ref}")]}
    return condition | {"environment": scope.environment, "sub": subjects}
