"""Whether a plan may be carried out now: it is what was reviewed, nothing vetoes it, and somebody said yes."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.problems import Problems
from orchestrator.render import plan_differences
from orchestrator.render.plan_text import DetailLevel
from orchestrator.runs.terminal import Terminal
from orchestrator.vocabulary import Plan


class Approval(Struct, frozen=True):
    """How a run was approved beforehand, if it was: a reviewed plan, its digest, or without looking."""

    reviewed: Plan | None = None
    expected_digest: str = ""
    is_automatic: bool = False

    @property
    def was_reviewed(self) -> bool:
        """Whether somebody looked at this very plan before."""
        return bool(self.expected_digest) or self.reviewed is not None

    def detail(self, *, verbose: bool) -> DetailLevel:
        """How much of the plan is shown again before it is applied."""
        return "head" if self.was_reviewed else "full" if verbose else "brief"

    @property
    def is_approved(self) -> bool:
        return self.is_automatic or self.was_reviewed

    def refuse_stale(self, new_plan: Plan) -> None:
        """Raise Problems unless ``fresh`` does what was reviewed."""
        plan_differences.raise_if_stale(new_plan, reviewed=self.reviewed, reviewed_digest=self.expected_digest)

    def confirm(self, terminal: Terminal, question: str, expected_answer: str) -> None:
        """Raise Problems unless the approval is given, or a person types ``answer`` to ``question``."""
        if self.is_approved:
            return
        if not terminal.is_interactive:
            raise Problems.from_message(
                "nobody approved this plan, and without a terminal nobody can be asked",
                hint="apply a reviewed plan.json, name its digest with --expect, or give --auto-approve",
            )
        if terminal.prompt(question) != expected_answer:
            raise Problems.from_message("not approved; nothing was done")
