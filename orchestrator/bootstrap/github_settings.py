"""What the workflows find in the repository: its variables and its environment.  API: GitHub's REST API.

The same shape as the pipeline: what is wanted, what stands, the difference, and carrying it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import quote

from msgspec import Struct

from orchestrator.bootstrap import workflow_roles
from orchestrator.bootstrap.workflow_roles import Repository
from orchestrator.vocabulary import Scope

BRANCHES = {"protected_branches": False, "custom_branch_policies": True}
"""Only branches that are named may deploy to the environment."""


class Api(Protocol):
    """What is asked of GitHub, below ``/repos/OWNER/NAME``; see ``orchestrator.github.client.GitHub``."""

    def get(self, path: str) -> Any: ...

    def find(self, path: str) -> Any | None: ...

    def post(self, path: str, body: Mapping[str, Any]) -> Any: ...

    def put(self, path: str, body: Mapping[str, Any]) -> Any: ...

    def delete(self, path: str) -> None: ...


class Setting(Struct, frozen=True):
    """One thing that will be set: in words, and the requests that set it, in order (method, path, body)."""

    what: str
    requests: tuple[tuple[str, str, Mapping[str, Any]], ...]


def repository(api: Api) -> Repository:
    """The repository with the ids that GitHub knows it by.  Raises Problems."""
    found = api.get("")
    return Repository(found["full_name"], found["id"], found["owner"]["id"], found["default_branch"])


def variables(scope: Scope) -> dict[str, str]:
    """The repository's variables, which pull requests see too; there is one plan role an environment."""
    other = "" if scope.environment == "prod" else f"_{scope.environment.upper().replace('-', '_')}"
    return {
        f"ORCHESTRATOR_PLAN_ROLE{other}": workflow_roles.role_arn(scope, workflow_roles.PLAN),
        "ORCHESTRATOR_PROJECT": scope.project,
        "ORCHESTRATOR_REGION": scope.region,
    }


def changes(api: Api, scope: Scope, branch: str) -> list[Setting]:
    """What has to be set; nothing where all stands.  Only reads.  Raises Problems."""
    found = [*_environment(api, scope, branch)]
    for name, value in variables(scope).items():
        found += _variable(api, "/actions/variables", name, value, "the repository")
    place = f"/environments/{quote(scope.environment, safe='')}/variables"
    deploy = workflow_roles.role_arn(scope, workflow_roles.DEPLOY)
    return [*found, *_variable(api, place, "ORCHESTRATOR_DEPLOY_ROLE", deploy, f"environment {scope.environment}")]


def apply(api: Api, settings: list[Setting]) -> Iterator[str]:
    """Set each; yields its words once that is done.  Raises Problems."""
    for setting in settings:
        for method, path, body in setting.requests:
            if method == "DELETE":
                api.delete(path)
            elif method == "PUT":
                api.put(path, body)
            else:
                api.post(path, body)
        yield setting.what


def _environment(api: Api, scope: Scope, branch: str) -> Iterator[Setting]:
    path = f"/environments/{quote(scope.environment, safe='')}"
    found = api.find(path)
    if found is None or found.get("deployment_branch_policy") != BRANCHES:
        body = {"deployment_branch_policy": BRANCHES}
        yield Setting(f"environment {scope.environment}: only named branches deploy to it", (("PUT", path, body),))
    policies = f"{path}/deployment-branch-policies"
    listed = (api.find(policies) or {}).get("branch_policies", []) if found else []
    if branch not in [each["name"] for each in listed]:
        what = f"environment {scope.environment}: branch {branch} deploys to it"
        yield Setting(what, (("POST", policies, {"name": branch}),))


def _variable(api: Api, place: str, name: str, value: str, where: str) -> Iterator[Setting]:
    found = api.find(f"{place}/{name}")
    if found is not None and found["value"] == value:
        return
    make = ("POST", place, {"name": name, "value": value})
    gone: tuple[tuple[str, str, Mapping[str, Any]], ...] = (("DELETE", f"{place}/{name}", {}),) if found else ()
    yield Setting(f"variable {name} of {where}: {value}", (*gone, make))
