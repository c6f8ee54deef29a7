"""Connect a deploy or rollback to GitHub: its deployment, its approval by a pull request, and its result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from msgspec.structs import replace

from orchestrator.github import approval_policy, plan_status, review_evidence
from orchestrator.github.reviewed_plan import ReviewedPlan
from orchestrator.problems import ExitCode, Problems
from orchestrator.release import manifest_documents
from orchestrator.release.promotion import NothingToPromoteError
from orchestrator.runs.notifier import Notifier
from orchestrator.runs.result import DeployRun, veto_problems

if TYPE_CHECKING:
    from orchestrator.github.approval_policy import ApprovalPolicy
    from orchestrator.github.notifications import GitHubNotifier
    from orchestrator.github.review_evidence import ReviewCheck
    from orchestrator.manifest.check import Manifest
    from orchestrator.release import Ledger
    from orchestrator.runs.settings import Settings
    from orchestrator.vocabulary import Plan

HOW_TO_LIFT = "to accept it, run the workflow by hand with `allow` {token}"


class DeployNotifier(Notifier):
    """Reports one run to GitHub.

    ``approved_digest`` is the digest of a plan that a person approved by starting the run; ``is_approved`` that
    whatever the run does is approved that way.
    """

    def __init__(self, github: GitHubNotifier, approved_digest: str = "", *, is_approved: bool = False) -> None:
        self._github = github
        self._approved_digest = approved_digest
        self._is_approved = is_approved

    @property
    def allows_uncommitted_changes(self) -> bool:
        """A workflow deploys what was merged, and nothing else."""
        return False

    def carry_out(self, settings: Settings, operation: Callable[[], DeployRun], command: str) -> DeployRun:
        """Run ``operation``, and report whatever stops it before raising it; ``command`` is what to run next.

        An environment that waits for its first promotion has nothing to deploy, which is no failure.  Raises Problems,
        also if the plan is vetoed.
        """
        try:
            run = operation()
            if run.exit_code == ExitCode.VETOED and run.plan is not None:
                raise veto_problems(run.plan, HOW_TO_LIFT)
            return run
        except NothingToPromoteError as error:
            self._github.report_waiting(error.problems)
            settings.terminal.print_out(f"{error.problems[0].message}. {error.problems[0].hint or ''}".rstrip())
            return DeployRun(ExitCode.OK)
        except Problems as error:
            self._github.report_failure(error.problems, settings.command_line(command))
            raise
        except BaseException:
            self._github.report_interrupted()
            raise

    @property
    def commit_of_newer_run(self) -> str:
        return self._github.run.sha if self._github.has_newer_commit else ""

    def find_merged_pull_request(self) -> int | None:
        return self._github.find_merged_pull_request()

    def start_deployment(self, description: str) -> None:
        self._github.start_deployment(description)

    def is_plan_approved(self, settings: Settings, manifest: Manifest, plan: Plan, ledger: Ledger) -> bool:
        if self._is_approved:
            return True
        policy = cast("ApprovalPolicy", manifest.project.spec["approval"])
        is_required = policy != "none" and bool(plan.pending_changes)
        checks = self._check_reviews(ledger, needs_approval=policy == "review") if is_required else []
        reviewed = [ReviewedPlan(self._approved_digest)] if self._approved_digest else []
        reviewed += [check.plan for check in checks if check.plan is not None]
        decision = approval_policy.decide(plan, policy, reviewed, _released_handles(ledger))
        if not decision.is_approved:
            rejections = tuple(check.rejection for check in checks if check.rejection)
            decision = replace(decision, rejected_reviews=rejections)
        settings.terminal.print_out(f"Approval: {decision.reason}.")
        for sentence in (*decision.unreviewed_changes, *decision.rejected_reviews):
            settings.terminal.print_err(f"  {sentence}")
        if not decision.is_approved:
            self._github.report_not_approved(f"{plan.project}/{plan.environment}", decision, plan.digest)
        return decision.is_approved

    def report_run(self, run: DeployRun) -> None:
        if run.result and run.view:
            self._github.report_result(run.environment, run.view, run.result)
        else:
            self._github.report_interrupted()

    def report_already_current(self, release_number: int) -> None:
        self._github.report_already_current(release_number)

    def report_superseded(self, superseding_run: str) -> None:
        self._github.report_superseded(superseding_run)

    def _check_reviews(self, ledger: Ledger, *, needs_approval: bool) -> list[ReviewCheck]:
        """Check the plans of the pull requests merged since the last complete release, and their approvals."""
        notifier = self._github
        github = notifier.github
        if github is None:
            return []
        base_commit = ledger.last_complete.commit if ledger.last_complete else ""
        source = review_evidence.PlanSource(
            notifier.run.default_branch, review_evidence.find_plan_workflows(Path.cwd())
        )
        return [
            review_evidence.check_review(
                github, pull_request, notifier.environment, notifier.marker, source, needs_approval=needs_approval
            )
            for pull_request in plan_status.list_pull_requests_since(github, base_commit, notifier.commit)
        ]


def _released_handles(ledger: Ledger) -> set[str]:
    """Return the handles of the components of the last complete release."""
    if ledger.last_complete is None:
        return set()
    return {manifest_documents.document_handle(document) for document in ledger.documents_of(ledger.last_complete)}
