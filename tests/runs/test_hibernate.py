"""Hibernating an environment and waking it: in a safe order, known to plan and drift, by hand and by its schedule."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from orchestrator.cli.main import main
from orchestrator.components.project import awake_schedule
from orchestrator.emulator import Emulator
from orchestrator.problems import Problems
from orchestrator.runs import hibernate
from orchestrator.runs.apply import ApplyOptions
from orchestrator.runs.approval import Approval
from orchestrator.runs.settings import Settings
from tests.cli.conftest import Shown
from tests.proofs import real_stack

SCHEDULE = 'schedule: {timezone: Europe/Madrid, awake: ["mon-fri 07:30-20:30", "sat 09:00-14:00"]}'
DAY, NIGHT = datetime(2026, 11, 30, 9, 0, tzinfo=UTC), datetime(2026, 11, 30, 23, 0, tzinfo=UTC)
HELD_WORDS = "The environment stays awake because it was woken manually or by a deploy"


STACK = f"""
apiVersion: orchestrator/v1
kind: Project
metadata: {{name: shop}}
spec:
  repository: team/shop
  region: eu-west-1
  account: "123456789012"
  {SCHEDULE}
---
apiVersion: orchestrator/v1
kind: Database
metadata: {{name: main}}
spec: {{version: "16", instanceClass: db.t3.micro, storage: {{sizeGb: 20, type: gp2}}, database: shop, username: shop}}
---
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {{name: api}}
spec: {{image: {{prebuilt: "public.ecr.aws/nginx/nginx:1.27"}}, access: [database.main]}}
"""


@dataclass(frozen=True)
class Stack:
    """A service and its database, deployed to an emulated AWS."""

    aws: Emulator
    folder: Path

    def run(self, verb: str, *arguments: str) -> Shown:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main([verb, *arguments, "-f", str(self.folder)])
        return Shown(code, out.getvalue(), err.getvalue())

    def follow_schedule(self, moment: datetime) -> str:
        """Run what the workflow runs, at a moment; return what it prints."""
        out = io.StringIO()
        with redirect_stdout(out):
            settings = Settings(self.folder)
            assert hibernate.follow_schedule(settings, ApplyOptions(Approval(is_automatic=True)), moment) == 0
        return out.getvalue()

    def call(self, service: str, operation: str, **parameters: Any) -> Any:
        return real_stack.clients().call(service, operation, parameters)

    @property
    def states(self) -> tuple[str, str]:
        [service] = self.call("apprunner", "list_services")["ServiceSummaryList"]
        [database] = self.call("rds", "describe_db_instances")["DBInstances"]
        return service["Status"], database["DBInstanceStatus"]

    @property
    def switches(self) -> list[str]:
        names = [call.name.rpartition(":")[2] for call in self.aws.calls]
        return [name for name in names if name.startswith(("Pause", "Resume", "Stop", "Start"))]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("hibernate") / "manifests"
    folder.mkdir()
    (folder / "shop.yaml").write_text(STACK)
    with real_stack.emulated_aws() as aws:
        stack = Stack(aws, folder)
        assert stack.run("apply", "--auto-approve").code == 0
        yield stack


@pytest.fixture
def stack(deployed: Stack) -> Iterator[Stack]:
    """The stack as STACK declares it, awake by its schedule, with what was called before forgotten."""
    with real_stack.aws_environment(deployed.aws):
        if (deployed.folder / "shop.yaml").read_text() != STACK:
            (deployed.folder / "shop.yaml").write_text(STACK)
            assert deployed.run("apply", "--auto-approve").code == 0
        deployed.follow_schedule(DAY)
        deployed.aws.clear_calls()
        yield deployed


def test_an_environment_sleeps_and_wakes_in_a_safe_order(stack: Stack) -> None:
    """Nothing is asked of a database that has stopped; the saving is said; plan and drift know."""
    asleep = stack.run("hibernate", "--auto-approve")

    assert asleep.code == 0, asleep.out + asleep.err
    assert stack.states == ("PAUSED", "stopped")
    assert stack.switches == ["PauseService", "StopDBInstance"]
    # 20 GB gp2 at 0.127: the storage of a stopped instance is billed (RDS user guide)
    assert (
        "It costs about 2.54 USD a month while hibernated, and 19.70 while awake and idle. "
        "Each day of hibernation saves 0.56" in asleep.out
    )
    drift = stack.run("drift")
    assert (drift.code, drift.out.count("hibernated")) == (0, 2)
    assert re.findall(r"^  (\S+) +hibernated", stack.run("status").out, re.MULTILINE) == [
        "containerservice.api",
        "database.main",
    ]
    plan = stack.run("plan")
    assert 'power: "hibernated" → "on"' in plan.out
    assert "Resumes the service" in plan.out
    assert "(+17.16)" in plan.out

    stack.aws.clear_calls()
    awake = stack.run("wake", "--auto-approve")

    assert awake.code == 0, awake.out + awake.err
    assert stack.states == ("RUNNING", "available")
    assert stack.switches == ["StartDBInstance", "ResumeService"]
    assert stack.run("plan").out.splitlines()[1].startswith("No changes")


def test_whatever_applies_the_manifests_wakes_first(stack: Stack) -> None:
    assert stack.run("hibernate", "--auto-approve").code == 0
    path = stack.folder / "shop.yaml"
    path.write_text(path.read_text().replace("username: shop", "username: shop, backups: {retentionDays: 9}"))

    applied = stack.run("apply", "--auto-approve")

    assert applied.code == 0, applied.out + applied.err
    assert stack.states == ("RUNNING", "available")
    assert stack.call("rds", "describe_db_instances")["DBInstances"][0]["BackupRetentionPeriod"] == 9


def test_a_database_that_aws_starts_after_seven_days_is_stopped_again(stack: Stack) -> None:
    """RDS user guide, "Stopping an Amazon RDS DB instance temporarily": after seven days it is started."""
    stack.follow_schedule(NIGHT)
    stack.call("rds", "start_db_instance", DBInstanceIdentifier="shop-prod-main")

    drift = stack.run("drift")
    assert drift.code == 2
    assert 'power: "restarted" in AWS' in drift.out
    stack.aws.clear_calls()
    stack.follow_schedule(NIGHT)
    assert (stack.states, stack.switches) == (("PAUSED", "stopped"), ["StopDBInstance"])


def test_the_schedule_leaves_alone_what_somebody_woke_until_the_next_morning(stack: Stack) -> None:
    assert stack.follow_schedule(DAY) == "Awake until 2026-11-30 19:30 UTC, as scheduled.\n"
    stack.follow_schedule(NIGHT)
    assert stack.follow_schedule(NIGHT) == "Hibernated until 2026-12-01 06:30 UTC, as scheduled.\n"
    assert stack.run("wake", "--auto-approve").code == 0

    kept = stack.follow_schedule(NIGHT + timedelta(hours=1))
    assert kept.startswith(HELD_WORDS)
    assert "at 2026-12-01 06:30 UTC" in kept
    assert stack.states == ("RUNNING", "available")

    stack.aws.clear_calls()
    stack.follow_schedule(DAY + timedelta(days=1))  # takes over: only tags change
    assert stack.switches == []
    stack.follow_schedule(NIGHT + timedelta(days=1))
    assert stack.states == ("PAUSED", "stopped")


def test_what_somebody_stopped_by_hand_is_named_and_a_wake_starts_it(stack: Stack) -> None:
    stack.call("rds", "stop_db_instance", DBInstanceIdentifier="shop-prod-main")
    while stack.states[1] != "stopped":  # the server behind it shuts down first
        pass

    drift = stack.run("drift")

    assert (drift.code, "1 unhealthy" in drift.out) == (2, True), drift.out
    assert "orchestrator wake" in drift.out
    assert stack.run("wake", "--auto-approve").code == 0
    assert stack.states == ("RUNNING", "available")


def test_express_services_are_refused_before_anything_changes(stack: Stack) -> None:
    """Express Mode's API can neither pause nor promise no task (ECS API reference, ExpressGatewayScalingTarget)."""
    path = stack.folder / "shop.yaml"
    path.write_text(
        path.read_text().replace("spec: {image", "spec: {runtime: ecs-express, health: {path: /health}, image")
    )

    refused = stack.run("hibernate", "--auto-approve")

    assert refused.code == 1
    assert "containerservice.api cannot be paused" in refused.err
    assert "nothing was hibernated" in refused.err
    assert stack.switches == []


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(STACK)
    return tmp_path


