"""Database, secret and network together on an emulated AWS: passwords, recovery, protection, and the way out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import emulator
from orchestrator.aws import Clients
from orchestrator.planning import apply, plan, snapshot
from orchestrator.planning.events import ignore_event
from orchestrator.planning.plan import PreparedPlan
from orchestrator.problems import ExitCode
from orchestrator.render import drift, plan_view
from orchestrator.render.style import Style
from orchestrator.vocabulary import Action, Actuation, Change, DesiredState
from tests.components import manifest_stacks
from tests.components.manifest_stacks import make_document
from tests.resources.cases import SCOPE
from tests.resources.conftest import Aws

DATABASE = """
version: "16"
instanceClass: db.t3.micro
database: shop
username: shop
deletionProtection: false
deletionPolicy: delete
"""
SECRET = """
name: shop
deletionPolicy: delete
data:
  Dsn: ${database.main.connectionString}
  Jwt:Key: { generate: { length: 40 } }
"""
MAIN = make_document("Database", "main", DATABASE)
APP = make_document("Secret", "app", SECRET)

pytestmark = pytest.mark.xdist_group("resources-moto")


@pytest.fixture(scope="module")
def running() -> Iterator[Aws]:
    """RDS takes a moment for everything, as it does."""
    with emulator.start(backend="moto", settle_seconds=0.05, account=SCOPE.account, region=SCOPE.region) as found:
        yield Aws(found, Clients(SCOPE.region, attempts=2))


def planned(aws: Aws, desired: DesiredState, allow: str = "") -> PreparedPlan:
    return plan.build(desired, snapshot.take(aws.reader(), desired, workers=4), allow=allow, destroying=True)


def apply_all(aws: Aws, desired: DesiredState) -> PreparedPlan:
    """Plan, lift what only the token can, apply, and see that nothing is left to do."""
    first = planned(aws, desired)
    done = planned(aws, desired, allow=first.plan.token)
    assert not done.plan.is_vetoed, done.plan.changes
    outcomes = apply.apply(done, aws.actuator.perform, ignore_event, workers=4)
    assert apply.exit_code(outcomes) is ExitCode.OK, [o for o in outcomes if o.actuation is Actuation.FAILED]
    again = planned(aws, desired)
    assert [(change.address, change.fields) for change in again.plan.pending_changes] == []
    return done


def value(aws: Aws) -> dict[str, str]:
    answer = aws.clients.call("secretsmanager", "get_secret_value", {"SecretId": "shop"})
    return dict(json.loads(answer["SecretString"]))


def calls(done: PreparedPlan, address: str) -> list[str]:
    return [step.action for change in done.plan.pending_changes if change.address == address for step in change.steps]


def test_the_secret_holds_what_the_database_was_told(tmp_path: Path, aws: Aws) -> None:
    """Composed string and parts agree, each key with a colon stands there twice, and no plan shows the password."""
    done = apply_all(aws, manifest_stacks.load_desired(tmp_path, MAIN, APP))
    found = value(aws)
    password = found["Database:main:Password"]

    assert found["Dsn"] == (
        f"Host={found['Database:main:Host']};Port=5432;Database=shop;Username=shop;Password={password}"
        ";SSL Mode=Require;Minimum Pool Size=1;Maximum Pool Size=10"
    )
    assert (len(password), len(found["Jwt:Key"])) == (32, 40)
    assert found["Database__main__Password"] == password
    assert found["Jwt__Key"] == found["Jwt:Key"]
    assert password not in repr(done.plan)


def test_generated_values_outlive_every_change_of_the_document(tmp_path: Path, aws: Aws) -> None:
    """A new key is generated, the old ones stay; the database is left in peace."""
    apply_all(aws, manifest_stacks.load_desired(tmp_path, MAIN, APP))
    before = value(aws)
    done = apply_all(
        aws,
        manifest_stacks.load_desired(
            tmp_path, MAIN, APP + "  Api: { generate: {} }\n  Plain: text\n".replace("  ", "    ")
        ),
    )
    after = value(aws)

    assert {change.address for change in done.plan.pending_changes} == {
        "secretsmanager_secret.app",
        "secretsmanager_value.app",
    }
    assert {key: after[key] for key in before} == before
    assert (len(after["Api"]), after["Plain"]) == (32, "text")


def test_a_value_changed_by_hand_is_noticed_without_being_read(tmp_path: Path, aws: Aws) -> None:
    """Its version is not the one that was written; the document is composed again with the values it needs."""
    desired = manifest_stacks.load_desired(tmp_path, MAIN, APP)
    apply_all(aws, desired)
    body = {"SecretId": "shop", "SecretString": json.dumps({**value(aws), "Dsn": "mine"})}
    aws.clients.call("secretsmanager", "put_secret_value", body)
    done = apply_all(aws, desired)

    assert [(change.address, change.fields[0].before) for change in done.plan.pending_changes] == [
        ("secretsmanager_value.app", "changed manually")
    ]
    assert value(aws)["Dsn"].startswith("Host=")


def put(aws: Aws, **secret: str | bytes) -> None:
    aws.clients.call("secretsmanager", "put_secret_value", {"SecretId": "shop", **secret})


def test_a_key_set_by_hand_is_kept_until_the_manifest_says_otherwise(tmp_path: Path, aws: Aws) -> None:
    """A third party's key has no value in git: an apply that writes the document does not delete it."""
    desired = manifest_stacks.load_desired(tmp_path, MAIN, APP)
    apply_all(aws, desired)
    put(aws, SecretString=json.dumps({**value(aws), "Stripe:Key": "sk", "Dsn": "mine"}))
    apply_all(aws, desired)

    assert value(aws)["Stripe:Key"] == "sk"
    assert value(aws)["Dsn"].startswith("Host=")
    exact = APP.replace("  name: shop\n", "  name: shop\n  unknownKeys: remove\n")
    apply_all(aws, manifest_stacks.load_desired(tmp_path, MAIN, exact))
    assert "Stripe:Key" not in value(aws)
    assert value(aws)["Jwt__Key"] == value(aws)["Jwt:Key"]


