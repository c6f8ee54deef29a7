"""Render workflows for a repository with several applications or environments: those that are concerned run, at once.

`changed.yml` of the orchestrator makes the matrix, and `gather.yml` one comment of all plans.  Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from orchestrator.scaffold import workflows

_WORKFLOW: Final = """\
name: {name}
{head}permissions: {{}}
jobs:
  changed:
    permissions: {{actions: read, contents: read}}
    uses: {repository}/.github/workflows/changed.yml@{commit}
{selected}  {name}:
    needs: changed
    if: needs.changed.outputs.count != '0'
    strategy:
      fail-fast: false
      matrix:
        target: ${{{{ fromJSON(needs.changed.outputs.targets) }}}}
    permissions: {{{permissions}}}
    uses: {repository}/.github/workflows/{name}.yml@{commit}
    with:
      environment: ${{{{ matrix.target.environment }}}}
      manifests: ${{{{ matrix.target.manifests }}}}
{passed}"""
_GATHER: Final = """\
  gather:
    needs: [changed, plan]
    if: ${{{{ !cancelled() && needs.changed.result == 'success' }}}}
    permissions: {{contents: read, pull-requests: write}}
    uses: {repository}/.github/workflows/gather.yml@{commit}
    with:
      targets: ${{{{ needs.changed.outputs.targets }}}}
"""
_EVERY: Final = "all"
"""The choice of every application, where a workflow can run all."""
_CHOSEN: Final = {"only": "inputs.environment", "application": "inputs.application"}
_CHOSEN_OR_EVERY: Final = {
    "only": "inputs.environment",
    "application": f"inputs.application != '{_EVERY}' && inputs.application || ''",
}
_SELECTED: Final[Mapping[str, Mapping[str, str]]] = {
    "plan": {},
    "deploy": _CHOSEN_OR_EVERY,
    "rollback": {**_CHOSEN, "list": "'all'", "single": "true"},
    "promote": {**_CHOSEN, "list": "'promoting'", "single": "github.event_name == 'workflow_dispatch'"},
    "drift": {
        **_CHOSEN_OR_EVERY,
        "list": "'all'",
        "single": "inputs.answer == 'accept' || inputs.answer == 'revert'",
    },
}
"""The inputs of `changed.yml` in each workflow.  A promotion by hand, a rollback and an answer to drift concern one."""
_DEPLOY_ROLE: Final = {"role": "deploy-role"}
_ROLES: Final[Mapping[str, Mapping[str, str]]] = {
    "plan": {"role": "plan-role"},
    "deploy": _DEPLOY_ROLE,
    "rollback": _DEPLOY_ROLE,
    "promote": _DEPLOY_ROLE,
    "drift": {"plan-role": "plan-role", "deploy-role": "deploy-role"},
}
"""The role inputs of each workflow, and where an entry of the matrix has their values."""
_RUNS_EVERY: Final = frozenset({"deploy", "drift"})


def render_files(
    tool: str, branch: str, folders: Iterable[str] = (), *, with_promotion: bool = False
) -> dict[str, str]:
    """Return the workflows by their path; ``tool`` is ``OWNER/NAME@COMMIT``, ``branch`` is deployed.

    ``folders`` of manifests are offered as choices.  ``with_promotion``: whether an environment gets the releases of
    another one.
    """
    names = [name for name in _SELECTED if name != "promote" or with_promotion]
    return {f".github/workflows/{name}.yml": _render(name, tool, branch, tuple(folders)) for name in names}


def _render(name: str, tool: str, branch: str, folders: tuple[str, ...]) -> str:
    repository, _, commit = tool.partition("@")
    passed = {input_name: f"matrix.target.{role}" for input_name, role in _ROLES[name].items()}
    if name == "plan":
        passed["sections"] = "fromJSON(needs.changed.outputs.count)"
    passed |= workflows.list_inputs(name)
    inputs = _format_choices(name, folders)
    template = _WORKFLOW + (_GATHER if name == "plan" else "")
    selected = _format_expressions(_SELECTED[name])
    return template.format(
        name=name,
        head=workflows.render_trigger(name, branch, inputs),
        repository=repository,
        commit=commit,
        permissions=workflows.format_permissions(name),
        selected=f"    with:\n{selected}" if selected else "",
        passed=_format_expressions(passed),
    )


def _format_choices(name: str, folders: tuple[str, ...]) -> str:
    """Return the inputs that choose an application and an environment, as lines of YAML."""
    runs_every = name in _RUNS_EVERY
    options = [*([_EVERY] if runs_every else []), *(workflows.quote(folder) for folder in folders)]
    kind = f"type: choice, options: [{', '.join(options)}]" if folders else "type: string"
    default = f", default: {_EVERY}" if runs_every else ""
    which = "every environment" + (" with changes" if name == "deploy" else "")
    described = f"Environment; the default is {which}" if runs_every else "Environment"
    return (
        f"      application: {{description: Folder of manifests, {kind}{default}}}\n"
        f"      environment: {{description: {described}, type: string{'' if runs_every else ', default: prod'}}}\n"
    )


def _format_expressions(expressions: Mapping[str, str]) -> str:
    return "".join(f"      {name}: ${{{{ {expression} }}}}\n" for name, expression in expressions.items())
