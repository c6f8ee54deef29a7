"""Hibernate an environment, wake it, or do what its schedule says now: lock, plan, show, ask, apply, report."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.problems import ExitCode, Problems
from orchestrator.runs.apply import ApplyOptions, review_and_apply
from orchestrator.runs.lock import write_lock
from orchestrator.runs.settings import Settings
from orchestrator.vocabulary import POWER_HIBERNATED, POWER_ON

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.components.project.awake_schedule import AwakeSchedule
    from orchestrator.manifest.check import Manifest
    from orchestrator.planning.hibernation import PowerGoal
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.state.protocol.records import RunVerb

DAYS_PER_MONTH = 30.4
_VERBS: dict[str, RunVerb] = {POWER_HIBERNATED: "hibernate", POWER_ON: "wake"}
_QUESTIONS = {
    POWER_HIBERNATED: "Hibernate {resources} of {place}? Only 'yes' is accepted:",
    POWER_ON: "Wake {resources} of {place}? Only 'yes' is accepted:",
}


def hibernate(settings: Settings, options: ApplyOptions) -> int:
    """Pause the services and stop the databases of an environment, and return the exit code.

    Raises Problems if a service cannot be paused, nobody approves the plan, or the environment is locked.
    """
    return _switch(settings, options, POWER_HIBERNATED)


def wake(settings: Settings, options: ApplyOptions) -> int:
    """Start what was hibernated, change nothing else, and return the exit code.

    Raises Problems if nobody approves the plan, or the environment is locked.
    """
    return _switch(settings, options, POWER_ON)


def follow_schedule(settings: Settings, options: ApplyOptions, now: datetime | None = None) -> int:
    """Hibernate or wake an environment as the ``schedule`` of its Project says at ``now``, and return the exit code.

    What somebody has woken since the schedule woke it last is left awake.  Raises Problems if there is no schedule.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import hibernation, pipeline

    manifest = pipeline.validate(settings.manifests, settings.environment)
    schedule = _read_schedule(manifest)
    moment = now or datetime.now(UTC)
    is_awake = schedule.is_awake(moment)
    goal = hibernation.PowerGoal(POWER_ON if is_awake else POWER_HIBERNATED, is_scheduled=True)
    clients = Clients.for_scope(manifest.scope)
    planned = _plan(manifest, clients, goal)
    until = f"until {schedule.next_change(moment):%Y-%m-%d %H:%M} UTC"
    if not is_awake and hibernation.is_held_awake(planned.live):
        settings.terminal.print_out(
            "The environment stays awake because it was woken manually or by a deploy. The schedule applies again "
            f"after its next wake, {until.replace('until', 'at')}. To hibernate it now, run: "
            f"{settings.command_line('hibernate')}"
        )
        return ExitCode.OK
    if not planned.plan.pending_changes and not planned.plan.is_vetoed:
        settings.terminal.print_out(f"{'Awake' if is_awake else 'Hibernated'} {until}, as scheduled.")
        return ExitCode.OK
    return _run(settings, options, manifest, clients, goal)


def _read_schedule(manifest: Manifest) -> AwakeSchedule:
    from orchestrator.components.project import awake_schedule

    declared = manifest.project.spec.get("schedule")
    if declared is None:
        raise Problems.from_message(
            "the Project has no `schedule`",
            hint='add one, e.g. `schedule: {timezone: Europe/Madrid, awake: ["mon-fri 07:30-20:30"]}`',
            where=manifest.project.where,
        )
    return awake_schedule.parse(declared)


def _switch(settings: Settings, options: ApplyOptions, power: str) -> int:
    from orchestrator.aws import Clients
    from orchestrator.planning import hibernation, pipeline

    manifest = pipeline.validate(settings.manifests, settings.environment)
    return _run(settings, options, manifest, Clients.for_scope(manifest.scope), hibernation.PowerGoal(power))


def _run(settings: Settings, options: ApplyOptions, manifest: Manifest, clients: Clients, goal: PowerGoal) -> int:
    from orchestrator.release import checkout

    verb = _VERBS[goal.power]
    store = checkout.find_store(manifest, clients)
    with write_lock(settings, manifest.scope, verb, options.run, clients, store) as lock:
        planned = _plan(manifest, lock.clients, goal)
        if planned.plan.pending_changes:
            _print_saving(settings, planned, goal)
        prompt = _QUESTIONS[goal.power], "yes"
        return review_and_apply(planned, settings, lock, options, prompt, settings.command_line(verb))


def _plan(manifest: Manifest, clients: Clients, goal: PowerGoal) -> PreparedPlan:
    from orchestrator.planning import pipeline

    return pipeline.plan(pipeline.expand_manifest(manifest, include_artefacts=False), clients=clients, power=goal)


def _print_saving(settings: Settings, planned: PreparedPlan, goal: PowerGoal) -> None:
    """Print what the environment costs while hibernated, and while awake."""
    from orchestrator.runs import plan_output

    estimates = plan_output.estimate_costs(planned)
    if estimates is None or not estimates[0].line_items:
        return
    before, after = (estimate.idle for estimate in estimates)
    asleep, awake = (after, before) if goal.power == POWER_HIBERNATED else (before, after)
    if awake > asleep:
        settings.terminal.print_out(
            f"It costs about {asleep:.2f} USD a month while hibernated, and {awake:.2f} while awake and idle. "
            f"Each day of hibernation saves {(awake - asleep) / DAYS_PER_MONTH:.2f} USD."
        )
