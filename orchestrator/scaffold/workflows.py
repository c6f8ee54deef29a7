"""The workflows of a project: each calls the orchestrator's own of the same name.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orchestrator.doctor.workflow_checks import NEEDS

_HEADS: Final = {
    "plan": "on: pull_request\n",
    "deploy": """\
on:
  push: {branches: [main]}
  workflow_dispatch:
    inputs:
      digest: {description: Digest of a plan that you agree to, type: string}
      allow: {description: Token that lifts the vetoes of one plan, type: string}
""",
    "rollback": """\
on:
  workflow_dispatch:
    inputs:
      release: {description: Number of the release; empty for the last healthy one, type: string}
      parts: {description: "Only these, comma-separated", type: string}
      reason: {description: Why, type: string}
      allow: {description: Token that lifts the vetoes of one plan, type: string}
      plan-only: {description: Only show the plan, type: boolean, default: false}
""",
    "drift": """\
on:
  schedule: [{cron: "23 5 * * *"}]
  workflow_dispatch:
    inputs:
      answer: {description: What to do about it, type: choice, options: [report, accept, revert], default: report}
      targets: {description: Of accept, type: string, default: all}
      allow: {description: Of revert, type: string}
""",
}
_PASSED: Final[Mapping[str, tuple[str, ...]]] = {
    "plan": (),
    "deploy": ("digest", "allow"),
    "rollback": ("release", "parts", "reason", "allow", "plan-only"),
    "drift": ("answer", "targets", "allow"),
}
_CALL: Final = """\
name: {name}
{head}permissions: {{}}
jobs:
  {name}:
    permissions: {{{permissions}}}
    uses: {repository}/.github/workflows/{name}.yml@{commit}
    with:
      environment: prod
{passed}"""


def files(tool: str) -> dict[str, str]:
    """The workflows, by their path in the repository; ``tool`` is ``OWNER/NAME@COMMIT``."""
    repository, _, commit = tool.partition("@")
    made = {}
    for name, needs in NEEDS.items():
        permissions = ", ".join(f"{scope}: {level}" for scope, level in needs.items())
        passed = "".join(f"      {each}: ${{{{ {_value(each)} }}}}\n" for each in _PASSED[name])
        made[f".github/workflows/{name}.yml"] = _CALL.format(
            name=name, head=_HEADS[name], permissions=permissions, repository=repository, commit=commit, passed=passed
        )
    return made


def _value(name: str) -> str:
    """An input as it was given; by the clock or by a push nobody gave any, and a boolean has to be one."""
    return f"inputs.{name} || false" if name == "plan-only" else f"inputs.{name}"
