"""Check the repository on GitHub: that it exists, its variables, and its environment."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct, field

from orchestrator.bootstrap import github_settings
from orchestrator.bootstrap.workflow_roles import Repository
from orchestrator.doctor import DoctorContext, Finding, not_checked_finding
from orchestrator.doctor.workflow_checks import list_called_workflows
from orchestrator.github.client import GitHubProblems
from orchestrator.manifest.check import Manifest
from orchestrator.problems import Problems

_TOKEN_HINT = "run `gh auth login`, or set GITHUB_TOKEN"  # noqa: S105 - a hint, no token


class RepositoryCheck(Struct, frozen=True):
    """The repository as GitHub knows it (None if it could not be read), and the findings."""

    repository: Repository | None = None
    findings: list[Finding] = field(default_factory=list)


def check_repository(context: DoctorContext, manifest: Manifest) -> RepositoryCheck:
    """Read the repository's ids, and check its variables and environment."""
    name = str(manifest.project.spec["repository"])
    try:
        api = context.make_github(name)
    except Problems as error:
        return RepositoryCheck(
            None, [not_checked_finding("github", item.message, item.hint or _TOKEN_HINT) for item in error.problems]
        )
    try:
        repository = github_settings.fetch_repository(api)
    except GitHubProblems as error:
        return RepositoryCheck(None, [_repository_error_finding(name, error)])
    try:
        repository = github_settings.add_identity(api, manifest.scope, repository)
        pending_settings = github_settings.list_pending_settings(api, manifest.scope, repository)
        subject_problems = github_settings.list_subject_problems(api, repository)
    except GitHubProblems as error:
        message = f"cannot read the variables and the environment of {repository.name}: {error.problems[0].message}"
        return RepositoryCheck(
            repository,
            [not_checked_finding("github", message, "use a token with administrator access to the repository")],
        )
    fix = context.command_for("bootstrap", "github")
    findings = [Finding("github", "missing", f"not set: {item.description}", fix) for item in pending_settings]
    findings += [Finding("github", "missing", item.message, item.hint or fix) for item in subject_problems]
    ok_message = f"{repository.name} has the required variables and the environment {manifest.scope.environment}"
    if not repository.has_environments:
        ok_message = (
            f"{repository.name} has the required variables; without an environment, every job on {repository.branch} "
            "can deploy"
        )
    return RepositoryCheck(repository, findings or [Finding("github", "ok", ok_message)])


def check_called_workflows(context: DoctorContext, root: Path | None) -> list[Finding]:
    """Check that GitHub has the repository and the commit of the orchestrator's workflows that the checkout calls.

    A workflow that calls another that cannot be read does not start at all, and shows no log.
    """
    findings: list[Finding] = []
    for call in list_called_workflows(root) if root is not None else ():
        name, _, commit = call.partition("@")
        try:
            commit_data = context.make_github(name).find(f"/commits/{commit}")
        except Problems as error:
            findings.append(not_checked_finding("github", f"{call}: {error.problems[0].message}", _TOKEN_HINT))
            continue
        if commit_data is None:
            message = f"the workflows call {call}, which does not exist on GitHub or cannot be read with this token"
            fix = "publish the orchestrator on GitHub, then run: orchestrator init --force --tool OWNER/NAME@COMMIT"
            findings.append(Finding("github", "missing", message, fix))
        else:
            findings += _check_workflow_access(context, name)
    return findings


def _check_workflow_access(context: DoctorContext, name: str) -> list[Finding]:
    """Check that a private repository lets other repositories call its workflows: by default it does not.

    API: GET /repos/{owner}/{repo}/actions/permissions/access, for which GitHub requires an administrator.
    """
    api = context.make_github(name)
    try:
        repository = api.find("") or {}
        if not repository.get("private"):
            return []
        level = (api.find("/actions/permissions/access") or {}).get("access_level", "none")
    except GitHubProblems as error:
        message = f"cannot read which repositories can call the workflows of {name}: {error.problems[0].message}"
        fix = f"ask an administrator of {name}: Settings > Actions > General > Access"
        return [not_checked_finding("github", message, fix)]
    if level != "none":
        return []
    message = (
        f"{name} is private and does not allow other repositories to call its workflows, so this repository's "
        "workflows cannot start"
    )
    scope = "organization" if repository.get("owner", {}).get("type") == "Organization" else "user"
    fix = f"gh api -X PUT repos/{name}/actions/permissions/access -f access_level={scope}"
    return [Finding("github", "missing", message, fix)]


def _repository_error_finding(name: str, error: GitHubProblems) -> Finding:
    match error.status:
        case 401:
            return Finding("github", "missing", "GitHub rejected the token", _TOKEN_HINT)
        case 404:
            message = f"GitHub has no repository {name}, or the token has no access to it"
            return Finding("github", "missing", message, f"gh repo create {name} --private --source=. --push")
        case _:
            return not_checked_finding(
                "github", error.problems[0].message, "check the network, then run `orchestrator doctor` again"
            )