def test_without_a_schedule_there_is_nothing_to_follow(manifests: Path) -> None:
    (manifests / "shop.yaml").write_text(STACK.replace(SCHEDULE, ""))

    with pytest.raises(Problems, match="the Project has no `schedule`"):
        hibernate.follow_schedule(Settings(manifests), ApplyOptions(), DAY)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ('{awake: ["mon-fri 20:00-08:00"]}', "ends before it begins"),
        ('{awake: ["fri-mon 08:00-20:00"]}', "ends on an earlier day than it begins (weeks begin on `mon`)"),
        ('{timezone: Europe/Nowhere, awake: ["mon 08:00-20:00"]}', "unknown time zone Europe/Nowhere"),
        ('{awake: ["mon 8-20"]}', "must be days and hours"),
        ("{awake: []}", "must have 1 to 50 entries"),
    ],
)
def test_a_schedule_that_cannot_be_meant_is_refused(
    schedule: str, words: str, manifests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (manifests / "shop.yaml").write_text(STACK.replace(SCHEDULE, f"schedule: {schedule}"))

    assert main(["validate", "-f", str(manifests)]) == 1
    assert words in capsys.readouterr().err


def moments() -> Iterator[tuple[datetime, bool]]:
    """Both sides of each edge in local time, in winter, in summer and around the change of clocks of 2027-03-28."""
    madrid = ZoneInfo("Europe/Madrid")
    for year, month, day in ((2026, 11, 30), (2027, 3, 29), (2027, 7, 5)):  # Mondays
        for hour, minute, is_awake in ((7, 29, False), (7, 30, True), (20, 29, True), (20, 30, False)):
            yield datetime(year, month, day, hour, minute, tzinfo=madrid), is_awake
    yield datetime(2027, 3, 28, 12, 0, tzinfo=madrid), False  # a Sunday


@pytest.mark.parametrize(("moment", "is_awake"), list(moments()))
def test_hours_are_those_of_the_time_zone(moment: datetime, is_awake: bool) -> None:
    declared = {"timezone": "Europe/Madrid", "awake": ["mon-fri 07:30-20:30", "sat 09:00-14:00"]}
    schedule = awake_schedule.parse(declared)

    assert schedule.is_awake(moment.astimezone(UTC)) is is_awake
    assert schedule.is_awake(schedule.next_change(moment.astimezone(UTC))) is not is_awake
    assert schedule.awake_hours == 5 * 13 + 5


def test_the_estimate_says_what_the_schedule_saves(manifests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "-f", str(manifests), "--format", "json"]) == 0
    data: dict[str, Any] = json.loads(capsys.readouterr().out)

    [sentence] = [line for line in data["advice"] if "schedule" in line]
    assert sentence == (
        "The schedule keeps the environment awake for 70 of 168 hours a week: about 9.69 instead of 19.70 USD a month "
        "when idle."
    )
