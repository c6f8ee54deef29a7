"""``restore database --drill``: a real restore beside the database, which leaves nothing but its result."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.aws import StepExecutor
from orchestrator.emulator import start
from orchestrator.emulator.database_engine import find_binaries
from orchestrator.planning import pipeline
from orchestrator.resources.rds_instance import throwaway as throwaway_steps
from orchestrator.resources.rds_instance.drill_result import DrillResult
from orchestrator.resources.rds_instance.restore import RestorePoint
from orchestrator.steps import ApiCall, Step, Steps, execute_steps, is_read
from orchestrator.vocabulary import Scope
from tests.proofs.real_stack import aws_environment
from tests.recovery.project import NAME, Project

SCOPE = Scope("shop", "prod", "123456789012", "eu-west-1")
pytestmark = pytest.mark.xdist_group("emulator-databases")


@pytest.fixture(params=[False])
def project(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Project]:
    """The project, deployed; with the parameter True in an account whose databases answer."""
    with start(settle_seconds=0, run_services=request.param) as emulator, aws_environment(emulator):
        made = Project(emulator, tmp_path, capsys)
        made.succeed("apply", "--auto-approve")
        yield made


@pytest.mark.parametrize("project", [True], indirect=True)
@pytest.mark.real_parts
@pytest.mark.skipif(find_binaries() is None, reason="needs PostgreSQL's server programs")
def test_a_drill_reads_every_row_and_leaves_only_its_result(project: Project) -> None:
    """What is missing fails it; rows that were written since do not. The application's instance is not touched."""
    project.write("first", "second")
    project.take_snapshot("before")
    project.write("third")
    before = project.instances()[NAME]
    drill = ("restore", "database", "main", "--drill", "--ca", str(project.ca_file), "--auto-approve")

    shown = project.succeed(*drill, "--snapshot", "before", "--plan")
    assert f"restore {NAME} as of snapshot before to the new instance {NAME}-drill-" in shown
    assert "USD an hour" in shown
    assert set(project.instances()) == {NAME}
    told = project.succeed(*drill, "--snapshot", "before")

    assert "public.notes: 2 rows, 3 in the old database" in told
    assert f"Drill passed: {NAME} can be restored in " in told
    after = project.instances()
    assert {**after[NAME], "TagList": []} == {**before, "TagList": [], **_times(after[NAME])}
    assert set(after) == {NAME}
    result = DrillResult.parse(project.tags(NAME)["orchestrator:last-drill"])
    assert result is not None
    assert result.verdict == "passed"
    assert datetime.now(UTC) - result.at < timedelta(minutes=1)
    assert "No changes" in project.succeed("plan")
    assert "restore drill of" in project.succeed("status")

    project.execute("CREATE TABLE later (id int PRIMARY KEY)")
    exit_code, told = project.run(*drill, "--snapshot", "before")
    assert exit_code == 4
    assert "missing: table public.later is missing in the restored database" in told
    assert set(project.instances()) == {NAME}
    assert project.tags(NAME)["orchestrator:last-drill"].startswith("failed ")


class SimulatedCrash(BaseException):
    """The process dies."""


class DyingRun:
    """Performs steps until the n-th change of AWS, and dies right after that."""

    def __init__(self, project: Project, crash_at: int) -> None:
        self._executor = StepExecutor(project.clients)
        self._crash_at = crash_at
        self.writes: list[str] = []

    def perform(self, step: Step) -> object:
        response = self._executor.perform(step)
        if isinstance(step, ApiCall) and not is_read(step.operation):
            self.writes.append(step.operation)
            if len(self.writes) == self._crash_at:
                raise SimulatedCrash
        return response


def chain_steps(*parts: Steps) -> Steps:
    for part in parts:
        yield from part
    return {}


