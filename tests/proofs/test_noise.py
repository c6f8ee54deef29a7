"""What AWS fills in by itself is no change; what a person changes is one when the manifest speaks of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.emulator import Emulator
from orchestrator.vocabulary import DesiredState
from tests.proofs import real_stack

pytestmark = [pytest.mark.both_backends]

FILES = "joiabagur-files-prod"
DATABASE = "joiabagur-prod-main"


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


def copy_tags() -> None:
    call("rds", "modify_db_instance", DBInstanceIdentifier=DATABASE, MonitoringInterval=0, ApplyImmediately=True)


def widen_role() -> None:
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    role = "joiabagur-prod-api-instance"
    call("iam", "put_role_policy", RoleName=role, PolicyName="orchestrator", PolicyDocument=policy)


def lift_block() -> None:
    call("s3", "delete_public_access_block", Bucket=FILES)


def raise_threshold() -> None:
    alarm = call("cloudwatch", "describe_alarms", AlarmNamePrefix="joiabagur-prod-main-connections")["MetricAlarms"][0]
    kept = (
        "AlarmName", "AlarmDescription", "MetricName", "Namespace", "Statistic", "Dimensions", "Period",
        "EvaluationPeriods", "ComparisonOperator", "AlarmActions", "TreatMissingData",
    )  # fmt: skip
    call("cloudwatch", "put_metric_alarm", **{key: alarm[key] for key in kept if key in alarm}, Threshold=999.0)


OUTSIDE: dict[str, Callable[[], None]] = {"a tag of somebody's": tag_bucket, "a setting we do not state": copy_tags}
INSIDE: dict[str, tuple[Callable[[], None], str]] = {
    "versioning switched off": (stop_versioning, "s3_bucket.files"),
    "backups shortened": (shorten_backups, "rds_instance.main"),
    "a role widened": (widen_role, "iam_role.api-instance"),
    "the public access block lifted": (lift_block, "s3_bucket.files"),
    "an alarm's threshold raised": (raise_threshold, "cloudwatch_alarm.main-connections"),
}


def test_defaults_that_aws_fills_in_are_no_change(emulator: Emulator, applied: DesiredState) -> None:
    """A second and a third plan after the apply are empty."""
    assert real_stack.describe_changes(real_stack.make_plan(applied)) == []
    assert real_stack.describe_changes(real_stack.make_plan(applied)) == []


@pytest.mark.parametrize("by_hand", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_what_the_manifest_leaves_unsaid_is_not_shown(
    emulator: Emulator, applied: DesiredState, by_hand: Callable[[], None]
) -> None:
    """A change outside the manifest's interest is not ours to speak of."""
    by_hand()

    assert real_stack.describe_changes(real_stack.make_plan(applied)) == []


@pytest.mark.parametrize(("by_hand", "address"), INSIDE.values(), ids=INSIDE.keys())
def test_what_the_manifest_states_is_shown_and_healed(
    emulator: Emulator, applied: DesiredState, by_hand: Callable[[], None], address: str
) -> None:
    """Drift of a stated field is exactly one change; applying heals it."""
    by_hand()
    assert [change.address for change in real_stack.make_plan(applied).pending_changes] == [address]

    assert real_stack.list_failures(real_stack.apply(applied)) == []

    assert real_stack.describe_changes(real_stack.make_plan(applied)) == []
