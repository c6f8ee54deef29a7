"""Render the workflows of a project, which call the orchestrator's workflows of the same name.  Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from orchestrator.bootstrap.github_settings import DEPLOY_ROLE_VARIABLE, PLAN_ROLE_VARIABLE, variable_name
from orchestrator.doctor.workflow_checks import CALLER_PERMISSIONS, REQUIRED_PERMISSIONS
from orchestrator.manifest.overlay import DEFAULT_NAME
from orchestrator.scaffold.questions import find_production

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
      unpin: {description: "Pinned parts to update: all, or a comma-separated list", type: string}
""",
    "rollback": """\
on:
  workflow_dispatch:
    inputs:
      environment: {description: Environment to roll back, type: string, default: prod}
      release: {description: Number of the release; the default is the last healthy one, type: string}
      parts: {description: "Parts to roll back, comma-separated; the default is all", type: string}
      reason: {description: Reason for the rollback, type: string}
      allow: {description: Token that lifts the vetoes of one plan, type: string}
      plan-only: {description: Whether to only show the plan, type: boolean, default: false}
      unlock: {description: Whether to release the lock of a stuck run first, type: boolean, default: false}
""",
    "promote": """\
on:
  schedule: [{cron: "17 5-19/2 * * 1-5"}]
  workflow_dispatch:
    inputs:
      environment: {description: Environment to promote to, type: string, default: prod}
      source: {description: Environment to promote from, type: string}
      release: {description: Number of the release to promote; the default is the newest eligible release, type: string}
      skip-soak: {description: Whether to skip the soak time, type: boolean, default: false}
      allow: {description: Token that lifts the vetoes of one plan, type: string}
""",
    "drift": """\
on:
  schedule: [{cron: "23 5 * * *"}]
  workflow_dispatch:
    inputs:
      answer: {description: What to do about drift, type: choice, options: [report, accept, revert], default: report}
      targets: {description: "For accept: all, or a list of addresses or components", type: string, default: all}
      allow: {description: "For revert: token that lifts the vetoes of one plan", type: string}
""",
}
_BRANCH: Final = "{{branch}}"
DEFAULT_BRANCH: Final = "main"
ROLLBACK_FILE: Final = ".github/workflows/rollback.yml"
PROMOTE_FILE: Final = ".github/workflows/promote.yml"
_ENVIRONMENT_INPUT: Final = re.compile(r"^ +environment: \{.*\n", re.MULTILINE)
_INPUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "plan": (),
    "deploy": ("digest", "allow", "unpin"),
    "rollback": ("release", "parts", "reason", "allow", "plan-only", "unlock"),
    "promote": ("source", "release", "skip-soak", "allow"),
    "drift": ("answer", "targets", "allow"),
}
_FLAGS: Final = frozenset({"plan-only", "skip-soak"})
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
_PROMOTE_JOB: Final = """\
  promote:
    needs: deploy
    if: needs.deploy.outputs.result == 'released'
    permissions: {{{permissions}}}
    uses: {repository}/.github/workflows/promote.yml@{commit}
    with:
      environment: {environment}
{passed}"""
"""A job after the deploy of an environment: what it has proved goes on, if it needs no soak time."""


def render_all(
    tool: str, environments: tuple[str, ...], branch: str, promotion: tuple[str, str] | None = None
) -> dict[str, str]:
    """Return the workflows of all environments; one `rollback.yml` takes the environment as an input.

    ``promotion``: the environments that releases are promoted from and to, or None.
    """
    texts: dict[str, str] = {}
    for environment in environments:
        target = promotion[1] if promotion and promotion[0] == environment else ""
        texts |= render_files(tool, environment, branch, target)
    return {**texts, **render_shared(tool, environments, promotion)}


def render_shared(tool: str, environments: tuple[str, ...], promotion: tuple[str, str] | None = None) -> dict[str, str]:
    """Return the workflows that take the environment as an input."""
    texts = {ROLLBACK_FILE: _render_for_all("rollback", tool, find_production(environments), environments)}
    if promotion is not None:
        source, target = promotion
        text = _render_for_all("promote", tool, target, environments)
        texts[PROMOTE_FILE] = text.replace("it, type: string}", f"it, type: string, default: {source}}}", 1)
    return texts


