"""What GitHub has of the repository: that it is there, its variables, its environment."""

from __future__ import annotations

from msgspec import Struct, field

from orchestrator.bootstrap import github_settings
from orchestrator.bootstrap.workflow_roles import Repository
from orchestrator.doctor import Case, Finding, unchecked
from orchestrator.github.client import GitHubProblems
from orchestrator.manifest.check import Manifest
from orchestrator.problems import Problems

_TOKEN = "log in with `gh auth login`, or set GITHUB_TOKEN"  # noqa: S105 - a hint, no token


class Asked(Struct, frozen=True):
    """The repository as GitHub knows it (None where it was not to be had), and what was found."""

    repository: Repository | None = None
    findings: list[Finding] = field(default_factory=list)


def ask(case: Case, manifest: Manifest) -> Asked:
    """The repository's ids, and what the workflows will find in it."""
    name = str(manifest.project.spec["repository"])
    try:
        api = case.github(name)
    except Problems as error:
        return Asked(None, [unchecked("github", each.message, each.hint or _TOKEN) for each in error.problems])
    try:
        repository = github_settings.repository(api)
    except GitHubProblems as error:
        return Asked(None, [_no_repository(name, error)])
    try:
        lacking = github_settings.changes(api, manifest.scope, repository.branch)
    except GitHubProblems as error:
        what = f"variables and environment of {repository.name}: {error.problems[0].message}"
        return Asked(repository, [unchecked("github", what, "use a token of somebody who administers it")])
    fix = case.again("bootstrap", "github")
    found = [Finding("github", "missing", f"not set: {each.what}", fix) for each in lacking]
    told = f"{repository.name} has its variables and environment {manifest.scope.environment}"
    return Asked(repository, found or [Finding("github", "ok", told)])


def _no_repository(name: str, error: GitHubProblems) -> Finding:
    match error.status:
        case 401:
            return Finding("github", "missing", "GitHub does not accept the token", _TOKEN)
        case 404:
            what = f"GitHub has no repository {name}, or the token may not see it"
            return Finding("github", "missing", what, f"gh repo create {name} --private --source=. --push")
        case _:
            return unchecked("github", error.problems[0].message, "check the network, and run it again")
