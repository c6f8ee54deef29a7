"""Render files of the repository itself: .gitignore, and the section of the README for the team.  Pure."""

from __future__ import annotations

from typing import Final

from orchestrator.scaffold.detection.applications import Api
from orchestrator.scaffold.manifests import RELEASE_CODE, RELEASE_HEADER
from orchestrator.scaffold.questions import Answers

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

The files in `manifests/` say what runs in AWS; `orchestrator plan` shows the difference to what does.

| to ... | do this |
|---|---|
| deploy | merge a pull request into `{branch}`; its comment shows what will change |
| see what runs | `orchestrator releases -e {environment}` |
| roll back | start the workflow `rollback` on GitHub, or run `orchestrator rollback -e {environment}` |
| check for drift | read the issue that the workflow `drift` keeps, or run `orchestrator drift -e {environment}` |
| check the set-up | `orchestrator doctor -e {environment}` |

Environments: {environments}.
{release}"""
_RELEASE: Final = """
A deploy proves which build answers if the health response names it in the header `{header}`, and `releaseHeader` in
`manifests/api.yaml` is set. The lines that do it:

```text
{code}
```
"""


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
        environments=", ".join(f"`{name}`" for name in environments),
        release=_RELEASE.format(header=RELEASE_HEADER, code=code) if api is not None else "",
    )