def _render_for_all(name: str, tool: str, default: str, environments: tuple[str, ...]) -> str:
    """Return a workflow whose environment is an input, with the role of each environment that has no secrets' place."""
    text = _render_file(name, tool, DEFAULT_NAME, "")
    text = text.replace("default: prod", f"default: {default}").replace("|| 'prod'", f"|| '{default}'")
    if roles := _role_expression(environments, default):
        text += f"      role: ${{{{ {roles} }}}}\n"
    return text


def _role_expression(environments: tuple[str, ...], default: str) -> str:
    """Return the expression of the deploy role, for repositories whose roles are in no environment."""
    alternatives = [
        f"(inputs.environment || '{default}') == '{name}' && vars.{variable_name(DEPLOY_ROLE_VARIABLE, name)}"
        for name in environments
        if name != DEFAULT_NAME
    ]
    return " || ".join([*alternatives, "''"]) if alternatives else ""


def render_files(
    tool: str, environment: str = DEFAULT_NAME, branch: str = DEFAULT_BRANCH, promoted_to: str = ""
) -> dict[str, str]:
    """Return the workflows by their path in the repository; ``tool`` is ``OWNER/NAME@COMMIT``, ``branch`` is deployed.

    An environment other than ``prod`` has files of its own, but for rollbacks: that workflow takes the environment.
    ``promoted_to`` is the environment that gets what this one has proved, or "".
    """
    names = REQUIRED_PERMISSIONS if environment == DEFAULT_NAME else _ROLE_INPUTS
    suffix = "" if environment == DEFAULT_NAME else f"-{environment}"
    texts = {
        f".github/workflows/{name}{suffix}.yml": _render_file(name, tool, environment, suffix).replace(
            _BRANCH, quote(branch)
        )
        for name in names
    }
    if promoted_to:
        texts[f".github/workflows/deploy{suffix}.yml"] += _render_promote_job(tool, promoted_to)
    return texts


def _render_promote_job(tool: str, environment: str) -> str:
    repository, _, commit = tool.partition("@")
    role = "" if environment == DEFAULT_NAME else variable_name(DEPLOY_ROLE_VARIABLE, environment)
    return _PROMOTE_JOB.format(
        permissions=format_permissions("promote"),
        repository=repository,
        commit=commit,
        environment=environment,
        passed=f"      role: ${{{{ vars.{role} }}}}\n" if role else "",
    )


def render_trigger(name: str, branch: str, choices: str) -> str:
    """Return the events that start a workflow; ``choices``, lines of YAML, replace its input ``environment``."""
    head = _ENVIRONMENT_INPUT.sub("", _TRIGGERS[name]).replace(_BRANCH, quote(branch))
    return head.replace("    inputs:\n", f"    inputs:\n{choices}")


def list_inputs(name: str) -> dict[str, str]:
    """Return the expression of each input that a workflow passes on."""
    return {input_name: _input_expression(input_name) for input_name in _INPUTS[name]}


def quote(text: str) -> str:
    """Return a text as a YAML scalar that also fits into a list in one line."""
    return json.dumps(text) if re.search(r"[^\w./-]", text) else text


def format_permissions(name: str) -> str:
    """Return the permissions that a caller of a workflow grants, as the inside of a YAML mapping."""
    return ", ".join(f"{scope}: {level}" for scope, level in CALLER_PERMISSIONS[name].items())


def _render_file(name: str, tool: str, environment: str, suffix: str) -> str:
    repository, _, commit = tool.partition("@")
    head, inputs = _TRIGGERS[name], list_inputs(name)
    if suffix:
        head = _ENVIRONMENT_INPUT.sub("", head)
        variables = {key: variable_name(variable, environment) for key, variable in _ROLE_INPUTS[name].items()}
        inputs |= {key: f"vars.{variable}" for key, variable in variables.items()}
    return _WORKFLOW_TEMPLATE.format(
        title=f"{name}{suffix}",
        name=name,
        head=head,
        permissions=format_permissions(name),
        repository=repository,
        commit=commit,
        environment="${{ inputs.environment || 'prod' }}" if _ENVIRONMENT_INPUT.search(head) else environment,
        passed="".join(f"      {key}: ${{{{ {expression} }}}}\n" for key, expression in inputs.items()),
    )


def _input_expression(name: str) -> str:
    """Return the expression of an input; scheduled and push runs have no inputs, and a boolean needs a value."""
    return f"inputs.{name} || false" if name in _FLAGS else f"inputs.{name}"
