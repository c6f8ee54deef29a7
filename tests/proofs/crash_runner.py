"""Kill a run at each AWS write, run again, and check that it recovers.  A separate program, because it forks.

``python -m tests.proofs.crash_runner [--backend moto] SCENARIO[@I/N] ...`` prints one JSON line per case, with a list
of problems (empty if it converged), and an empty line after each scenario.  Without arguments it reads scenarios from
standard input, one per line.  Scenarios: ``create``, ``destroy``, and the names in ``scenarios.UPDATES``; ``@I/N``
selects every N-th case, starting with the I-th.

Every case is a fork of one prepared process and starts with the same plan: a plan changes nothing
(``test_plan_writes_nothing``), so each killed run would have made the same plan.  The recovery run makes its own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from orchestrator.aws import Reader
from orchestrator.emulator import Emulator
from orchestrator.ownership_tags import from_aws_tags
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.planning.hibernation import PowerGoal
from orchestrator.planning.plan import PreparedPlan
from orchestrator.recovery import database_backups, database_restore
from orchestrator.resources.rds_instance.restore import RestorePoint
from orchestrator.steps import is_read
from orchestrator.vocabulary import POWER_HIBERNATED, POWER_ON, DesiredState
from tests import performed_calls
from tests.proofs import crash_commands, foreign_account, in_process_ministack, real_stack
from tests.proofs.process_forks import prepare_to_fork, run_in_fork
from tests.proofs.scenarios import (
    CREATE_SCENARIOS,
    DATABASE_ALONE,
    DESTROY_SCENARIOS,
    POWER_SCENARIOS,
    RESTORE_SCENARIOS,
    SERVICE_ALONE,
    SERVICE_AND_DATABASE,
    SMALL_SCENARIOS,
    UPDATES,
)

RESTORED_SNAPSHOT = "before-the-crash"


class SimulatedCrash(BaseException):
    """Simulates the death of the process."""


class CrashingClients:
    """Clients that work until the n-th write, and raise SimulatedCrash from then on."""

    def __init__(self, crash_at: int = 0, timing: str = "before") -> None:
        self._clients = real_stack.clients()
        self._crash_at = crash_at
        self._timing = timing
        self._lock = threading.Lock()
        self.write_count = 0
        self.read_after: set[int] = set()
        """Numbers of the writes that a read follows, before the next write."""

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        with self._lock:
            if self._crash_at and self.write_count >= self._crash_at:
                raise SimulatedCrash
            is_write = not is_read(operation) and operation != "get_secret_value"
            self.write_count += is_write
            if not is_write:
                self.read_after.add(self.write_count)
            is_crash_point = is_write and self.write_count == self._crash_at
        if is_crash_point and self._timing == "before":
            raise SimulatedCrash
        response = self._clients.call(service, operation, parameters, region)
        if is_crash_point:
            raise SimulatedCrash
        return response


def apply_serially(planned: PreparedPlan, clients: CrashingClients) -> None:
    """Apply one call at a time, so that call numbers are the same in each run."""
    failed = real_stack.list_failures(performed_calls.apply(planned, ignore_event, parallelism=1, clients=clients))
    assert not failed, failed


@dataclass(frozen=True, slots=True)
class Scenario:
    """A transition between desired states; ``initial`` None is an empty account."""

    initial: DesiredState | None
    target: DesiredState
    is_destroy: bool = False

    def prepare(self) -> None:
        foreign_account.populate()
        if self.initial is not None:
            failed = real_stack.list_failures(real_stack.apply(self.initial))
            assert not failed, failed

    def plan(self) -> PreparedPlan:
        return real_stack.plan_with_token(self.target, destroying=self.is_destroy)

    def observe(self) -> dict[str, Any]:
        """Return the account's state, to compare with an undisturbed run."""
        planned = self.plan()
        return {
            "pending": real_stack.describe_changes(planned.plan),
            "state": dict(real_stack.read_state(planned)),
            "census": real_stack.count_resources(),
            "strangers": foreign_account.look(),
            "password": is_password_consistent(self.target, is_expected=not self.is_destroy),
        }


