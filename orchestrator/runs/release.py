"""Deploying and going back in front of somebody: progress, and the report at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator.problems import Exit, Problem, Problems
from orchestrator.render import apply_report
from orchestrator.runs import apply, lock, plan_output, reporter
from orchestrator.runs.approval import Approval
from orchestrator.runs.settings import Settings
from orchestrator.state.client.run_reporter import Record

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.manifest.check import Manifest
    from orchestrator.planning.events import Event
    from orchestrator.planning.plan import Planned
    from orchestrator.release.deploy import Deployment, Ended, OnFailure
    from orchestrator.release.ledger_store import Store
    from orchestrator.release.rollback import Return
    from orchestrator.render.deploy_view import Ending
    from orchestrator.state.protocol.records import Verb

INTERRUPTED = apply.INTERRUPTED
CODES = {"released": Exit.OK, "unchanged": Exit.OK, "failed": Exit.FAILED, "returned": Exit.ROLLED_BACK}


class Performed(Struct, frozen=True):
    """How a run ended: its exit code, and what it came to unless it was interrupted."""

    code: int
    ended: Ended | None = None
    ending: Ending | None = None


class Desk(Struct, frozen=True):
    """What a deploy and a rollback are begun with; ``record`` is told while one of them is ``writing``."""

    settings: Settings
    manifest: Manifest
    clients: Clients
    store: Store
    approval: Approval
    record: Record = field(default_factory=Record)

    def build_sites(self) -> None:
        """Run the build command of every site that has one.

        Raises Problems.
        """
        from orchestrator.artefacts.sites import build
        from orchestrator.manifest import expand

        for component in expand.stack_of(self.manifest).components.values():
            if (component.spec.get("spa") or {}).get("build"):
                self.settings.terminal.say(f"Building the site of {component.handle} ...")
                build.build(component)

    @contextmanager
    def writing(self, verb: Verb, how: reporter.How) -> Iterator[Desk]:
        """Be the only one who writes, for the length of a ``with`` block: the desk for that.

        Waits as ``how`` says.  Raises Problems when somebody else writes or the state service is needed and away, and
        Superseded when a newer run makes this one needless.
        """
        with lock.taken(self.settings, self.manifest.scope, verb, how, self.clients, self.store) as turn:
            yield replace(self, clients=turn.clients, store=self.store.through(turn.clients), record=turn.record)

    def show(self, planned: Planned) -> bool:
        """Show a plan; whether it may be carried out.

        Raises Problems when it is not what was reviewed.
        """
        reporter.choose(self.record, planned)
        with reporter.agreeing(self.record):
            self.approval.refuse_stale(planned.plan)
        plan_output.to(self.settings.terminal, planned, self.approval.detail(verbose=self.settings.verbose))
        if planned.plan.is_vetoed:
            reporter.vetoed(self.record, planned.plan)
        return not planned.plan.is_vetoed

    def obtain(self, planned: Planned, deed: str) -> None:
        """Have somebody agree to ``deed``, unless it was agreed to, or nothing is to change.

        Raises Problems when nobody does.
        """
        plan = planned.plan
        if plan.pending:
            place = f"{plan.project}/{plan.environment} in account {plan.account}"
            question = f"{deed}: {len(plan.pending)} changes to {place}? Only 'yes' is accepted:"
            with reporter.agreeing(self.record):
                self.approval.obtain(self.settings.terminal, question, "yes")

    def carry_out(
        self, planned: Planned, work: Callable[[Deployment, OnFailure], Ended], parallelism: int, again: str
    ) -> int:
        """Do ``work``, show how it goes and how it ended; the exit code.  ``again`` is how to go on."""
        return self.perform(planned, work, parallelism, again).code

    def perform(
        self, planned: Planned, work: Callable[[Deployment, OnFailure], Ended], parallelism: int, again: str
    ) -> Performed:
        """As ``carry_out``, with how it ended for whoever else has to be told."""
        from orchestrator.planning.apply import InterruptedApplyError
        from orchestrator.release import ledger_entry
        from orchestrator.release.deploy import Deployment
        from orchestrator.render import deploy_view

        settings, began = self.settings, time.monotonic()
        with apply.display(planned, settings) as shown:

            def tell(event: Event) -> None:
                self.record.event(event)
                shown(event)

            origin = ledger_entry.origin(settings.manifests)
            run = Deployment(self.store, origin, self.clients, tell, parallelism=parallelism)
            try:
                ended = work(run, lambda cause: _failing(settings, cause))
            except InterruptedApplyError as stop:
                reporter.applied(self.record, stop.outcomes, again, interrupted=True)
                return Performed(_interrupted(stop.outcomes, settings, time.monotonic() - began, again))
        seen = deploy_view.view(ended, time.monotonic() - began, again=again, look=settings.command("releases"))
        settings.terminal.say("\n" + deploy_view.text(seen, settings.terminal.style))
        self._told(ended, seen)
        return Performed(CODES[ended.end], ended, seen)

    def _told(self, done: Ended, ending: Ending) -> None:
        """Tell the service how it ended, and the releases as they stand now."""
        record = self.record
        if record.run is None:
            return
        from orchestrator.aws import Reader
        from orchestrator.render import drift
        from orchestrator.state.client import payloads, release_payloads

        end, run, after = payloads.released(done, ending), record.run, (done.back or done.shipped).after
        record.conclude(end)
        if after is not None:
            record.looked(payloads.drift(drift.view(after.plan), run.environment, run.by, run.commit))

        def tell() -> None:
            ledger, reader = self.store.read(), Reader(self.clients)
            record.shipped(release_payloads.told(ledger, run.environment, run.id, end.release or 0, self.store, reader))

        reporter.quietly(self.settings, "the releases", tell)


def desk(settings: Settings, expect: str = "", *, auto_approve: bool = False, clients: Clients | None = None) -> Desk:
    """Check the manifests and find the release bucket; ``clients`` that are there already save making new ones.

    Raises Problems.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout

    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = clients or Clients(manifest.scope.region)
    approval = Approval(None, expect, auto_approve)
    return Desk(settings, manifest, clients, checkout.demand(manifest, clients), approval)