@pytest.mark.parametrize("foreign", [{"SecretString": "plain text"}, {"SecretString": "[1]"}, {"SecretBinary": b"pem"}])
def test_a_value_that_is_no_json_object_is_not_written_over(
    tmp_path: Path, aws: Aws, foreign: dict[str, str | bytes]
) -> None:
    """Somebody put a PEM or a single value there: an apply stops before it is lost."""
    desired = manifest_stacks.load_desired(tmp_path, MAIN, APP)
    apply_all(aws, desired)
    put(aws, **foreign)
    outcomes = apply.apply(planned(aws, desired), aws.actuator.perform, ignore_event, workers=1)

    [failed] = [outcome for outcome in outcomes if outcome.actuation is Actuation.FAILED]
    assert (failed.address, "JSON object" in failed.reason) == ("secretsmanager_value.app", True)
    answer = aws.clients.call("secretsmanager", "get_secret_value", {"SecretId": "shop"})
    assert {key: answer[key] for key in foreign} == foreign


def test_a_deleted_secret_comes_back_with_its_values(tmp_path: Path, aws: Aws) -> None:
    """Within the recovery window the same manifest restores it, ARN and all, and the password still fits."""
    desired = manifest_stacks.load_desired(tmp_path, MAIN, APP)
    apply_all(aws, desired)
    before = value(aws)
    aws.clients.call("secretsmanager", "delete_secret", {"SecretId": "shop", "RecoveryWindowInDays": 30})
    done = apply_all(aws, desired)

    assert calls(done, "secretsmanager_secret.app") == ["secretsmanager:RestoreSecret"]
    assert calls(done, "rds_instance.main") == []
    assert value(aws) == before


