"""Check a set-up, on a laptop or a runner, and report every missing thing with its fix.

Only reads, and stops at its deadline: what has not answered by then is *not checked*.  May import everything below
``cli``.
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
    "git": "The manifests are in the git repository that the Project names.",
    "manifests": "The manifests are valid.",
    "workflows": "The workflows exist, are pinned, and have the permissions they need.",
    "builder": "The programs that build images and sites are installed.",
    "aws": "The credentials work and belong to the Project's account and region.",
    "github": "The repository exists, with its variables and its environment.",
    "roles": "The OIDC provider, roles, trust policies and permissions match what `bootstrap github` creates.",
    "permissions": "The credentials can read everything that a plan reads.",
    "releases": "The release bucket exists and can be read.",
    "state": "The state service responds, if one is configured.",
}
"""Every check and what it verifies, in the order of the report."""

ACCOUNT_CHECKS: Final = {
    "account": "The account's AWS plan (Free or Paid) allows what the manifests need.",
    "linked roles": "The service-linked roles exist, or are created by the first apply.",
    "database": "RDS offers the class, version and storage of each database in the region.",
    "quotas": "The resources that a plan creates fit into the account's quotas.",
    "deploy role": "The IAM policy simulator confirms that the deploy role has all required permissions.",
}
"""The further checks of `doctor --account`: what AWS allows this account, before anything is created."""


class Finding(Struct, frozen=True):
    """The result of one check: what is the case, and the ``fix`` if something is missing."""

    check: str
    state: FindingState
    message: str
    fix: str = ""
    where: Position | None = None


class DoctorContext(Struct, frozen=True):
    """What to check.  ``command_for`` returns the command line of a verb for the same manifests and environment."""

    folder: Path
    environment: str | None
    environ: Mapping[str, str]
    command_for: Callable[..., str]
    make_clients: Callable[[str], Clients]
    make_github: Callable[[str], GitHub]
    manifest: Manifest | None = field(default=None)


def findings_from_problems(check: str, error: Problems) -> list[Finding]:
    """Return a ``missing`` finding for each problem."""
    return [Finding(check, "missing", problem.message, problem.hint or "", problem.where) for problem in error.problems]


def not_checked_finding(check: str, reason: str, fix: str = "") -> Finding:
    """Return a finding for a check that could not run."""
    return Finding(check, "not checked", reason, fix)
