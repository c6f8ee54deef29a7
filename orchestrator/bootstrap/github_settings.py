"""Plan and apply the GitHub settings that the workflows need: repository variables and the environment.

API: GitHub REST API (actions variables, environments, deployment branch policies).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import quote

from msgspec import Struct

from orchestrator.bootstrap import workflow_roles
from orchestrator.bootstrap.workflow_roles import Repository
from orchestrator.vocabulary import Scope

NAMED_BRANCHES_POLICY = {"protected_branches": False, "custom_branch_policies": True}
"""Only the listed branches may deploy to the environment."""


class GitHubApi(Protocol):
    """Requests below ``/repos/OWNER/NAME``; implemented by ``orchestrator.github.client.GitHub``."""

    def get(self, path: str) -> Any: ...

    def find(self, path: str) -> Any | None: ...

    def post(self, path: str, body: Mapping[str, Any]) -> Any: ...

    def put(self, path: str, body: Mapping[str, Any]) -> Any: ...

    def delete(self, path: str) -> None: ...


class Setting(Struct, frozen=True):
    """One setting to change: its description, and the requests (method, path, body) in order."""

    description: str
    requests: tuple[tuple[str, str, Mapping[str, Any]], ...]


def fetch_repository(api: GitHubApi) -> Repository:
    """Read the repository with its ids from GitHub.  Raises Problems."""
    response = api.get("")
    return Repository(response["full_name"], response["id"], response["owner"]["id"], response["default_branch"])


def repository_variables(scope: Scope) -> dict[str, str]:
    """Return the repository's variables, which pull requests can read; each environment has its own plan role."""
    suffix = "" if scope.environment == "prod" else f"_{scope.environment.upper().replace('-', '_')}"
    return {
        f"ORCHESTRATOR_PLAN_ROLE{suffix}": workflow_roles.role_arn(scope, workflow_roles.PLAN_ROLE),
        "ORCHESTRATOR_PROJECT": scope.project,
        "ORCHESTRATOR_REGION": scope.region,
    }


def list_pending_settings(api: GitHubApi, scope: Scope, branch: str) -> list[Setting]:
    """Return the settings that differ from the required ones.  Only reads.  Raises Problems."""
    pending = [*_environment_settings(api, scope, branch)]
    for name, value in repository_variables(scope).items():
        pending += _variable_settings(api, "/actions/variables", name, value, "the repository")
    variables_path = f"/environments/{quote(scope.environment, safe='')}/variables"
    deploy_role_arn = workflow_roles.role_arn(scope, workflow_roles.DEPLOY_ROLE)
    return [
        *pending,
        *_variable_settings(
            api, variables_path, "ORCHESTRATOR_DEPLOY_ROLE", deploy_role_arn, f"environment {scope.environment}"
        ),
    ]


def apply(api: GitHubApi, settings: list[Setting]) -> Iterator[str]:
    """Apply each setting and then yield its description.  Raises Problems."""
    for setting in settings:
        for method, path, body in setting.requests:
            if method == "DELETE":
                api.delete(path)
            elif method == "PUT":
                api.put(path, body)
            else:
                api.post(path, body)
        yield setting.description


def _environment_settings(api: GitHubApi, scope: Scope, branch: str) -> Iterator[Setting]:
    path = f"/environments/{quote(scope.environment, safe='')}"
    environment = api.find(path)
    if environment is None or environment.get("deployment_branch_policy") != NAMED_BRANCHES_POLICY:
        body = {"deployment_branch_policy": NAMED_BRANCHES_POLICY}
        yield Setting(
            f"branch policy of environment {scope.environment}: only listed branches can deploy", (("PUT", path, body),)
        )
    policies_path = f"{path}/deployment-branch-policies"
    branch_policies = (api.find(policies_path) or {}).get("branch_policies", []) if environment else []
    if branch not in [branch_policy["name"] for branch_policy in branch_policies]:
        description = f"branch of environment {scope.environment}: {branch} can deploy"
        yield Setting(description, (("POST", policies_path, {"name": branch}),))


def _variable_settings(
    api: GitHubApi, variables_path: str, name: str, value: str, owner_name: str
) -> Iterator[Setting]:
    variable = api.find(f"{variables_path}/{name}")
    if variable is not None and variable["value"] == value:
        return
    create_request = ("POST", variables_path, {"name": name, "value": value})
    delete_requests: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
        (("DELETE", f"{variables_path}/{name}", {}),) if variable else ()
    )
    yield Setting(f"variable {name} of {owner_name}: {value}", (*delete_requests, create_request))
