"""Database, secret and network together on an emulated AWS: passwords, recovery, protection, and the way out."""

from __future__ import annotations

import json
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
from orchestrator.vocabulary import Actuation, DesiredState
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
        ("secretsmanager_value.app", "changed by hand")
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
    assert (failed.address, "no JSON object" in failed.reason) == ("secretsmanager_value.app", True)
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


def test_less_storage_is_vetoed(tmp_path: Path, aws: Aws) -> None:
    """It would be another, empty database."""
    apply_all(
        aws,
        manifest_stacks.load_desired(
            tmp_path, make_document("Database", "main", DATABASE + "storage: { sizeGb: 40 }"), APP
        ),
    )
    vetoes = [
        v.name for c in planned(aws, manifest_stacks.load_desired(tmp_path, MAIN, APP)).plan.changes for v in c.vetoes
    ]

    assert vetoes == ["Stateful"]


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
