"""Results of deploys and rollbacks, and their exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from orchestrator.problems import ExitCode, Problem, Problems

if TYPE_CHECKING:
    from orchestrator.release.deploy import DeployResult
    from orchestrator.render.deploy_view import DeployView
    from orchestrator.vocabulary import Plan

EXIT_CODES = {
    "released": ExitCode.OK,
    "unchanged": ExitCode.OK,
    "failed": ExitCode.FAILED,
    "returned": ExitCode.ROLLED_BACK,
}
"""Exit codes by ``DeployResult.status``."""


class DeployRun(Struct, frozen=True):
    """Result of a run that deploys or rolls back.

    ``plan`` is None if the run stopped before planning; ``result`` and ``view`` are None if nothing was applied, or the
    run was interrupted.
    """

    exit_code: int
    plan: Plan | None = None
    result: DeployResult | None = None
    view: DeployView | None = None

    @property
    def held(self) -> tuple[str, ...]:
        """Sentences about the parts of the commit that pins hold back."""
        return self.view.held if self.view else ()

    @property
    def terminal_exit_code(self) -> int:
        """The exit code outside of workflows: ``PINNED`` if the deploy is done, but leaves out parts of the commit.

        In a workflow such a run succeeds, with a warning: a failed one would stop the promotions that wait for it.
        """
        return ExitCode.PINNED if self.exit_code == ExitCode.OK and self.held else self.exit_code

    @property
    def environment(self) -> str:
        """``PROJECT/ENVIRONMENT``, or "" without a plan."""
        return f"{self.plan.project}/{self.plan.environment}" if self.plan else ""


def veto_problems(plan: Plan, lift_hint: str) -> Problems:
    """Return every veto of ``plan`` as a problem.

    ``lift_hint`` is the hint if the plan's token lifts all of them; it contains ``{token}``.
    """
    vetoes = [("", veto) for veto in plan.vetoes]
    vetoes += [(f"{change.address}: ", veto) for change in plan.changes for veto in change.vetoes]
    is_liftable = all(veto.token_lifts for _, veto in vetoes)
    hint = lift_hint.format(token=plan.token) if is_liftable else None
    problems = [Problem(f"{address}{veto.sentence} ({veto.name})", hint=hint) for address, veto in vetoes]
    return Problems(problems, ExitCode.VETOED)
