"""Render the workflows of a project, which call the orchestrator's workflows of the same name.  Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from orchestrator.bootstrap.github_settings import DEPLOY_ROLE_VARIABLE, PLAN_ROLE_VARIABLE, variable_name
from orchestrator.doctor.workflow_checks import REQUIRED_PERMISSIONS
from orchestrator.manifest.overlay import DEFAULT_NAME

_TRIGGERS: Final = {
    "plan": "on: pull_request\n",
    "deploy": """\
on:
  push: {branches: [{{branch}}]}
  workflow_dispatch:
    inputs:
      environment: {description: Environment to deploy, type: string, default: prod}
      digest: {description: Digest of a plan to approve, type: string}
      allow: {description: Token that lifts the vetoes of one plan, type: string}
      unpin: {description: "What a rollback pinned and this deploy ships: all, or parts", type: string}
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
      unlock: {description: Whether to free the lock of a run that hangs, type: boolean, default: false}
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
_BRANCH: Final = "{{branch}}"
DEFAULT_BRANCH: Final = "main"
_ENVIRONMENT_INPUT: Final = re.compile(r"^ +environment: \{.*\n", re.MULTILINE)
_INPUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "plan": (),
    "deploy": ("digest", "allow", "unpin"),
    "rollback": ("release", "parts", "reason", "allow", "plan-only", "unlock"),
    "drift": ("answer", "targets", "allow"),
}
_ROLE_INPUTS: Final[Mapping[str, Mapping[str, str]]] = {
    "plan": {"role": PLAN_ROLE_VARIABLE},
    "deploy": {"role": DEPLOY_ROLE_VARIABLE},
    "drift": {"plan-role": PLAN_ROLE_VARIABLE, "deploy-role": DEPLOY_ROLE_VARIABLE},
}
"""The variable of each role that a workflow assumes; in an environment other than ``prod`` its name has a suffix."""
_WORKFLOW_TEMPLATE: Final = """\
name: {title}
{head}permissions: {{}}
jobs:
  {name}:
    permissions: {{{permissions}}}
    uses: {repository}/.github/workflows/{name}.yml@{commit}
    with:
      environment: {environment}
{passed}"""


def render_all(tool: str, environments: tuple[str, ...], branch: str) -> dict[str, str]:
    """Return the workflows of all environments; one `rollback.yml` takes the environment as an input."""
    texts: dict[str, str] = {}
    for environment in environments:
        texts |= render_files(tool, environment, branch)
    default = DEFAULT_NAME if DEFAULT_NAME in environments else environments[-1]
    rollback = _render_file("rollback", tool, DEFAULT_NAME, "")
    rollback = rollback.replace("default: prod", f"default: {default}").replace("|| 'prod'", f"|| '{default}'")
    if roles := _role_expression(environments):
        rollback += f"      role: ${{{{ {roles} }}}}\n"
    return {**texts, ".github/workflows/rollback.yml": rollback}


def _role_expression(environments: tuple[str, ...]) -> str:
    """Return the expression of the role to roll back with, for repositories whose roles are in no environment."""
    alternatives = [
        f"inputs.environment == '{name}' && vars.{variable_name(DEPLOY_ROLE_VARIABLE, name)}"
        for name in environments
        if name != DEFAULT_NAME
    ]
    return " || ".join([*alternatives, "''"]) if alternatives else ""


def render_files(tool: str, environment: str = DEFAULT_NAME, branch: str = DEFAULT_BRANCH) -> dict[str, str]:
    """Return the workflows by their path in the repository; ``tool`` is ``OWNER/NAME@COMMIT``, ``branch`` is deployed.

    An environment other than ``prod`` has files of its own, but for rollbacks: that workflow takes the environment.
    """
    names = REQUIRED_PERMISSIONS if environment == DEFAULT_NAME else _ROLE_INPUTS
    suffix = "" if environment == DEFAULT_NAME else f"-{environment}"
    branch_text = json.dumps(branch) if re.search(r"[^\w./-]", branch) else branch
    return {
        f".github/workflows/{name}{suffix}.yml": _render_file(name, tool, environment, suffix).replace(
            _BRANCH, branch_text
        )
        for name in names
    }


def _render_file(name: str, tool: str, environment: str, suffix: str) -> str:
    repository, _, commit = tool.partition("@")
    head, inputs = _TRIGGERS[name], {input_name: _input_expression(input_name) for input_name in _INPUTS[name]}
    if suffix:
        head = _ENVIRONMENT_INPUT.sub("", head)
        variables = {key: variable_name(variable, environment) for key, variable in _ROLE_INPUTS[name].items()}
        inputs |= {key: f"vars.{variable}" for key, variable in variables.items()}
    permissions = ", ".join(f"{scope}: {level}" for scope, level in REQUIRED_PERMISSIONS[name].items())
    return _WORKFLOW_TEMPLATE.format(
        title=f"{name}{suffix}",
        name=name,
        head=head,
        permissions=permissions,
        repository=repository,
        commit=commit,
        environment="${{ inputs.environment || 'prod' }}" if _ENVIRONMENT_INPUT.search(head) else environment,
        passed="".join(f"      {key}: ${{{{ {expression} }}}}\n" for key, expression in inputs.items()),
    )


def _input_expression(name: str) -> str:
    """Return the expression of an input; scheduled and push runs have no inputs, and a boolean needs a value."""
    return f"inputs.{name} || false" if name == "plan-only" else f"inputs.{name}"
