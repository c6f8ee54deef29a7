"""A restore that stopped goes on where it stopped: by what exists, not by what was planned first."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.aws import Reader
from orchestrator.resources import rds_instance
from orchestrator.resources.rds_instance.restore import RestoreState, replace_by_restored
from orchestrator.steps import ApiCall, trace_steps
from tests.aws.fake_clients import ScriptedCaller
from tests.resources import cases
from tests.resources.cases import SCOPE
from tests.resources.test_rds_instance import AVAILABLE, DECLARED

CASE = next(
    case
    for case in cases.load_file(cases.FOLDER / "rds_instance.yaml")
    if case.desired is not None and case.live is not None and str(case.spec.get("restored_from")).startswith("time")
)
NAME, POINT, OLD = CASE.name, "time 2026-11-30T14:05:00+00:00", f"{CASE.name}-before-1"
NEW = f"{NAME}-restored-1"
MOVE_OLD, MOVE_NEW = (NAME, OLD), (NEW, NAME)
STATES: dict[str, tuple[RestoreState, int, list[tuple[str, str]]]] = {
    "restored": (RestoreState(POINT, NEW, OLD, is_old_at_name=True, is_old_renamed=False), 1, [MOVE_OLD, MOVE_NEW]),
    "the old one moved": (RestoreState(POINT, NEW, OLD, is_old_at_name=False, is_old_renamed=True), 1, [MOVE_NEW]),
    "the new one moved": (RestoreState(POINT, NAME, OLD, is_old_at_name=False, is_old_renamed=True), 0, []),
}


@pytest.mark.parametrize(("state", "prepared", "renamed"), STATES.values(), ids=STATES)
@pytest.mark.parametrize("restored_from", [POINT, None])
def test_a_restore_goes_on_where_it_stopped(
    state: RestoreState, prepared: int, renamed: list[tuple[str, str]], restored_from: str | None
) -> None:
    """Nothing is restored a second time, whether the plan still asks for it (`restored_from`) or not."""
    assert CASE.live is not None
    live = replace(CASE.live, private={**CASE.live.private, "restore": state})
    spec = {**CASE.spec, "restored_from": restored_from}

    steps = trace_steps("rds_instance.main", replace_by_restored(SCOPE, NAME, spec, live)).steps

    calls = [step for step in steps if isinstance(step, ApiCall)]
    changes = [dict(call.parameters) for call in calls if call.operation == "modify_db_instance"]
    moves = [(item["DBInstanceIdentifier"], item["NewDBInstanceIdentifier"]) for item in changes if len(item) == 3]
    assert [call.operation for call in calls if call.operation.startswith("restore")] == []
    assert moves == renamed
    assert [item["DBInstanceIdentifier"] for item in changes if "MasterUserPassword" in item] == [NEW] * prepared
    assert [call.operation for call in calls][-2:] == ["add_tags_to_resource", "remove_tags_from_resource"]


def instance(name: str, **tags: str) -> dict[str, Any]:
    added = [{"Key": f"orchestrator:{key.replace('_', '-')}", "Value": value} for key, value in tags.items()]
    return {**AVAILABLE, "DBInstanceIdentifier": name, "TagList": [*AVAILABLE["TagList"], *added]}


MARK = {"restore_of": f"shop/prod {NAME} {OLD}", "restored_from": POINT}
ACCOUNTS: dict[str, tuple[list[dict[str, Any]], RestoreState]] = {
    "beside the old one": ([instance(NAME), instance(NEW, **MARK)], STATES["restored"][0]),
    "the old one has moved": ([instance(OLD), instance(NEW, **MARK)], STATES["the old one moved"][0]),
    "both have moved": ([instance(OLD), instance(NAME, **MARK)], STATES["the new one moved"][0]),
}


@pytest.mark.parametrize(("instances", "state"), ACCOUNTS.values(), ids=ACCOUNTS)
def test_an_unfinished_restore_is_read_as_that(instances: list[dict[str, Any]], state: RestoreState) -> None:
    """At every moment the database is this environment's, and its status says what is left to do."""
    foreign = instance("other-restored-1", restore_of="other/prod other other-before-1", restored_from=POINT)
    caller = ScriptedCaller(lambda *_: [{"DBInstances": [foreign, *instances]}])

    live = rds_instance.read(Reader(caller), SCOPE, NAME, DECLARED)

    assert live is not None
    assert (live.owner, live.status) == ("shop/prod", "available; restore unfinished")
    assert (live.spec["unfinished_restore"], live.spec["restored_from"]) == (POINT, None)
    assert live.private["restore"] == state
