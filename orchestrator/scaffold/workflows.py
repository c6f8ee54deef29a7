"""Render the workflows of a project, which call the orchestrator's workflows of the same name.  Pure."""

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
      environment: {description: Environment to deploy, type: string, default: prod}
      digest: {description: Digest of a plan to approve, type: string}
      allow: {description: Token that lifts the vetoes of one plan, type: string}
""",
    "rollback": """\
on:
  workflow_dispatch:
    inputs:
      environment: {description: Environment to roll back, type: string, default: prod}
      release: {description: Number of the release; the default is the last healthy one, type: string}
      parts: {description: "Roll back only these, comma-separated", type: string}
      reason: {description: Reason for the rollback, type: string}
      allow: {description: Token that lifts the vetoes of one plan, type: string}
      plan-only: {description: Whether to only show the plan, type: boolean, default: false}
""",
    "drift": """\
on:
  schedule: [{cron: "23 5 * * *"}]
  workflow_dispatch:
    inputs:
      answer: {description: What to do about drift, type: choice, options: [report, accept, revert], default: report}
      targets: {description: "For accept: all, or addresses or components", type: string, default: all}
      allow: {description: "For revert: token that lifts the vetoes of one plan", type: string}
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
      environment: {environment}
{passed}"""


def render_files(tool: str) -> dict[str, str]:
    """Return the workflows by their path in the repository; ``tool`` is ``OWNER/NAME@COMMIT``."""
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
            environment=_environment_expression(name),
            passed=inputs_section,
        )
    return texts_by_path


def _environment_expression(name: str) -> str:
    """Return the environment of a workflow; a run that a push started has no inputs."""
    has_input = "environment: {" in _TRIGGERS[name]
    return "${{ inputs.environment || 'prod' }}" if has_input else "prod"


def _input_expression(name: str) -> str:
    """Return the expression of an input; scheduled and push runs have no inputs, and a boolean needs a value."""
    return f"inputs.{name} || false" if name == "plan-only" else f"inputs.{name}"
