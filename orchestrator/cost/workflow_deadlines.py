"""List the dates on which GitHub stops running the actions of a repository's workflows.

GitHub runs an action with the Node.js version that its release names, and removes old versions from the runners.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

from orchestrator.cost.deadlines import Deadline

NODE_20_REMOVED = date(2026, 9, 16)
"""Source: what runners printed in 2026 below each action on Node.js 20, and GitHub's changelog of 2025-09-19."""

FIRST_ON_NODE_24: Mapping[str, tuple[int, ...]] = {
    "actions/attest": (3,),
    "actions/cache": (5,),
    "actions/checkout": (5,),
    "actions/deploy-pages": (5,),
    "actions/download-artifact": (7,),
    "actions/github-script": (8,),
    "actions/setup-dotnet": (5,),
    "actions/setup-go": (6, 2),
    "actions/setup-java": (5,),
    "actions/setup-node": (5,),
    "actions/setup-python": (6,),
    "actions/upload-artifact": (6,),
    "astral-sh/setup-uv": (7,),
    "aws-actions/amazon-ecr-login": (2, 0, 2),
    "aws-actions/configure-aws-credentials": (6,),
    "docker/build-push-action": (7,),
    "docker/login-action": (4,),
    "docker/setup-buildx-action": (4,),
}
"""First release of each action with ``runs.using: node24``.  Source: action.yml at the releases' tags, read 2026-11."""

_SOURCE = "GitHub changelog: Deprecation of Node 20 on GitHub Actions runners"
_USES = re.compile(
    r"""^[ \t]*(?:-[ \t]+)?uses:[ \t]*["']?(?P<action>[\w.-]+/[\w.-]+)(?:/[\w./-]+)?@"""
    r"""(?:(?P<tag>v\d[\w.]*)|(?P<commit>[0-9a-f]{40})["']?[ \t]+\#[ \t]*(?P<release>v\d[\w.]*))""",
    re.MULTILINE,
)


def list_workflow_deadlines(root: Path | None) -> list[Deadline]:
    """Return one deadline for each workflow file below ``root`` that uses an action on Node.js 20.

    The version of an action that is pinned to a commit is that of the comment behind it; without one it is unknown,
    and so is that of a branch.  A file that cannot be read has none, nor has a folder outside of a repository (None).
    """
    if root is None:
        return []
    file_deadlines = []
    for path in sorted((root / ".github" / "workflows").glob("*.y*ml")):
        outdated = list(_list_outdated(_read(path)))
        if outdated:
            effect = f"GitHub removes Node.js 20 from its runners; use {', '.join(outdated)}"
            file_deadlines.append(Deadline(NODE_20_REMOVED, str(path.relative_to(root)), effect, _SOURCE))
    return file_deadlines


def _list_outdated(text: str) -> Iterator[str]:
    """Yield the replacement of each action on Node.js 20, each once."""
    uses = {(match["action"].lower(), match["tag"] or match["release"]) for match in _USES.finditer(text)}
    for action, release in sorted(uses):
        first = FIRST_ON_NODE_24.get(action)
        if first is not None and _parse_release(release) < first:
            yield f"`{action}@v{'.'.join(map(str, first))}` or later instead of {release}"


def _parse_release(release: str) -> tuple[float, ...]:
    """Return a release's numbers; a tag such as ``v4`` moves to the newest release of its major version."""
    numbers: list[float] = [int(number) for number in re.findall(r"\d+", release)]
    return (*numbers, *[math.inf] * (3 - len(numbers)))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