def test_a_killed_drill_is_cleaned_up_by_the_next_one(project: Project) -> None:
    """After every change of AWS. Until then the plan names what was left."""
    live = pipeline.plan(pipeline.load_desired(project.folder), clients=project.clients).live["rds_instance.main"]
    project.take_snapshot("before")
    throwaway = throwaway_steps.throwaway_name(NAME, str(live.private["resource_id"]))
    point = RestorePoint("snapshot", "before")

    # Before a change the account is as after the one before, and before the first there is nothing to clean up.
    for crash_at in (1, 2, 3):
        run = DyingRun(project, crash_at)
        steps = throwaway_steps.restore_throwaway(SCOPE, NAME, throwaway, live.spec, point)
        with pytest.raises(SimulatedCrash):
            execute_steps(chain_steps(steps, throwaway_steps.remove_throwaway(throwaway)), run.perform)
        if crash_at == 1:
            planned = project.succeed("plan")
            assert "No changes" in planned
            assert f"{throwaway} belongs to a restore drill of database.main" in planned
        project.succeed(
            "restore", "database", "main", "--drill", "--snapshot", "before", "--no-verify", "--auto-approve"
        )
        assert set(project.instances()) == {NAME}
    assert run.writes == ["restore_db_instance_from_db_snapshot", "modify_db_instance", "delete_db_instance"]


def test_only_a_throwaway_is_ever_removed() -> None:
    """A tag that somebody copied to another instance, or a name that somebody chose, is not enough."""
    copied = {
        "DBInstanceIdentifier": "billing",
        "TagList": [{"Key": "orchestrator:drill-of", "Value": f"shop/prod {NAME}"}],
    }
    named = {"DBInstanceIdentifier": f"{NAME}-drill-notes", "TagList": []}
    foreign = {
        **copied,
        "DBInstanceIdentifier": f"{NAME}-drill-1",
        "TagList": [{"Key": "orchestrator:drill-of", "Value": f"shop/test {NAME}"}],
    }
    ours = {**copied, "DBInstanceIdentifier": f"{NAME}-drill-1a2b3c4d"}

    assert throwaway_steps.find_throwaways([copied, named, foreign, ours], SCOPE, NAME) == (f"{NAME}-drill-1a2b3c4d",)


def test_a_plan_names_a_drill_that_is_late(project: Project) -> None:
    """By the manifest's days: none yet, one in time, one too long ago, one that failed."""
    manifest = project.folder / "shop.yaml"
    manifest.write_text(manifest.read_text().replace("retentionDays: 7", "retentionDays: 7, drillEveryDays: 30"))
    arn = project.instances()[NAME]["DBInstanceArn"]

    def plan_after(verdict: str, days: int) -> str:
        result = DrillResult(verdict, datetime.now(UTC) - timedelta(days=days), 700)
        tags = [{"Key": "orchestrator:last-drill", "Value": str(result)}]
        project.clients.call("rds", "add_tags_to_resource", {"ResourceName": arn, "Tags": tags})
        printed = project.succeed("plan")
        assert "No changes" in printed
        return printed

    assert "The backups of database.main have never been tested" in project.succeed("plan")
    assert ": passed, 12 min to recover." in plan_after("passed", 29)
    assert (
        "the manifest requires one every 30 days. To run one: orchestrator restore database main --drill"
        in plan_after("passed", 30)
    )
    assert "failed. To run it again" in plan_after("failed", 1)


def test_the_scheduled_drill_runs_once_it_is_due(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As the drift workflow calls it; a runner that does not reach the database measures, and says so."""
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/shop")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert "No restore drill is due." in project.succeed("github", "drill")
    manifest = project.folder / "shop.yaml"
    manifest.write_text(manifest.read_text().replace("retentionDays: 7", "retentionDays: 7, drillEveryDays: 30"))

    told = project.succeed("github", "drill")

    assert "The rows will not be verified: " in told
    assert summary.read_text().startswith("Restore drill of `database.main`: unverified, restored in ")
    assert project.tags(NAME)["orchestrator:last-drill"].startswith("unverified ")
    assert set(project.instances()) == {NAME}
    assert "No restore drill is due." in project.succeed("github", "drill")


def _times(instance: dict[str, object]) -> dict[str, object]:
    """What changes by itself."""
    return {key: instance[key] for key in ("LatestRestorableTime",) if key in instance}