def test_a_secret_made_again_gives_the_database_a_new_password(tmp_path: Path, aws: Aws) -> None:
    """It has another ARN and other values; the database is told, and only then bears the new ARN."""
    desired = manifest_stacks.load_desired(tmp_path, MAIN, APP)
    apply_all(aws, desired)
    before = value(aws)
    aws.clients.call("secretsmanager", "delete_secret", {"SecretId": "shop", "ForceDeleteWithoutRecovery": True})
    done = apply_all(aws, desired)

    assert calls(done, "rds_instance.main") == [
        "secretsmanager:GetSecretValue",
        "compute",
        "rds:ModifyDBInstance",
        "rds:DescribeDBInstances",
        "rds:AddTagsToResource",
    ]
    assert value(aws)["Database:main:Password"] != before["Database:main:Password"]


def test_a_class_waits_for_its_window_and_then_for_nobody(tmp_path: Path, aws: Aws) -> None:
    """Pending counts as ordered; `apply: immediately` carries it out."""
    apply_all(aws, manifest_stacks.load_desired(tmp_path, MAIN, APP))
    larger = MAIN.replace("db.t3.micro", "db.t3.small")
    apply_all(aws, manifest_stacks.load_desired(tmp_path, larger, APP))
    assert shown(aws)["DBInstanceClass"] == "db.t3.micro"
    assert shown(aws)["PendingModifiedValues"] == {"DBInstanceClass": "db.t3.small"}

    now = make_document("Database", "main", DATABASE.replace("t3.micro", "t3.small") + "apply: immediately")
    apply_all(aws, manifest_stacks.load_desired(tmp_path, now, APP))
    assert shown(aws)["DBInstanceClass"] == "db.t3.small"
    assert shown(aws)["PendingModifiedValues"] == {}


def shown(aws: Aws) -> dict[str, Any]:
    answer = aws.clients.call("rds", "describe_db_instances", {"DBInstanceIdentifier": "shop-prod-main"})
    return dict(answer["DBInstances"][0])


def test_a_parameter_group_stays_until_nothing_uses_it(tmp_path: Path, aws: Aws) -> None:
    """InvalidDBParameterGroupState counted as deleted: each run said that it had deleted the group, and it stayed.

    Sources: RDS API reference, DeleteDBParameterGroup ("can't be associated with any DB instances").
    """
    parameters = "{ log_statement: ddl }"
    apply_all(aws, load(tmp_path, version='"15"', parameters=parameters))
    waiting = load(tmp_path, version='"16"', parameters=parameters)

    upgrade = apply_all(aws, waiting).plan
    left = planned(aws, waiting).plan
    note = (
        "shop-prod-main-postgres15 is kept: shop-prod-main still uses it. "
        "It is deleted by the first apply after it is no longer in use."
    )
    assert [(note in shown.notes, list_groups(aws)) for shown in (upgrade, left)] == [
        (True, ["shop-prod-main-postgres15", "shop-prod-main-postgres16"])
    ] * 2

    done = apply_all(aws, load(tmp_path, version='"16"', parameters=parameters, apply="immediately"))
    assert [change.physical for change in done.plan.pending_changes if change.action is Action.DELETE] == [
        "shop-prod-main-postgres15"
    ]
    assert list_groups(aws) == ["shop-prod-main-postgres16"]