@dataclass(frozen=True, slots=True)
class RestoreScenario(Scenario):
    """A restore of the database, to a snapshot or to the moment of that snapshot (``kind``), with its own planning."""

    kind: str = "snapshot"

    def prepare(self) -> None:
        Scenario.prepare(self)
        database = database_restore.find_database(self.target, "main")
        snapshot = {"DBInstanceIdentifier": database.physical, "DBSnapshotIdentifier": RESTORED_SNAPSHOT}
        real_stack.clients().call("rds", "create_db_snapshot", snapshot)
        time.sleep(2.0)  # a restorable time lags by a second, and has whole seconds

    def plan(self) -> PreparedPlan:
        database = database_restore.find_database(self.target, "main")
        backups = database_backups.read_backups(Reader(real_stack.clients()), self.target.scope, database.physical)
        found = real_stack.clients().call("rds", "describe_db_snapshots", {"DBSnapshotIdentifier": RESTORED_SNAPSHOT})
        moment = found["DBSnapshots"][0]["SnapshotCreateTime"].replace(microsecond=0) + timedelta(seconds=1)
        value = RESTORED_SNAPSHOT if self.kind == "snapshot" else moment.isoformat()
        settings = database_restore.RestoreSettings(should_verify=False)
        point = RestorePoint(self.kind, value)
        wanted = database_restore.build_desired(self.target, database, point, backups, settings, datetime.now(UTC))
        return pipeline.plan(wanted, targets=(database.address,), clients=real_stack.clients())

    def observe(self) -> dict[str, Any]:
        """Add every instance with its tags: the kept one is outside of the plan."""
        instances = real_stack.clients().call("rds", "describe_db_instances", {})["DBInstances"]
        tags = {item["DBInstanceIdentifier"]: from_aws_tags(item["TagList"]) for item in instances}
        return {**Scenario.observe(self), "instances": tags}


@dataclass(frozen=True, slots=True)
class PowerScenario(Scenario):
    """Hibernation of a stack, or its end."""

    power: str = POWER_HIBERNATED

    def prepare(self) -> None:
        Scenario.prepare(self)
        if self.power == POWER_ON:
            outcomes = performed_calls.apply(self._plan(POWER_HIBERNATED), clients=real_stack.clients())
            assert not real_stack.list_failures(outcomes)

    def plan(self) -> PreparedPlan:
        return self._plan(self.power)

    def _plan(self, power: str) -> PreparedPlan:
        return pipeline.plan(self.target, clients=real_stack.clients(), power=PowerGoal(power))


def is_password_consistent(desired: DesiredState, *, is_expected: bool) -> bool:
    """Return whether the secret's connection string contains the generated password, not a placeholder.

    A secret that is not there is consistent only if none is expected.
    """
    name = next((r.physical for r in desired.resources if r.type == "secretsmanager_secret"), None)
    secrets = real_stack.clients().call("secretsmanager", "list_secrets", {})["SecretList"]
    if name not in [secret["Name"] for secret in secrets]:
        return name is None or not is_expected
    document = json.loads(
        real_stack.clients().call("secretsmanager", "get_secret_value", {"SecretId": name})["SecretString"]
    )
    return f"Password={document['Database:main:Password']};" in document["ConnectionStrings:DefaultConnection"] + ";"


def make_scenario(name: str, folder: Path) -> Scenario:
    """Return a scenario by name."""
    if name in CREATE_SCENARIOS:
        return Scenario(None, real_stack.load_stack(folder / "new", *CREATE_SCENARIOS[name]))
    if name in DESTROY_SCENARIOS:
        deletable = real_stack.load_stack(folder / "mortal", *DESTROY_SCENARIOS[name])
        return Scenario(deletable, deletable, is_destroy=True)
    if name in RESTORE_SCENARIOS:
        stack = real_stack.load_stack(folder / "restore", *DATABASE_ALONE)
        return RestoreScenario(stack, stack, kind=RESTORE_SCENARIOS[name])
    if name in POWER_SCENARIOS:
        stack = real_stack.load_stack(folder / "power", *SERVICE_AND_DATABASE)
        return PowerScenario(stack, stack, power=POWER_SCENARIOS[name])
    base_edits = SERVICE_ALONE if name in SMALL_SCENARIOS else ()
    return Scenario(
        real_stack.load_stack(folder / "old", *base_edits),
        real_stack.load_stack(folder / "new", *base_edits, *UPDATES[name]),
    )


def iter_crash_points(total: int, read_after: set[int], shard: tuple[int, int]) -> Iterator[tuple[int, str]]:
    """Yield every moment at which AWS is in another state, limited to the shard.

    Before each write; and after it where a read follows, or nothing.  Without a call in between, "after this one" is
    the same moment as "before the next one": the dead process leaves nothing but what is in AWS.
    """
    points = [
        (call_number, timing)
        for call_number in range(1, total + 1)
        for timing in ("before", "after")
        if timing == "before" or call_number in read_after or call_number == total
    ]
    index, shard_count = shard
    yield from points[index::shard_count]


def run_undisturbed(scenario: Scenario, planned: PreparedPlan) -> tuple[int, list[int], dict[str, Any]]:
    """Return the number of writes of a complete run, those that a read follows, and the final state."""
    clients = CrashingClients()
    strangers = foreign_account.look()
    apply_serially(planned, clients)
    observed = scenario.observe()
    assert clients.write_count, "the scenario changes nothing, so there is no moment to crash at"
    assert observed["pending"] == [], f"an undisturbed run leaves changes: {observed['pending']}"
    assert observed["strangers"] == strangers, list(foreign_account.list_changes(strangers, observed["strangers"]))
    assert observed["password"] is not False, "an undisturbed run leaves a placeholder in the connection string"
    return clients.write_count, sorted(clients.read_after), observed


