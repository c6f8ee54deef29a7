"""Render files of the repository itself: .gitignore, and the section of the README for the team.  Pure."""

from __future__ import annotations

from typing import Final

from orchestrator.scaffold.detection.applications import Api
from orchestrator.scaffold.manifests import RELEASE_CODE, RELEASE_HEADER
from orchestrator.scaffold.questions import Answers

AGENTS_MARK: Final = "<!-- deployment for agents: orchestrator -->"
README_MARK: Final = "<!-- deployment: orchestrator -->"
_COMMON_IGNORES: Final = (
    ".env",
    ".env.*",
    "!.env.example",
    ".orchestrator/",
    ".DS_Store",
    "node_modules/",
    "__pycache__/",
)
_IGNORES: Final = {
    "dotnet": ("bin/", "obj/", "*.user", ".vs/"),
    "python": (".venv/", "*.pyc"),
    "node": ("dist/", "npm-debug.log*"),
    "go": ("bin/",),
    "docker": (),
}
_README: Final = """\
{mark}
## Deployment

The files in `manifests/` define what runs in AWS. `orchestrator plan` shows how AWS differs from them.

| to ... | do this |
|---|---|
| deploy | merge a pull request into `{branch}`; its comment shows what will change |
| see what runs | `orchestrator releases -e {environment}` |
| roll back | start the workflow `rollback` on GitHub, or run `orchestrator rollback -e {environment}` |
| check for drift | read the issue that the workflow `drift` updates, or run `orchestrator drift -e {environment}` |
| check the set-up | `orchestrator doctor -e {environment}` |

{environments}
{release}"""
_RELEASE: Final = """
A deploy verifies which build is running if the health response contains the header `{header}` and `releaseHeader` is
set in `manifests/api.yaml`. Add this code to the API:

```text
{code}
```
"""


_AGENTS: Final = """\
{mark}
## Deployment

`orchestrator` deploys this repository to AWS: the files in `manifests/` define what runs, and merges to `{branch}`
are deployed.

* Change AWS only by editing `manifests/` in a pull request. A comment shows the plan, and a person approves it.
* Before you commit, run `orchestrator validate`. It needs no credentials, and reports problems with file and line.
* Look up a field with `orchestrator explain KIND.FIELD`, such as `orchestrator explain containerservice.health`.
* `orchestrator render -e {environment}` prints the merged manifests of an environment. Environments: {environments}.
* These commands only read, and need AWS credentials: `orchestrator plan`, `status`, `drift`, `releases`, `logs` and
  `cost`. `orchestrator mcp` offers them as tools.
* Never run `apply`, `deploy`, `promote`, `rollback`, `restore`, `destroy`, `unlock`, `unpin` or `bootstrap`: they
  change what customers use. Tell the user which command to run, and why.
* Do not write secrets to files. A `Secret` generates its values, or a person sets them with `orchestrator secret set`.
* Do not rename components or AWS resources: a new name creates a new resource, without the data of the old one.
* Do not change `.github/workflows`: a pull request that changes it does not count as reviewed.
{application}"""
_AGENTS_API: Final = """\
* The API listens on port 8080, returns status 200 for `GET /health` when it is ready, and reads its settings from
  environment variables.
"""


def render_agents_section(answers: Answers) -> str:
    """Return the section for coding agents; it begins with ``AGENTS_MARK``."""
    names = answers.environment_names
    return _AGENTS.format(
        mark=AGENTS_MARK,
        branch=answers.branch,
        environment=names[-1],
        environments=", ".join(f"`{name}`" for name in names),
        application=_AGENTS_API if answers.api else "",
    )


def render_gitignore(answers: Answers) -> str:
    """Return a .gitignore with what builds, package managers and editors of these applications write."""
    lines = [*_COMMON_IGNORES, *_IGNORES.get(answers.api, ())]
    if answers.site_build:
        lines += [f"/{answers.site}/"]
    return "".join(f"{line}\n" for line in dict.fromkeys(lines))


def render_readme_section(answers: Answers, api: Api | None) -> str:
    """Return the section about deployment; it begins with ``README_MARK``."""
    environments = answers.environment_names
    code = "\n".join(RELEASE_CODE.get(answers.api, ()))
    return _README.format(
        mark=README_MARK,
        branch=answers.branch,
        environment=environments[-1],
        environments=format_environments(environments),
        release=_RELEASE.format(header=RELEASE_HEADER, code=code) if api is not None else "",
    )


def format_environments(names: tuple[str, ...]) -> str:
    """Return the sentence of the README that lists the environments."""
    return f"Environments: {', '.join(f'`{name}`' for name in names)}."
