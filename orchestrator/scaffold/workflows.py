"""The workflows of a project: each calls the orchestrator's own of the same name.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orchestrator.doctor.workflow_checks import REQUIRED_PERMISSIONS

_TRIGGERS: Final = {
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
_INPUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "plan": (),
    "deploy": ("digest", "allow"),
    "rollback": ("release", "parts", "reason", "allow", "plan-only"),
    "drift": ("answer", "targets", "allow"),
}
_WORKFLOW_TEMPLATE: Final = """\
name: {name}
{head}permissions: {{}}
jobs:
  {name}:
    permissions: {{{permissions}}}
    uses: {repository}/.github/workflows/{name}.yml@{commit}
    with:
      environment: prod
{passed}"""


def render_files(tool: str) -> dict[str, str]:
    """The workflows, by their path in the repository; ``tool`` is ``OWNER/NAME@COMMIT``."""
    repository, _, commit = tool.partition("@")
    texts_by_path = {}
    for name, required_permissions in REQUIRED_PERMISSIONS.items():
        permissions = ", ".join(f"{scope}: {level}" for scope, level in required_permissions.items())
        inputs_section = "".join(
            f"      {input_name}: ${{{{ {_input_expression(input_name)} }}}}\n" for input_name in _INPUTS[name]
        )
        texts_by_path[f".github/workflows/{name}.yml"] = _WORKFLOW_TEMPLATE.format(
            name=name,
            head=_TRIGGERS[name],
            permissions=permissions,
            repository=repository,
            commit=commit,
            passed=inputs_section,
        )
    return texts_by_path


def _input_expression(name: str) -> str:
    """An input as it was given; by the clock or by a push nobody gave any, and a boolean has to be one."""
    return f"inputs.{name} || false" if name == "plan-only" else f"inputs.{name}"
