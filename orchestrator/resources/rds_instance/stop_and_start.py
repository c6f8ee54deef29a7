"""Stop and start an instance.  API: RDS StopDBInstance, StartDBInstance, AddTagsToResource.

RDS stops only an available instance and starts only a stopped one.  An attempt whose response was lost is found by
reading the instance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.ownership_tags import to_aws_tags
from orchestrator.problems import Problems
from orchestrator.resources import AwsReader
from orchestrator.resources._power import tag_after
from orchestrator.resources.rds_instance import modify
from orchestrator.resources.rds_instance.api_members import BUSY_CODES, USABLE_STATUSES
from orchestrator.steps import ApiCall, Steps, Wait
from orchestrator.values import Value
from orchestrator.vocabulary import POWER_HELD, POWER_HIBERNATED, LiveResource, Scope

TIMEOUT_SECONDS = 3600.0
OFF_STATUSES = ("stopped", "stopping")


def change(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource) -> Steps:
    """Stop the instance for hibernation, or start it; the tag says what was meant, also after a crash."""
    if spec["power"] == POWER_HIBERNATED:
        yield from _tag(scope, name, spec)  # first: half-way the instance counts as hibernated and running
        yield from _stop(name, live)
    else:
        if live.spec["power"] != POWER_HELD:
            yield from _start(name, live)
        yield from _tag(scope, name, spec)
    return {}


def _stop(name: str, live: LiveResource) -> Steps:
    if live.private.get("status") in OFF_STATUSES:
        return {}
    yield _wait(name, (*USABLE_STATUSES, *OFF_STATUSES))
    yield ApiCall(
        "rds",
        "stop_db_instance",
        {"DBInstanceIdentifier": name},
        exists_codes=BUSY_CODES,
        read_existing=_confirm(name, OFF_STATUSES, "stop"),
    )
    yield _wait(name, ("stopped",))
    return {}


def _start(name: str, live: LiveResource) -> Steps:
    status = live.private.get("status")
    if status == "stopping":
        yield _wait(name, ("stopped",))
    if status in OFF_STATUSES:
        yield ApiCall(
            "rds",
            "start_db_instance",
            {"DBInstanceIdentifier": name},
            exists_codes=BUSY_CODES,
            read_existing=_confirm(name, ("starting", *USABLE_STATUSES), "start"),
        )
    yield modify.wait_until_available(name, timeout_seconds=TIMEOUT_SECONDS)
    return {}


def _tag(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    tags = to_aws_tags(tag_after(spec))
    yield ApiCall("rds", "add_tags_to_resource", {"ResourceName": modify.build_arn(scope, name), "Tags": tags})
    return {}


def _wait(name: str, statuses: tuple[str, ...]) -> Wait:
    return Wait(
        ApiCall("rds", "describe_db_instances", {"DBInstanceIdentifier": name}),
        "DBInstances[0].DBInstanceStatus",
        statuses,
        modify.FAILED_STATUSES,
        timeout_seconds=TIMEOUT_SECONDS,
        stuck_hint=f"Check the events of {name} in RDS, then run the same command again.",
        description="the instance status",
    )


def _confirm(name: str, statuses: tuple[str, ...], verb: str) -> Callable[[AwsReader, str], Any]:
    """Return the ``read_existing`` of a call that RDS refuses in the instance's status: it has been done already."""

    def read_existing(aws: AwsReader, message: str) -> Any:
        instances = aws.all("rds", "describe_db_instances", "DBInstances")
        instance = next((item for item in instances if item["DBInstanceIdentifier"] == name.lower()), None)
        if instance is not None and instance["DBInstanceStatus"] in statuses:
            return {"DBInstance": instance}
        status = instance["DBInstanceStatus"] if instance is not None else "gone"
        raise Problems.from_message(
            f"RDS cannot {verb} {name}, which is {status}",
            hint="wait until the status changes, then run the command again",
        )

    return read_existing
