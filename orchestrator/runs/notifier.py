"""The interface through which a deploy or rollback reports to a service such as GitHub; by default to none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.manifest.check import Manifest
    from orchestrator.release import Ledger
    from orchestrator.runs.result import DeployRun
    from orchestrator.runs.settings import Settings
    from orchestrator.vocabulary import Plan


class Notifier:
    """Receives what happens in a run, and decides whether its plan is approved.  This one approves all."""

    @property
    def commit_of_newer_run(self) -> str:
        """The commit of this run, if the branch has a newer one that another run deploys; else ""."""
        return ""

    @property
    def allows_uncommitted_changes(self) -> bool:
        """Whether a checkout may be deployed with changes that are in no commit."""
        return True

    def find_merged_pull_request(self) -> int | None:
        """Return the number of the pull request that merged the commit, or None."""
        return None

    def start_deployment(self, description: str) -> None:
        """Announce that a deployment starts."""

    def is_plan_approved(self, settings: Settings, manifest: Manifest, plan: Plan, ledger: Ledger) -> bool:
        """Return whether ``plan`` may be applied; print the reason."""
        return True

    def report_run(self, run: DeployRun) -> None:
        """Announce the result of a run that was carried out or interrupted."""

    def report_already_current(self, release_number: int) -> None:
        """Announce that a rollback did nothing, because the environment already has that release."""

    def report_superseded(self, superseding_run: str) -> None:
        """Announce that another run deploys a newer commit and this one did nothing."""