def test_a_destroyed_stack_leaves_a_group_that_somebody_else_uses(tmp_path: Path, aws: Aws) -> None:
    """AWS refuses to delete it for as long as that instance exists, and the rest goes."""
    apply_all(aws, load(tmp_path, parameters="{ log_statement: ddl }"))
    theirs = {"DBInstanceIdentifier": "theirs", "DBParameterGroupName": "shop-prod-main-postgres16"}
    shape = {"Engine": "postgres", "EngineVersion": "16.4", "DBInstanceClass": "db.t3.micro", "AllocatedStorage": 20}
    credentials = {"MasterUsername": "them", "MasterUserPassword": "theirs-and-theirs"}
    aws.clients.call("rds", "create_db_instance", {**theirs, **shape, **credentials})

    done = apply_all(aws, manifest_stacks.load_desired(tmp_path))

    assert [note for note in done.plan.notes if "shop-prod-main-postgres16 is kept: theirs still uses it" in note]
    assert list_groups(aws) == ["shop-prod-main-postgres16"]
    assert live_database(aws)["DBInstanceIdentifier"] == "theirs"


def list_groups(aws: Aws) -> list[str]:
    groups = aws.clients.call("rds", "describe_db_parameter_groups", {})["DBParameterGroups"]
    return sorted(name for item in groups if not (name := item["DBParameterGroupName"]).startswith("default."))


def test_storage_grows_at_once(tmp_path: Path, aws: Aws) -> None:
    """Without an outage there is nothing to wait for."""
    apply_all(aws, manifest_stacks.load_desired(tmp_path, MAIN, APP))
    apply_all(
        aws,
        manifest_stacks.load_desired(
            tmp_path, make_document("Database", "main", DATABASE + "storage: { sizeGb: 40 }"), APP
        ),
    )

    assert (shown(aws)["AllocatedStorage"], shown(aws)["PendingModifiedValues"]) == (40, {})


def load(tmp_path: Path, **settings: str) -> DesiredState:
    """The stack with settings of the database in YAML, in addition to or instead of its own."""
    lines = [line for line in DATABASE.splitlines() if line.partition(":")[0] not in settings]
    text = "\n".join([*lines, *(f"{key}: {text}" for key, text in settings.items())]) + "\n"
    return manifest_stacks.load_desired(tmp_path, make_document("Database", "main", text), APP)


def database_change(aws: Aws, desired: DesiredState) -> Change:
    changes = planned(aws, desired).plan.changes
    return next(change for change in changes if change.address == "rds_instance.main")


def live_database(aws: Aws) -> Any:
    return aws.clients.call("rds", "describe_db_instances", {})["DBInstances"][0]


def modify_by_hand(aws: Aws, **members: Any) -> None:
    aws.clients.call("rds", "modify_db_instance", {"DBInstanceIdentifier": "shop-prod-main", **members})
    wait_for_status(aws, "available")


def wait_for_status(aws: Aws, status: str) -> None:
    deadline = time.monotonic() + 10
    while live_database(aws)["DBInstanceStatus"] != status:
        assert time.monotonic() < deadline, live_database(aws)["DBInstanceStatus"]
        time.sleep(0.02)


def test_an_enlarged_disk_is_growth_not_another_database(tmp_path: Path, aws: Aws) -> None:
    """Storage cannot shrink (RDS User Guide, "Increasing DB instance storage capacity"): one edit accepts it."""
    apply_all(aws, load(tmp_path))
    modify_by_hand(aws, AllocatedStorage=40, ApplyImmediately=True)
    time.sleep(0.1)
    change = database_change(aws, load(tmp_path))
    report = drift.build_view(planned(aws, load(tmp_path)).plan)

    assert (change.action, change.vetoes) == (Action.NONE, ())
    assert [(item.field, item.live, item.expected) for item in change.unmanaged] == [("storage_gb", 40, 20)]
    assert "set `storage.sizeGb: 40`" in change.unmanaged[0].remedy
    assert (report.count(drift.SyncStatus.DRIFTED), report.is_in_sync) == (1, False)
    assert database_change(aws, load(tmp_path, storage="{ sizeGb: 40 }")).unmanaged == ()


PENDING_CASES = {
    "version": ('"15"', '"16"', "EngineVersion"),
    "instanceClass": ("db.t3.micro", "db.t3.small", "DBInstanceClass"),
}


