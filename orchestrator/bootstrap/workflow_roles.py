"""The roles that workflows take, as desired resources: provider, policies, boundaries, roles.  Pure.

A scope of its own keeps them out of reach: what plans and deploys the environment never sees them as its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from orchestrator.bootstrap import policy_documents
from orchestrator.manifest import aws_names
from orchestrator.ownership_tags import claim
from orchestrator.problems import Problem, Problems
from orchestrator.values import Ref, Value
from orchestrator.vocabulary import Component, Desired, Resource, Scope

ISSUER: Final = "token.actions.githubusercontent.com"
AUDIENCE: Final = "sts.amazonaws.com"
PLAN, DEPLOY = "plan", "deploy"


class Repository(Struct, frozen=True):
    """A repository of GitHub: ``OWNER/NAME``, the ids that outlive renames, and its main branch."""

    name: str
    id: int
    owner_id: int
    branch: str = "main"

    def subjects(self, tail: str) -> list[Value]:
        """What GitHub may call a run of it: the classic form, and the one with ids of newer repositories."""
        owner, _, name = self.name.partition("/")
        return [f"repo:{owner}/{name}:{tail}", f"repo:{owner}@{self.owner_id}/{name}@{self.id}:{tail}"]


def role_arn(scope: Scope, role: str) -> str:
    """ARN of the ``plan`` or ``deploy`` role of an environment."""
    return f"arn:aws:iam::{scope.account}:role{scope.gate.path}{role_name(scope, role)}"


def role_name(scope: Scope, role: str) -> str:
    return f"{scope.prefix}-{role}"


def expand(desired: Desired, repository: Repository) -> Desired:
    """What lets the workflows of ``repository`` plan and deploy what is ``desired``.

    Raises Problems: names that are too long, policies that do not fit, a project without a boundary.
    """
    project = next(one for one in desired.components if one.kind == "Project")
    refuse_unbounded(project, desired)
    made = list(_resources(desired, repository, project))
    problems = list(aws_names.problems(made))
    if problems:
        raise Problems(problems)
    return Desired(desired.scope.gate, tuple(made))


def refuse_unbounded(project: Component, desired: Desired) -> None:
    """Raise Problems where services get roles without a boundary, which a deploy role may not make."""
    if any(each.type == "iam_role" for each in desired.resources) and not project.spec["permissionsBoundary"]:
        message = (
            "the Project does not ask for a permissions boundary; without one, whoever deploys could make a role "
            "that may do anything"
        )
        hint = "add `permissionsBoundary: true` to the spec of the Project, and run this again; nothing was done"
        raise Problems([Problem(message, project.where, hint)])


def _resources(desired: Desired, repository: Repository, project: Component) -> Iterator[Resource]:
    scope = desired.scope
    yield Resource("iam_oidc_provider", "github", ISSUER, {"audiences": [AUDIENCE]}, project.handle, project.where)
    yield _policy(
        scope, "boundary", "What no role of a service may exceed", policy_documents.boundary(desired), project
    )
    yield _policy(scope, "ceiling", "What no workflow may exceed", policy_documents.ceiling(scope), project)
    for role, documents, condition in (
        (PLAN, policy_documents.plan_documents(desired), _may_plan(repository)),
        (DEPLOY, policy_documents.deploy_documents(desired), _may_deploy(repository, scope)),
    ):
        parts = [
            _policy(scope, f"{role}-{number}", f"What the {role} role may do, part {number}", document, project)
            for number, document in enumerate(documents, start=1)
        ]
        yield from parts
        yield _role(scope, role, parts, condition, project)


def _policy(scope: Scope, name: str, description: str, document: Mapping[str, Any], project: Component) -> Resource:
    spec: Mapping[str, Value] = {
        "path": scope.gate.path,
        "description": f"{description} ({scope.owner})",
        "document": dict(document),
        "tags": claim(scope.gate, project.handle),
    }
    physical = f"{scope.prefix}-{name}"
    return Resource("iam_policy", name, physical, spec, project.handle, project.where)


def _role(
    scope: Scope, role: str, parts: list[Resource], condition: Mapping[str, Value], project: Component
) -> Resource:
    spec: Mapping[str, Value] = {
        "path": scope.gate.path,
        "trust": _trust(scope, condition),
        "policy": None,
        "boundary": Ref("iam_policy.ceiling", "arn"),
        "attached": [Ref(part.address, "arn") for part in parts],
        "tags": claim(scope.gate, project.handle),
    }
    after = frozenset({"iam_oidc_provider.github", "iam_policy.boundary"})
    return Resource("iam_role", role, role_name(scope, role), spec, project.handle, project.where, after)


def _trust(scope: Scope, condition: Mapping[str, Value]) -> Value:
    equals: dict[str, Value] = {f"{ISSUER}:{claim}": value for claim, value in {"aud": AUDIENCE, **condition}.items()}
    statement: dict[str, Value] = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::{scope.account}:oidc-provider/{ISSUER}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": equals},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def _may_plan(repository: Repository) -> Mapping[str, Value]:
    """Pull requests, and the main branch, where drift is looked for."""
    subjects = [*repository.subjects("pull_request"), *repository.subjects(f"ref:refs/heads/{repository.branch}")]
    return {"repository_id": str(repository.id), "sub": subjects}


def _may_deploy(repository: Repository, scope: Scope) -> Mapping[str, Value]:
    """The main branch, in a job that names the environment, whose rules then hold."""
    return {
        "repository_id": str(repository.id),
        "environment": scope.environment,
        "ref": f"refs/heads/{repository.branch}",
        "sub": repository.subjects(f"environment:{scope.environment}"),
    }