def way(desk: Desk, number: int | None, only: str, *, keeping: bool) -> Return:
    """The rollback to release ``number``, or to the last good one; ``only`` has parts, comma-separated.

    A model that was uploaded since the last release is left as well; ``keeping`` writes down by what it can come again.

    Raises Problems when there is no such release, or it cannot come back.
    """
    from orchestrator.aws import Reader
    from orchestrator.model_registry import model_rollback
    from orchestrator.release import restorability, rollback

    words = [word.strip() for word in only.split(",") if word.strip()]
    ledger, now = desk.store.read(), model_rollback.pointers(desk.manifest, desk.clients)
    standing = model_rollback.seen(ledger, now)
    if number is None and words and model_rollback.are_all(words) and ledger.standing is not None:
        target = model_rollback.before(ledger, now)
    else:
        target = rollback.choose(ledger if number is not None else standing, number)
    if found := restorability.obstacles(ledger, target, desk.store, Reader(desk.clients)):
        hint = f"see what can come back: {desk.settings.command('releases')}"
        raise Problems([Problem(f"release {target.number} cannot come back: {why}", hint=hint) for why in found])
    if keeping:
        model_rollback.keep(now, desk.store)
    return rollback.prepare(standing, target, words, desk.store)


def heading(way: Return) -> str:
    """What a rollback is about, in a line."""
    target = way.target
    parts = "all of it" if way.whole else f"{', '.join(sorted(way.parts))} of it"
    return f"Back to release {target.number} of {target.at} ({parts}), from release {way.standing.number}."


def _failing(settings: Settings, cause: str) -> None:
    """Tell the first sentence of a cause, before anything is done about it; a table shows it in its own place."""
    if not settings.terminal.live:
        settings.terminal.tell(f"It failed: {cause.partition('. ')[0].rstrip('.')}.")


def _interrupted(outcomes: tuple[object, ...], settings: Settings, seconds: float, again: str) -> int:
    seen = apply_report.view(outcomes, seconds, again, settings.command("plan"))  # type: ignore[arg-type]
    settings.terminal.say("\n" + apply_report.text(seen, settings.terminal.style))
    return apply.INTERRUPTED