@pytest.mark.parametrize(("setting", "before", "after", "member"), [(k, *v) for k, v in PENDING_CASES.items()])
def test_a_pending_change_is_shown_and_can_be_taken_back(
    tmp_path: Path, aws: Aws, setting: str, before: str, after: str, member: str
) -> None:
    """It is reverted with ApplyImmediately (RDS User Guide, "Using the schedule modifications setting")."""
    other = "multiAz"
    original = load(tmp_path, **{setting: before})
    apply_all(aws, original)
    queued = load(tmp_path, **{setting: after, other: "true", "maintenanceWindow": "sun:05:00-sun:06:00"})
    apply_all(aws, queued)
    shown = planned(aws, queued).plan
    pending = {item.field: item.when for change in shown.changes for item in change.pending}
    report = drift.build_view(shown)

    assert "in the maintenance window sun:05:00-sun:06:00" in pending.values()
    assert plan_view.format_headline(shown).endswith("1 pending")
    assert (report.count(drift.SyncStatus.PENDING), report.is_in_sync, report.needs_attention) == (1, False, False)

    present = live_database(aws)[member]
    done = apply_all(aws, load(tmp_path, **{setting: before, other: "true"}))
    effects = [effect for change in done.plan.changes for effect in change.effects]
    assert [effect for effect in effects if effect.startswith("Cancels the pending change")]
    assert not any("downtime" in effect for effect in effects)
    assert live_database(aws)[member] == present
    assert live_database(aws)["PendingModifiedValues"].keys() <= {"MultiAZ"}


def test_a_pending_change_by_hand_is_drift_and_is_taken_back(tmp_path: Path, aws: Aws) -> None:
    apply_all(aws, load(tmp_path))
    modify_by_hand(aws, DBInstanceClass="db.m7g.large", ApplyImmediately=False)
    change = database_change(aws, load(tmp_path))

    assert [(field.path, field.before, field.after) for field in change.fields] == [
        (("instance_class",), "db.m7g.large", "db.t3.micro")
    ]
    apply_all(aws, load(tmp_path))
    assert live_database(aws)["PendingModifiedValues"] == {}


def test_what_waits_is_applied_now_on_request(tmp_path: Path, aws: Aws) -> None:
    apply_all(aws, load(tmp_path))
    apply_all(aws, load(tmp_path, instanceClass="db.t3.small"))
    apply_all(aws, load(tmp_path, instanceClass="db.t3.small", apply="immediately"))

    assert live_database(aws)["DBInstanceClass"] == "db.t3.small"
    modify_by_hand(aws, DBInstanceClass="db.t3.medium", ApplyImmediately=False)
    apply_all(aws, load(tmp_path, instanceClass="db.t3.medium", apply="immediately"))
    assert live_database(aws)["DBInstanceClass"] == "db.t3.medium"


def test_a_version_that_aws_raised_within_the_pin_is_no_drift(tmp_path: Path, aws: Aws) -> None:
    """AutoMinorVersionUpgrade raises it; RDS refuses a downgrade ("Cannot upgrade postgres from 16.10 to 16.8")."""
    apply_all(aws, load(tmp_path, version='"16.8"'))
    modify_by_hand(aws, EngineVersion="16.10", ApplyImmediately=True)
    time.sleep(0.1)
    raised = database_change(aws, load(tmp_path, version='"16.8"'))
    pinned = database_change(aws, load(tmp_path, version='"16.8"', minorUpgrades="false"))
    older = database_change(aws, load(tmp_path, version='"15"'))

    assert (raised.action, "AWS upgraded 16.8 to 16.10" in raised.status) == (Action.NONE, True)
    assert ["RDS cannot go back from version 16.10 to 16.8" in veto.sentence for veto in pinned.vetoes] == [True]
    assert [veto.name for veto in older.vetoes] == ["Refused"]


