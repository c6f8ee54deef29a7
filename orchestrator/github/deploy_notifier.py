"""Connect a deploy or rollback to GitHub: its deployment, its approval by a pull request, and its result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from msgspec.structs import replace

from orchestrator.github import approval_policy, plan_status, review_evidence, run_starter
from orchestrator.github.approval_policy import ApprovalDecision
from orchestrator.github.review_evidence import PlanSource
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

HOW_TO_LIFT = "to accept the vetoed plan, run the workflow manually with `allow` set to {token}"


class DeployNotifier(Notifier):
    """Reports one run to GitHub.

    ``approved_digest`` is the digest of a plan that a person approved by starting the run, ``allow`` a token that lifts
    its vetoes; ``is_approved`` that whatever the run does is approved that way.
    """

    def __init__(
        self, github: GitHubNotifier, approved_digest: str = "", allow: str = "", *, is_approved: bool = False
    ) -> None:
        self._github = github
        self._approved_digest = approved_digest
        self._allow = allow
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
        declared = cast("ApprovalPolicy", manifest.project.spec["approval"])
        policy = approval_policy.effective_policy(declared, _released_approval(ledger))
        doubt = self._find_starter_doubt(ledger) if policy == "review" else ""
        if self._is_approved and not doubt:
            return True
        decision = (
            ApprovalDecision(False, f"{doubt}, and a token cannot replace an approval")
            if self._allow and doubt
            else self._decide(plan, ledger, (declared, policy), doubt)
        )
        settings.terminal.print_out(f"Approval: {decision.reason}.")
        for sentence in (*decision.unreviewed_changes, *decision.rejected_reviews):
            settings.terminal.print_err(f"  {sentence}")
        if not decision.is_approved:
            decision = replace(decision, needs_other_person=policy == "review")
            self._github.report_not_approved(f"{plan.project}/{plan.environment}", decision, plan.digest)
        return decision.is_approved

    def _decide(
        self, plan: Plan, ledger: Ledger, policies: tuple[ApprovalPolicy, ApprovalPolicy], doubt: str
    ) -> ApprovalDecision:
        """Decide by the reviews of merged pull requests; and by the starter of the run, if there is no ``doubt``."""
        declared, policy = policies
        is_required = policy != "none" and (bool(plan.pending_changes) or declared != policy)
        checks = self._check_reviews(ledger, needs_approval=policy == "review") if is_required else []
        reviewed = [check.plan for check in checks if check.plan is not None]
        if self._approved_digest and not doubt:
            reviewed.append(ReviewedPlan(self._approved_digest, approval=declared))
        decision = approval_policy.decide(plan, policy, reviewed, _released_handles(ledger), declared)
        if decision.is_approved:
            return decision
        rejections = (doubt, *(check.rejection for check in checks))
        return replace(decision, rejected_reviews=tuple(filter(None, rejections)))

    def _find_starter_doubt(self, ledger: Ledger) -> str:
        """Return why who started the run cannot approve its plan; empty if they can, or were not asked to."""
        github = self._github.github
        if github is None or not (self._is_approved or self._approved_digest or self._allow):
            return ""
        deployed = ledger.last_deploy
        base_commit = deployed.commit if deployed else ""
        return run_starter.find_doubt(github, self._github.run, base_commit, self._github.commit)

    @property
    def _plan_source(self) -> PlanSource:
        return PlanSource(self._github.run.default_branch, review_evidence.find_plan_workflows(Path.cwd()))

    def report_run(self, run: DeployRun) -> None:
        for sentence in run.held:
            self._github.warn(f"Pinned: {sentence}")
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
        return [
            review_evidence.check_review(
                github,
                pull_request,
                notifier.environment,
                notifier.marker,
                self._plan_source,
                needs_approval=needs_approval,
            )
            for pull_request in plan_status.list_pull_requests_since(github, base_commit, notifier.commit)
        ]


def _released_approval(ledger: Ledger) -> str:
    deployed = ledger.last_deploy
    return manifest_documents.read_approval(ledger.documents_of(deployed)) if deployed else ""


def _released_handles(ledger: Ledger) -> set[str]:
    """Return the handles of the components of the last complete release."""
    if ledger.last_complete is None:
        return set()
    return {manifest_documents.document_handle(document) for document in ledger.documents_of(ledger.last_complete)}
