"""What a set-up lacks, from laptop or runner: each missing thing with its fix, all at once.

It only reads, and it never waits longer than it was told to: what does not answer is *not checked*.  May know:
everything below ``cli``.  May not: change anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct, field

from orchestrator.problems import Position, Problems

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.github.client import GitHub
    from orchestrator.manifest.check import Manifest

FindingState = Literal["ok", "missing", "not checked"]

CHECKS: Final = {
    "git": "The manifests lie in a repository, which is the Project's.",
    "manifests": "They are valid.",
    "workflows": "They are there, pinned, and allowed what they need.",
    "builder": "What builds images and sites is there.",
    "aws": "Credentials work, in the Project's account and region.",
    "github": "The repository is there, with its variables and its environment.",
    "roles": "OIDC provider, roles, trust and policies are as `bootstrap github` makes them.",
    "permissions": "All may be read that a plan reads.",
    "releases": "The bucket for releases is there and can be read.",
    "state": "The state service answers, if one is named.",
}
"""In the order in which they are told."""


class Finding(Struct, frozen=True):
    """One thing that was looked at: what is so, and the ``fix`` where it should not be so."""

    check: str
    state: FindingState
    message: str
    fix: str = ""
    where: Position | None = None


class DoctorContext(Struct, frozen=True):
    """What is examined.  ``again`` is the command line of a verb for the same manifests and environment."""

    folder: Path
    environment: str | None
    environ: Mapping[str, str]
    command_for: Callable[..., str]
    make_clients: Callable[[str], Clients]
    make_github: Callable[[str], GitHub]
    manifest: Manifest | None = field(default=None)


def findings_from_problems(check: str, error: Problems) -> list[Finding]:
    """Every problem as a finding."""
    return [Finding(check, "missing", problem.message, problem.hint or "", problem.where) for problem in error.problems]


def not_checked_finding(check: str, reason: str, fix: str = "") -> Finding:
    """Nobody could look."""
    return Finding(check, "not checked", reason, fix)