def check_recovery(
    scenario: Scenario, planned: PreparedPlan, call_number: int, timing: str, expected: dict[str, Any]
) -> list[str]:
    """Crash once, run again, and return the differences from ``expected``; an empty list if it recovered."""
    try:
        apply_serially(planned, CrashingClients(call_number, timing))
    except SimulatedCrash:
        pass
    else:
        return [f"the run has no write number {call_number}"]
    apply_serially(scenario.plan(), CrashingClients())
    observed = scenario.observe()
    return [
        f"{key}: {_describe_difference(expected[key], observed[key])}"
        for key in expected
        if expected[key] != observed[key]
    ]


def _describe_difference(expected: Any, actual: Any) -> str:
    if isinstance(expected, dict) and isinstance(actual, dict):
        keys = [key for key in {**expected, **actual} if expected.get(key) != actual.get(key)]
        return "; ".join(f"{key}: {_describe_difference(expected.get(key), actual.get(key))}" for key in keys)
    before, after = str(expected), str(actual)
    start = next((n for n, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), 0)
    return f"...{before[max(0, start - 40) : start + 80]} became ...{after[max(0, start - 40) : start + 80]}"


def run_cases(emulator: Emulator, scenario: Scenario, shard: tuple[int, int]) -> list[dict[str, Any]]:
    """Prepare the scenario once, and run every case in a fork."""
    scenario.prepare()
    planned = scenario.plan()
    prepare_to_fork(emulator)
    total, read_after, expected = run_in_fork(emulator, lambda: run_undisturbed(scenario, planned))
    return [
        {
            "call": call_number,
            "when": timing,
            "wrong": run_in_fork(emulator, partial(check_recovery, scenario, planned, call_number, timing, expected)),
        }
        for call_number, timing in iter_crash_points(total, set(read_after), shard)
    ]


def run_command_cases(
    emulator: Emulator, scenario: crash_commands.CommandScenario, shard: tuple[int, int]
) -> list[dict[str, Any]]:
    """Prepare a command once, and run every case in a fork, whose commands are processes of their own."""
    scenario.prepare()
    prepare_to_fork(emulator)

    def make_workers(*commands: list[list[str]]) -> Callable[[], tuple[crash_commands.Worker, ...]]:
        return lambda: tuple(crash_commands.Worker(each) for each in commands)

    undisturbed = run_in_fork(
        emulator,
        lambda worker: crash_commands.run_undisturbed(emulator, scenario, worker),
        make_workers(scenario.commands),
    )
    if len(undisturbed) == 1:
        return [{"wrong": undisturbed}]
    total, read_after, expected = undisturbed

    def check(point: tuple[int, str], *workers: crash_commands.Worker) -> list[str]:
        return crash_commands.check_recovery(emulator, scenario, point, expected, (workers[0], workers[1]))

    return [
        {
            "call": point[0],
            "when": point[1],
            "wrong": run_in_fork(emulator, partial(check, point), make_workers(scenario.commands, scenario.recovery)),
        }
        for point in iter_crash_points(total, set(read_after), shard)
    ]


def warm_up(emulator: Emulator, folder: Path) -> None:
    """Load all code and data that a run needs before forking: a stack is made for it, and destroyed."""
    chosen = make_scenario("destroy", folder)
    chosen.prepare()
    run_undisturbed(chosen, chosen.plan())
    emulator.reset()
    prepare_to_fork(emulator)


def run_scenarios(emulator: Emulator, scenario_names: Iterator[str], output: TextIO, folder: Path) -> None:
    """Run all cases of each scenario, and write the results."""
    warm_up(emulator, folder)
    for line in scenario_names:
        name, _, shard = line.strip().partition("@")
        index, shard_count = map(int, (shard or "0/1").split("/"))
        shard_numbers = (index, shard_count)
        if name in crash_commands.COMMANDS:
            command = crash_commands.CommandScenario(name, folder / name / "manifests")
            results = run_in_fork(emulator, partial(run_command_cases, emulator, command, shard_numbers))
        else:
            results = run_in_fork(emulator, partial(run_cases, emulator, make_scenario(name, folder), shard_numbers))
        cases = [
            case if isinstance(case, dict) else {"wrong": case} for case in results
        ]  # a message: the scenario failed before its cases
        output.writelines(json.dumps(case) + "\n" for case in cases)
        output.write("\n")
        output.flush()


def main() -> None:
    """Run the scenarios from the command line or standard input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="*")
    parser.add_argument("--backend", default="moto", choices=real_stack.BACKENDS)
    options = parser.parse_args()
    emulated = real_stack.emulated_aws() if options.backend == "moto" else in_process_ministack.run_ministack()
    with emulated as emulator, tempfile.TemporaryDirectory() as folder:
        run_scenarios(emulator, iter(options.scenario or sys.stdin), sys.stdout, Path(folder))


if __name__ == "__main__":
    main()
