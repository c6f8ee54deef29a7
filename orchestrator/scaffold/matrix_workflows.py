"""Render workflows for a repository with several applications or environments: those with changes run, at once.  Pure.

`changed.yml` of the orchestrator makes the matrix, and `gather.yml` one comment of all plans.
"""

from __future__ import annotations

import json
import re
from typing import Final

from orchestrator.doctor.workflow_checks import CALLER_PERMISSIONS

_CHANGED: Final = """\
  changed:
    permissions: {{actions: read, contents: read}}
    uses: {repository}/.github/workflows/changed.yml@{commit}
"""
_MATRIX: Final = """\
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
"""
_PLAN: Final = (
    """\
name: plan
on: pull_request
permissions: {{}}
jobs:
"""
    + _CHANGED
    + "  plan:\n"
    + _MATRIX
    + """\
      role: ${{{{ matrix.target.plan-role }}}}
      sections: ${{{{ fromJSON(needs.changed.outputs.count) }}}}
  gather:
    needs: [changed, plan]
    if: ${{{{ !cancelled() && needs.changed.result == 'success' }}}}
    permissions: {{contents: read, pull-requests: write}}
    uses: {repository}/.github/workflows/gather.yml@{commit}
    with:
      targets: ${{{{ needs.changed.outputs.targets }}}}
"""
)
_DEPLOY: Final = (
    """\
name: deploy
on:
  push: {{branches: [{branch}]}}
  workflow_dispatch:
    inputs:
      environment: {{description: Environment to deploy; the default is every environment with changes, type: string}}
      digest: {{description: Digest of a plan to approve, type: string}}
      allow: {{description: Token that lifts the vetoes of one plan, type: string}}
      unpin: {{description: "Pinned parts to update: all, or a comma-separated list", type: string}}
permissions: {{}}
jobs:
"""
    + _CHANGED
    + """\
    with:
      only: ${{{{ inputs.environment }}}}
"""
    + "  deploy:\n"
    + _MATRIX
    + """\
      role: ${{{{ matrix.target.deploy-role }}}}
      digest: ${{{{ inputs.digest }}}}
      allow: ${{{{ inputs.allow }}}}
      unpin: ${{{{ inputs.unpin }}}}
"""
)


def render_files(tool: str, branch: str) -> dict[str, str]:
    """Return the two workflows by their path; ``tool`` is ``OWNER/NAME@COMMIT``, ``branch`` is deployed."""
    repository, _, commit = tool.partition("@")
    branch_text = json.dumps(branch) if re.search(r"[^\w./-]", branch) else branch
    return {
        f".github/workflows/{name}.yml": template.format(
            name=name,
            repository=repository,
            commit=commit,
            branch=branch_text,
            permissions=", ".join(f"{scope}: {level}" for scope, level in CALLER_PERMISSIONS[name].items()),
        )
        for name, template in (("plan", _PLAN), ("deploy", _DEPLOY))
    }
