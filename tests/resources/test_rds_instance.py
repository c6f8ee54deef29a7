"""An RDS instance as it is read: precision, what is pending, storage that grows, health, and what people are told."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator import resources
from orchestrator.aws import Reader
from orchestrator.planning.diff import diff
from orchestrator.problems import Problems
from orchestrator.resources import rds_instance
from orchestrator.resources.rds_instance.password import extract_value
from orchestrator.steps import ApiCall, trace_steps
from orchestrator.vocabulary import FieldChange, Health, LiveResource, PendingChange
from tests.aws.fake_clients import ScriptedCaller
from tests.resources.cases import SCOPE

NAME = "shop-prod-main"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-Ab1Cd2"
DECLARED = {
    "version": "16",
    "instance_class": "db.t3.micro",
    "storage_gb": 20,
    "port": 5432,
    "apply": "maintenance-window",
    "credentials": {"managed": False, "secret": SECRET, "key": "Database:main:Password"},
}
AVAILABLE: dict[str, Any] = {
    "DBInstanceIdentifier": NAME,
    "DBInstanceArn": f"arn:aws:rds:eu-west-1:123456789012:db:{NAME}",
    "DBInstanceStatus": "available",
    "DBInstanceClass": "db.t3.micro",
    "EngineVersion": "16.10",
    "AllocatedStorage": 20,
    "Endpoint": {"Address": f"{NAME}.c1.eu-west-1.rds.amazonaws.com", "Port": 5432},
    "PreferredMaintenanceWindow": "sun:04:30-sun:05:30",
    "PendingModifiedValues": {},
    "TagList": [
        {"Key": "orchestrator:project", "Value": "shop"},
        {"Key": "orchestrator:environment", "Value": "prod"},
        {"Key": "orchestrator:apply", "Value": "maintenance-window"},
        {"Key": "orchestrator:credentials", "Value": f"{SECRET} Database:main:Password"},
    ],
}


def read(declared: dict[str, Any] | None = None, **instance: Any) -> LiveResource:
    """The instance as one DescribeDBInstances tells it."""
    found = {**AVAILABLE, **instance}
    others = {**AVAILABLE, "DBInstanceIdentifier": "somebody-elses", "DBInstanceStatus": "failed"}
    caller = ScriptedCaller(lambda *_: [{"DBInstances": [others]}, {"DBInstances": [found]}])
    live = rds_instance.read(Reader(caller), SCOPE, NAME, DECLARED if declared is None else declared)
    assert live is not None
    assert len(caller.calls) == 1
    return live


def differs(declared: dict[str, Any], live: LiveResource) -> dict[str, tuple[Any, Any]]:
    changes = diff(rds_instance.normalise(declared), live.spec)
    return {".".join(change.path): (change.before, change.after) for change in changes}


def test_one_read_tells_all_and_whose_it_is() -> None:
    """Marks, credentials and policy stand on the instance."""
    live = read()

    assert (live.owner, live.health, live.status) == ("shop/prod", Health.HEALTHY, "available")
    assert differs(DECLARED, live) == {}


@pytest.mark.parametrize(
    ("declared", "found"),
    [("16", {}), ("16.10", {}), ("16.4", {"version": ("16.10", "16.4")}), ("17", {"version": ("16", "17")})],
)
def test_a_version_is_compared_as_exactly_as_it_is_declared(declared: str, found: dict[str, Any]) -> None:
    """AWS upgrades minor versions by itself; that is no difference to who named a major one."""
    wanted = {**DECLARED, "version": declared}

    assert differs(wanted, read(wanted)) == found


PENDING = {"DBInstanceClass": "db.t4g.small", "MasterUserPassword": "****"}


def test_what_is_pending_is_no_difference_and_is_told() -> None:
    """It was ordered and waits; a second order would change nothing."""
    wanted = {**DECLARED, "instance_class": "db.t4g.small"}
    live = read(wanted, PendingModifiedValues=PENDING)

    assert differs(wanted, live) == {}
    window = "in the maintenance window sun:04:30-sun:05:30"
    assert live.pending == (PendingChange("instance_class", "db.t3.micro", "db.t4g.small", window),)


def test_what_is_pending_and_wanted_no_more_is_taken_back() -> None:
    """The old value must be ordered, or the window would bring the other."""
    live = read(PendingModifiedValues=PENDING)

    assert differs(DECLARED, live) == {"instance_class": ("db.t4g.small", "db.t3.micro")}


def test_an_upgrade_that_waits_brings_its_parameter_group_along() -> None:
    """RDS refuses a group of the next version before the upgrade, so it must not be ordered again."""
    wanted = {**DECLARED, "version": "17", "parameter_group": "default.postgres17"}
    groups = [{"DBParameterGroupName": "default.postgres16", "ParameterApplyStatus": "in-sync"}]
    live = read(wanted, DBParameterGroups=groups, PendingModifiedValues={"EngineVersion": "17.6"})

    assert differs(wanted, live) == {}


STORAGE = {
    "as declared": (20, {}, {}),
    "rounded up by RDS": (22, {}, {}),
    "grown by itself where that is wanted": (60, {"storage_max_gb": 100}, {}),
    "smaller": (20, {"storage_gb": 40}, {"storage_gb": (20, 40)}),
    "larger": (60, {}, {}),
    "larger than it may grow": (120, {"storage_max_gb": 100}, {}),
}


@pytest.mark.parametrize(("size", "declared", "found"), STORAGE.values(), ids=STORAGE.keys())
def test_storage_never_shrinks(size: int, declared: dict[str, Any], found: dict[str, Any]) -> None:
    """More than was asked for is never a change; what somebody enlarged by hand is named with the edit that follows."""
    wanted = {**DECLARED, **declared}
    live = read(wanted, AllocatedStorage=size, MaxAllocatedStorage=wanted.get("storage_max_gb"))
    is_enlarged = size > max(22, wanted.get("storage_max_gb", 0))

    assert differs(wanted, live) == found
    assert [item.live for item in live.unmanaged] == ([size] if is_enlarged else [])


def test_an_instance_without_an_address_is_not_ready() -> None:
    """A run that was killed while RDS was creating it goes on waiting on the next one."""
    live = read(DBInstanceStatus="creating", Endpoint=None, DbInstancePort=5432)

    assert live.health is Health.PROGRESSING
    assert "host" not in live.outputs
    assert differs(DECLARED, live) == {"ready": (False, True)}


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ("available", Health.HEALTHY),
        ("backing-up", Health.HEALTHY),
        ("storage-optimization", Health.HEALTHY),
        ("modifying", Health.PROGRESSING),
        ("deleting", Health.PROGRESSING),
        ("failed", Health.FAILED),
        ("storage-full", Health.FAILED),
        ("stopped", Health.FAILED),
        ("incompatible-parameters", Health.FAILED),
    ],
)
def test_a_status_is_well_under_way_or_failed(status: str, health: Health) -> None:
    """And whatever has failed has a sentence of what to look at."""
    live = read(DBInstanceStatus=status)

    assert live.health is health
    assert resources.unhealthy_hint("rds_instance", live)
    assert health is not Health.FAILED or "Look" not in resources.unhealthy_hint("rds_instance", live)[:4]


def test_a_protected_database_says_what_to_do_first() -> None:
    """AWS refuses to delete it."""
    assert "deletionProtection: false" in rds_instance.stuck(read(DeletionProtection=True))


def test_a_restart_that_parameters_wait_for_is_told() -> None:
    """RDS never restarts by itself for them."""
    groups = [{"DBParameterGroupName": "x", "ParameterApplyStatus": "pending-reboot"}]

    pending = PendingChange("parameters", None, "static parameters of x", "at the next restart")
    assert read(DBParameterGroups=groups).pending == (pending,)


LIVE = LiveResource(
    {"apply": "maintenance-window", "maintenance_window": "sun:04:30-sun:05:30"},
    private={"identifier": "shop-prod-main", "version": "16.4"},
)
SNAPSHOT = "A snapshot is created first, named shop-prod-main-before-{} (with a number if that name is "
SNAPSHOT += "taken), and kept until you delete it."
EFFECTS = {
    "another class": (
        [("instance_class", "db.t3.micro", "db.t4g.small")],
        [
            "Changing the class causes a few minutes of downtime, in the maintenance window sun:04:30-sun:05:30.",
            SNAPSHOT.format("class-db-t4g-small"),
        ],
    ),
    "another class, now": (
        [("instance_class", "db.t3.micro", "db.t4g.small"), ("apply", None, "immediately")],
        ["Changing the class causes a few minutes of downtime, now.", SNAPSHOT.format("class-db-t4g-small")],
    ),
    "a minor upgrade": (
        [("version", "16.4", "16.10"), ("maintenance_window", "x", "mon:01:00-mon:02:00")],
        ["A minor upgrade causes a few minutes of downtime, in the maintenance window mon:01:00-mon:02:00."],
    ),
    "a major upgrade": (
        [("version", "16", "17"), ("apply", None, "immediately")],
        [
            "Upgrading from 16 to 17 causes up to an hour of downtime, now, and cannot be undone.",
            SNAPSHOT.format("version-17"),
        ],
    ),
    "more storage": (
        [("storage_gb", 20, 40)],
        ["No outage. RDS optimises the storage for several hours; the storage cannot be changed again for 6 hours."],
    ),
    "room to grow": ([("storage_max_gb", None, 40)], []),
    "backups off": (
        [("backup_retention_days", 7, 0)],
        [
            "Turning backups on or off suspends I/O for seconds to minutes.",
            "Without backups, point-in-time recovery is not possible.",
        ],
    ),
    "backups longer": ([("backup_retention_days", 7, 14)], []),
    "open to the internet": ([("public", False, True)], ["The database becomes reachable from the internet."]),
    "marks only": ([("tags", None, "x")], []),
}


@pytest.mark.parametrize(("changes", "sentences"), EFFECTS.values(), ids=EFFECTS.keys())
def test_people_are_told_what_they_will_notice(changes: list[tuple[str, Any, Any]], sentences: list[str]) -> None:
    """One sentence for each thing, with the time it happens."""
    fields = tuple(FieldChange((name,), before, after) for name, before, after in changes)

    assert list(resources.update_effects("rds_instance", fields, LIVE)) == sentences


@pytest.mark.parametrize("document", ["{}", "no JSON", "[]", ""])
def test_a_secret_without_the_password_is_a_problem_and_no_crash(document: str) -> None:
    """What to do is said; what the secret holds is not."""
    with pytest.raises(Problems, match="the secret has no value for Database:main:Password"):
        extract_value({"SecretString": document}, "Database:main:Password")


@pytest.mark.parametrize(("grown", "sent"), [(20, 40), (40, 40), (100, 100)])
def test_storage_that_rds_grew_by_itself_is_not_asked_to_shrink(grown: int, sent: int) -> None:
    """RDS refuses to (User Guide, "Working with storage": "you can't reduce the amount of storage"); every apply of
    another storage setting would fail."""
    declared = {**DECLARED, "storage_gb": 40, "storage_type": "gp3"}
    live = read(declared, AllocatedStorage=grown, StorageType="gp2")

    steps = trace_steps("x.y", rds_instance.update(SCOPE, NAME, declared, live, frozenset({"storage_type"}))).steps

    call = steps[0]
    assert isinstance(call, ApiCall)
    assert (call.operation, call.parameters["AllocatedStorage"]) == ("modify_db_instance", sent)