def test_a_stopped_database_is_unhealthy_and_is_not_changed(tmp_path: Path, aws: Aws) -> None:
    """RDS modifies no stopped instance (User Guide, "Stopping an Amazon RDS DB instance temporarily")."""
    apply_all(aws, load(tmp_path))
    aws.clients.call("rds", "stop_db_instance", {"DBInstanceIdentifier": "shop-prod-main"})
    wait_for_status(aws, "stopped")
    report = drift.build_view(planned(aws, load(tmp_path)).plan)
    refused = database_change(aws, load(tmp_path, instanceClass="db.t3.small"))

    assert (report.count(drift.SyncStatus.UNHEALTHY), report.is_in_sync, report.needs_attention) == (1, False, True)
    assert "aws rds start-db-instance" in drift.render_text(report, Style())
    assert [veto.name for veto in refused.vetoes] == ["Refused"]
    aws.clients.call("rds", "start_db_instance", {"DBInstanceIdentifier": "shop-prod-main"})
    wait_for_status(aws, "available")


def test_a_snapshot_that_exists_is_no_deletion(tmp_path: Path, aws: Aws) -> None:
    """DBSnapshotAlreadyExists means that the deletion did not start: the instance stays, and the run says so."""
    apply_all(aws, load(tmp_path))
    resource_id = live_database(aws)["DbiResourceId"].removeprefix("db-").lower()[:12]
    snapshot_name = f"shop-prod-main-final-{resource_id}"
    request = {"DBInstanceIdentifier": "shop-prod-main", "DBSnapshotIdentifier": snapshot_name}
    aws.clients.call("rds", "create_db_snapshot", request)
    time.sleep(0.1)
    first = planned(aws, DesiredState(SCOPE, ()))
    done = planned(aws, DesiredState(SCOPE, ()), allow=first.plan.token)
    outcomes = apply.apply(done, aws.actuator.perform, ignore_event, workers=4)
    failed = [outcome for outcome in outcomes if outcome.actuation is Actuation.FAILED]

    assert "was not deleted: its final snapshot" in failed[0].reason
    assert live_database(aws)["DBInstanceStatus"] == "available"
    aws.clients.call("rds", "delete_db_snapshot", {"DBSnapshotIdentifier": snapshot_name})


def test_everything_goes_and_leaves_a_snapshot(tmp_path: Path, aws: Aws) -> None:
    """In an order that AWS allows; network and VPC stay, the secret can be restored for 30 days."""
    apply_all(aws, manifest_stacks.load_desired(tmp_path, MAIN, APP))
    apply_all(aws, DesiredState(SCOPE, ()))
    snapshots = aws.clients.call("rds", "describe_db_snapshots", {})["DBSnapshots"]
    secret = aws.clients.call("secretsmanager", "describe_secret", {"SecretId": "shop"})

    assert [each["DBSnapshotIdentifier"].startswith("shop-prod-main-final") for each in snapshots] == [True]
    assert "DeletedDate" in secret


def test_two_groups_that_name_each_other_both_go(tmp_path: Path, aws: Aws) -> None:
    """Our rule that names a group goes before the group, whichever is first."""
    apply_all(aws, manifest_stacks.load_desired(tmp_path, MAIN, make_document("Database", "twin", DATABASE)))
    ids = {
        group["GroupName"]: group["GroupId"]
        for group in aws.clients.call("ec2", "describe_security_groups", {})["SecurityGroups"]
    }
    pair = (ids["shop-prod-main"], ids["shop-prod-twin"])
    for group, other in (pair, pair[::-1]):
        rule = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [{"GroupId": other}]}
        body = {"GroupId": group, "IpPermissions": [rule]}
        aws.clients.call("ec2", "authorize_security_group_ingress", body)
    apply_all(aws, DesiredState(SCOPE, ()))

    left = aws.clients.call("ec2", "describe_security_groups", {})["SecurityGroups"]
    assert not {"shop-prod-main", "shop-prod-twin"} & {group["GroupName"] for group in left}
