"""Plan and apply the GitHub settings that the workflows need: repository variables and the environment.

API: GitHub REST API (actions variables, environments, deployment branch policies, OIDC subject customisation).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.bootstrap import workflow_roles
from orchestrator.bootstrap.workflow_roles import Repository
from orchestrator.github.client import GitHubProblems
from orchestrator.problems import Problem
from orchestrator.vocabulary import Scope

PLAN_ROLE_VARIABLE: Final = "ORCHESTRATOR_PLAN_ROLE"
DEPLOY_ROLE_VARIABLE: Final = "ORCHESTRATOR_DEPLOY_ROLE"
SESSION_VARIABLE: Final = "ORCHESTRATOR_SESSION_SECONDS"
DEFAULT_CLAIM_KEYS: Final = ["repo", "context"]
"""The claims that GitHub makes the OIDC subject from by default."""
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
    """One setting to change: its description, and the requests (method, path, body) in order.

    ``is_protection`` marks what has to be there before a role trusts the environment.
    """

    description: str
    requests: tuple[tuple[str, str, Mapping[str, Any]], ...]
    is_protection: bool = False


def fetch_repository(api: GitHubApi) -> Repository:
    """Read the repository with its ids from GitHub.  Raises Problems."""
    response = api.get("")
    return Repository(response["full_name"], response["id"], response["owner"]["id"], response["default_branch"])


def add_identity(api: GitHubApi, scope: Scope, repository: Repository) -> Repository:
    """Add how the workflows of the repository identify themselves to AWS.

    A variable ORCHESTRATOR_DEPLOY_ROLE of the repository, not of an environment, says that it is used without
    environments.  Raises Problems.
    """
    subject = api.find("/actions/oidc/customization/sub") or {}
    return replace(
        repository,
        has_environments=api.find(f"/actions/variables/{variable_name(DEPLOY_ROLE_VARIABLE, scope.environment)}")
        is None,
        subject_prefix=str(subject.get("sub_claim_prefix") or ""),
    )


def list_subject_problems(api: GitHubApi, repository: Repository) -> list[Problem]:
    """Return why AWS would not recognise the workflows of the repository: its OIDC subject is customised.

    The customisation of an organisation applies if the repository has none of its own.  Raises Problems.
    """
    subject = api.find("/actions/oidc/customization/sub") or {}
    keys = subject.get("include_claim_keys") or []
    if subject.get("use_default", True) or keys == DEFAULT_CLAIM_KEYS:
        return []
    origin = f"claims: {', '.join(keys)}" if keys else "set by the organisation"
    message = (
        f"{repository.name} has a customised OIDC subject ({origin}), but the roles trust only the default "
        "subject, so AWS would reject its workflows"
    )
    command = f"gh api -X PUT repos/{repository.name}/actions/oidc/customization/sub -F use_default=true"
    hint = f"to use the default subject, run `{command}`"
    return [Problem(message, hint=hint)]


def variable_name(name: str, environment: str) -> str:
    """Return the name of a repository variable: that of an environment other than ``prod`` has a suffix."""
    return name if environment == "prod" else f"{name}_{environment.upper().replace('-', '_')}"


def repository_variables(scope: Scope, *, has_environments: bool = True) -> dict[str, str]:
    """Return the repository's variables, which pull requests can read; each environment has its own roles."""
    variables = {
        variable_name(PLAN_ROLE_VARIABLE, scope.environment): workflow_roles.role_arn(scope, workflow_roles.PLAN_ROLE),
        "ORCHESTRATOR_PROJECT": scope.project,
        "ORCHESTRATOR_REGION": scope.region,
    }
    if not has_environments:
        deploy_role_arn = workflow_roles.role_arn(scope, workflow_roles.DEPLOY_ROLE)
        variables[variable_name(DEPLOY_ROLE_VARIABLE, scope.environment)] = deploy_role_arn
        variables[variable_name(SESSION_VARIABLE, scope.environment)] = str(workflow_roles.SESSION_SECONDS)
    return variables


def list_pending_settings(api: GitHubApi, scope: Scope, repository: Repository) -> list[Setting]:
    """Return the settings that differ from the required ones.  Only reads.  Raises Problems."""
    pending: list[Setting] = []
    if repository.has_environments:
        pending += _environment_settings(api, scope, repository.branch)
    for name, value in repository_variables(scope, has_environments=repository.has_environments).items():
        pending += _variable_settings(api, "/actions/variables", name, value, "the repository")
    if repository.has_environments:
        path = f"/environments/{quote(scope.environment, safe='')}/variables"
        role_arn = workflow_roles.role_arn(scope, workflow_roles.DEPLOY_ROLE)
        owner, seconds = f"environment {scope.environment}", str(workflow_roles.SESSION_SECONDS)
        pending += _variable_settings(api, path, DEPLOY_ROLE_VARIABLE, role_arn, owner)
        pending += _variable_settings(api, path, SESSION_VARIABLE, seconds, owner)
    return pending


def apply(api: GitHubApi, settings: Iterable[Setting]) -> Iterator[str]:
    """Apply each setting and then yield its description.

    Raises GitHubProblems; of the branch policy of an environment that GitHub's plan does not include, with what to do.
    """
    for setting in settings:
        try:
            for method, path, body in setting.requests:
                _send(api, method, path, body)
        except GitHubProblems as error:
            if setting.is_protection and error.status in {402, 403, 404, 422}:
                raise _explain_missing_environments(error) from error
            raise
        yield setting.description


def _send(api: GitHubApi, method: str, path: str, body: Mapping[str, Any]) -> None:
    if method == "DELETE":
        api.delete(path)
    elif method == "PUT":
        api.put(path, body)
    else:
        api.post(path, body)


def _explain_missing_environments(error: GitHubProblems) -> GitHubProblems:
    message = f"{error.problems[0].message}; nothing was changed in AWS"
    hint = (
        "for private repositories, environments require GitHub Pro, Team or Enterprise. On a Free plan, run the "
        "command again with `--without-environment`: the deploy role then trusts every job of the default branch"
    )
    explained = GitHubProblems.from_message(message, hint=hint)
    explained.status = error.status
    return explained


def _environment_settings(api: GitHubApi, scope: Scope, branch: str) -> Iterator[Setting]:
    path = f"/environments/{quote(scope.environment, safe='')}"
    try:
        environment = api.find(path)
    except GitHubProblems as error:
        raise (_explain_missing_environments(error) if error.status in {402, 403} else error) from error
    if environment is None or environment.get("deployment_branch_policy") != NAMED_BRANCHES_POLICY:
        body = {"deployment_branch_policy": NAMED_BRANCHES_POLICY}
        description = f"branch policy of environment {scope.environment}: only listed branches can deploy"
        yield Setting(description, (("PUT", path, body),), is_protection=True)
    policies_path = f"{path}/deployment-branch-policies"
    branch_policies = (api.find(policies_path) or {}).get("branch_policies", []) if environment else []
    if branch not in [branch_policy["name"] for branch_policy in branch_policies]:
        description = f"branch of environment {scope.environment}: {branch} can deploy"
        yield Setting(description, (("POST", policies_path, {"name": branch}),), is_protection=True)


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
