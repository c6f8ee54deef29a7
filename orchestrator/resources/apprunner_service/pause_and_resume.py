"""Pause and resume a service.  API: App Runner PauseService, ResumeService, TagResource.

A paused service answers nobody and costs nothing (App Runner developer guide, "Pausing a service").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.ownership_tags import to_aws_tags
from orchestrator.problems import Problems
from orchestrator.resources import AwsReader
from orchestrator.resources._power import tag_after
from orchestrator.resources.apprunner_service.operations import (
    BUSY_CODES,
    OPERATION_TIMEOUT_SECONDS,
    wait_for_operation,
    wait_until_idle,
    wait_until_running,
)
from orchestrator.steps import ApiCall, Steps
from orchestrator.values import Value
from orchestrator.vocabulary import POWER_HELD, POWER_HIBERNATED, POWER_STOPPED, LiveResource


def change(name: str, spec: Mapping[str, Value], live: LiveResource) -> Steps:
    """Pause the service for hibernation, or resume it; the tag says what was meant, also after a crash."""
    arn = live.private["arn"]
    if spec["power"] == POWER_HIBERNATED:
        yield _tag(arn, spec)  # first: half-way the service counts as hibernated and running
        if live.spec["power"] != POWER_STOPPED:
            yield from _pause(name, live)
    else:
        if live.spec["power"] != POWER_HELD:
            yield from resume(name, live)
        yield _tag(arn, spec)
    return {}


def _pause(name: str, live: LiveResource) -> Steps:
    arn = live.private["arn"]
    yield wait_until_idle(arn)
    response = yield ApiCall(
        "apprunner",
        "pause_service",
        {"ServiceArn": arn},
        exists_codes=BUSY_CODES,
        read_existing=_find_operation(name, arn, "PAUSE_SERVICE"),
    )
    yield wait_for_operation(arn, response["OperationId"], "The service could not be paused.", _log_group(name, live))
    return {}


def resume(name: str, live: LiveResource) -> Steps:
    """Resume a service, and wait until it answers."""
    arn, log_group = live.private["arn"], _log_group(name, live)
    hint = f"For details, see the log group {log_group}, and its sibling /application for the container's output."
    yield wait_until_idle(arn)
    if live.status != "RUNNING":
        response = yield ApiCall(
            "apprunner",
            "resume_service",
            {"ServiceArn": arn},
            exists_codes=BUSY_CODES,
            read_existing=_find_operation(name, arn, "RESUME_SERVICE"),
        )
        yield wait_for_operation(arn, response["OperationId"], f"The service could not be resumed. {hint}", log_group)
    yield wait_until_running(arn, hint)
    return {}


def _tag(arn: str, spec: Mapping[str, Value]) -> ApiCall:
    tags = {"ResourceArn": arn, "Tags": to_aws_tags(tag_after(spec))}
    return ApiCall("apprunner", "tag_resource", tags, retry_codes=BUSY_CODES, timeout_seconds=OPERATION_TIMEOUT_SECONDS)


def _log_group(name: str, live: LiveResource) -> str:
    return f"/aws/apprunner/{name}/{live.outputs['id']}/service"


def _find_operation(name: str, arn: str, operation_type: str) -> Callable[[AwsReader, str], Any]:
    """Return the ``read_existing`` of a call that App Runner refuses: an earlier attempt has started the operation."""

    def read_existing(aws: AwsReader, message: str) -> Any:
        operations = aws.all("apprunner", "list_operations", "OperationSummaryList", ServiceArn=arn)
        newest = max(operations, key=lambda operation: str(operation.get("StartedAt", "")), default=None)
        if newest is not None and newest["Type"] == operation_type:
            return {"OperationId": newest["Id"]}
        raise Problems.from_message(
            f"App Runner refuses to change {name}: {message}", hint="wait until it is idle, then run the command again"
        )

    return read_existing
