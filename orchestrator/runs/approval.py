"""Whether a plan may be carried out now: it is what was reviewed, nothing vetoes it, and somebody said yes."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.problems import Problems
from orchestrator.render import plan_differences
from orchestrator.render.plan_text import Detail
from orchestrator.runs.terminal import Terminal
from orchestrator.vocabulary import Plan


class Approval(Struct, frozen=True):
    """How a run was approved beforehand, if it was: a reviewed plan, its digest, or without looking."""

    reviewed: Plan | None = None
    expected: str = ""
    automatic: bool = False

    @property
    def has_been_seen(self) -> bool:
        """Whether somebody looked at this very plan before."""
        return bool(self.expected) or self.reviewed is not None

    def detail(self, *, verbose: bool) -> Detail:
        """How much of the plan is shown again before it is applied."""
        return "head" if self.has_been_seen else "full" if verbose else "brief"

    @property
    def is_given(self) -> bool:
        return self.automatic or self.has_been_seen

    def refuse_stale(self, fresh: Plan) -> None:
        """Raise Problems unless ``fresh`` does what was reviewed."""
        plan_differences.refuse(fresh, reviewed=self.reviewed, expected=self.expected)

    def obtain(self, terminal: Terminal, question: str, answer: str) -> None:
        """Raise Problems unless the approval is given, or a person types ``answer`` to ``question``."""
        if self.is_given:
            return
        if not terminal.interactive:
            raise Problems.one(
                "nobody approved this plan, and without a terminal nobody can be asked",
                hint="apply a reviewed plan.json, name its digest with --expect, or give --auto-approve",
            )
        if terminal.ask(question) != answer:
            raise Problems.one("not approved; nothing was done")
