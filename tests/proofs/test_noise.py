"""What AWS fills in by itself is no change; what a person changes is one when the manifest speaks of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.aws import AwsError
from orchestrator.emulator import Emulator
from orchestrator.vocabulary import DesiredState
from tests.proofs import real_stack

pytestmark = [pytest.mark.both_backends]

FILES = "joiabagur-files-prod"
DATABASE = "joiabagur-prod-main"
ROLE = "joiabagur-prod-api-instance"
ALARM = "joiabagur-prod-main-connections"


def call(service: str, operation: str, **parameters: Any) -> Any:
    """A person with a console."""
    return real_stack.clients().call(service, operation, parameters)


def tag_bucket() -> None:
    tags = call("s3", "get_bucket_tagging", Bucket=FILES)["TagSet"]
    call("s3", "put_bucket_tagging", Bucket=FILES, Tagging={"TagSet": [*tags, {"Key": "cost-centre", "Value": "7"}]})


def stop_versioning() -> None:
    call("s3", "put_bucket_versioning", Bucket=FILES, VersioningConfiguration={"Status": "Suspended"})


def shorten_backups() -> None:
    call("rds", "modify_db_instance", DBInstanceIdentifier=DATABASE, BackupRetentionPeriod=1, ApplyImmediately=True)


def lengthen_sessions() -> None:
    call("iam", "update_role", RoleName=ROLE, MaxSessionDuration=7200)


def widen_role() -> None:
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    call("iam", "put_role_policy", RoleName=ROLE, PolicyName="orchestrator", PolicyDocument=policy)


def lift_block() -> None:
    call("s3", "delete_public_access_block", Bucket=FILES)


def raise_threshold() -> None:
    alarm = call("cloudwatch", "describe_alarms", AlarmNamePrefix=ALARM)["MetricAlarms"][0]
    kept = (
        "AlarmName", "AlarmDescription", "MetricName", "Namespace", "Statistic", "Dimensions", "Period",
        "EvaluationPeriods", "ComparisonOperator", "AlarmActions", "TreatMissingData",
    )  # fmt: skip
    call("cloudwatch", "put_metric_alarm", **{key: alarm[key] for key in kept if key in alarm}, Threshold=999.0)


def look() -> dict[str, Any]:
    """What the edits here may change, as AWS returns it."""
    instance = call("rds", "describe_db_instances", DBInstanceIdentifier=DATABASE)["DBInstances"][0]
    try:
        block = call("s3", "get_public_access_block", Bucket=FILES)["PublicAccessBlockConfiguration"]
    except AwsError as error:
        block = error.code
    return {
        "tags": sorted(tag["Key"] for tag in call("s3", "get_bucket_tagging", Bucket=FILES)["TagSet"]),
        "versioning": call("s3", "get_bucket_versioning", Bucket=FILES).get("Status"),
        "block": block,
        "backups": instance["BackupRetentionPeriod"],
        "sessions": call("iam", "get_role", RoleName=ROLE)["Role"]["MaxSessionDuration"],
        "policy": call("iam", "get_role_policy", RoleName=ROLE, PolicyName="orchestrator")["PolicyDocument"],
        "threshold": call("cloudwatch", "describe_alarms", AlarmNamePrefix=ALARM)["MetricAlarms"][0]["Threshold"],
    }


Edit = Callable[[], None]
OUTSIDE: dict[str, tuple[Edit, str]] = {
    "a tag of somebody's": (tag_bucket, "tags"),
    "a setting that no manifest has": (lengthen_sessions, "sessions"),
}
INSIDE: dict[str, tuple[Edit, str, str]] = {
    "versioning switched off": (stop_versioning, "versioning", "s3_bucket.files"),
    "backups shortened": (shorten_backups, "backups", "rds_instance.main"),
    "a role widened": (widen_role, "policy", "iam_role.api-instance"),
    "the public access block lifted": (lift_block, "block", "s3_bucket.files"),
    "an alarm's threshold raised": (raise_threshold, "threshold", "cloudwatch_alarm.main-connections"),
}


def test_defaults_that_aws_fills_in_are_no_change(emulator: Emulator, applied: DesiredState) -> None:
    """A second and a third plan after the apply are empty."""
    assert real_stack.describe_changes(real_stack.make_plan(applied)) == []
    assert real_stack.describe_changes(real_stack.make_plan(applied)) == []


def edit_by_hand(by_hand: Edit, subject: str) -> dict[str, Any]:
    """Change AWS and return what it was before; exactly the subject has changed."""
    before = look()
    by_hand()
    after = look()
    assert {key for key in before if before[key] != after[key]} == {subject}
    return before


@pytest.mark.parametrize(("by_hand", "subject"), OUTSIDE.values(), ids=OUTSIDE.keys())
def test_what_the_manifest_leaves_unsaid_is_not_shown(
    emulator: Emulator, applied: DesiredState, by_hand: Edit, subject: str
) -> None:
    """A change outside the manifest's interest is not ours to speak of, nor to undo with another change."""
    edit_by_hand(by_hand, subject)
    expected = look()[subject]

    assert real_stack.describe_changes(real_stack.make_plan(applied)) == []
    stop_versioning()
    widen_role()
    assert real_stack.list_failures(real_stack.apply(applied)) == []
    assert look()[subject] == expected


@pytest.mark.parametrize(("by_hand", "subject", "address"), INSIDE.values(), ids=INSIDE.keys())
def test_what_the_manifest_states_is_shown_and_healed(
    emulator: Emulator, applied: DesiredState, by_hand: Edit, subject: str, address: str
) -> None:
    """Drift of a stated field is exactly one change; applying heals it."""
    before = edit_by_hand(by_hand, subject)
    assert [change.address for change in real_stack.make_plan(applied).pending_changes] == [address]

    assert real_stack.list_failures(real_stack.apply(applied)) == []

    assert look() == before
    assert real_stack.describe_changes(real_stack.make_plan(applied)) == []
