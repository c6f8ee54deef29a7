"""Check that a plan is approved before it is applied: reviewed beforehand, or confirmed on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from orchestrator.problems import Problems
from orchestrator.render import plan_differences
from orchestrator.render.plan_text import DetailLevel
from orchestrator.runs import plan_output, reporter
from orchestrator.runs.terminal import Terminal
from orchestrator.vocabulary import Plan

if TYPE_CHECKING:
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.runs.settings import Settings
    from orchestrator.state.client.run_reporter import RunReporter


class Approval(Struct, frozen=True):
    """How a run is approved: by a reviewed plan, by its digest, automatically, or else on a terminal.

    ``shown_detail`` overrides how much of the plan is printed.
    """

    reviewed: Plan | None = None
    expected_digest: str = ""
    is_automatic: bool = False
    shown_detail: DetailLevel | None = None

    @property
    def was_reviewed(self) -> bool:
        """Whether exactly this plan was reviewed before the run."""
        return bool(self.expected_digest) or self.reviewed is not None

    @property
    def is_approved(self) -> bool:
        """Whether the run needs no confirmation."""
        return self.is_automatic or self.was_reviewed

    def detail(self, *, verbose: bool) -> DetailLevel:
        """Return how much of the plan is printed before it is applied."""
        return self.shown_detail or ("head" if self.was_reviewed else "full" if verbose else "brief")

    def is_for(self, plan: Plan) -> bool:
        """Return whether exactly ``plan`` was reviewed."""
        return plan.digest in {self.expected_digest, self.reviewed.digest if self.reviewed else ""}

    def refuse_stale(self, new_plan: Plan) -> None:
        """Raise Problems unless ``new_plan`` does what was reviewed."""
        plan_differences.raise_if_stale(new_plan, reviewed=self.reviewed, reviewed_digest=self.expected_digest)

    def confirm(self, terminal: Terminal, question: str, expected_answer: str) -> None:
        """Raise Problems unless the plan is approved, or the user answers ``question`` with ``expected_answer``."""
        if self.is_approved:
            return
        if not terminal.is_interactive:
            raise Problems.from_message(
                "this plan is not approved, and there is no terminal to confirm it",
                hint="apply a reviewed plan.json, pass its digest to --expect, or pass --auto-approve",
            )
        if terminal.prompt(question) != expected_answer:
            raise Problems.from_message("not approved; nothing was changed")


def review_plan(planned: PreparedPlan, settings: Settings, record: RunReporter, approval: Approval) -> bool:
    """Record and print ``planned``, and return whether it may be applied: False if it is vetoed.

    Raises Problems if it is not the reviewed plan.
    """
    reporter.record_chosen_plan(record, planned)
    with reporter.record_refusal(record):
        approval.refuse_stale(planned.plan)
    plan_output.print_plan(settings.terminal, planned, approval.detail(verbose=settings.verbose))
    if planned.plan.is_vetoed:
        reporter.record_veto(record, planned.plan)
    return not planned.plan.is_vetoed
