"""Wait for App Runner: it runs one operation at a time and responds before it is done.

API: App Runner DescribeService, ListOperations.
"""

from __future__ import annotations

from orchestrator.steps import ApiCall, Wait
from orchestrator.values import Value, join_parts

NOT_FOUND_CODES = ("ResourceNotFoundException",)
BUSY_CODES = ("InvalidStateException",)
UNUSABLE_STATUSES = ("CREATE_FAILED", "DELETE_FAILED")
IDLE_STATUSES = ("RUNNING", "PAUSED", *UNUSABLE_STATUSES, "DELETED")
OPERATION_TIMEOUT_SECONDS = 2400.0
"""Seconds an operation may take. Most end in 3 to 6 minutes; a failing deployment took 40."""


def describe_call(arn: Value) -> ApiCall:
    """Return the call that describes the service."""
    return ApiCall("apprunner", "describe_service", {"ServiceArn": arn})


def wait_until_idle(arn: Value, not_found_codes: tuple[str, ...] = ()) -> Wait:
    """Wait until no operation runs; with ``not_found_codes`` also in a state in which the service can be deleted."""
    hint = "App Runner is still running an operation on the service. When it has finished, run the command again."
    until = IDLE_STATUSES if not_found_codes else ("RUNNING", "PAUSED")
    failed = () if not_found_codes else (*UNUSABLE_STATUSES, "DELETED")
    return Wait(
        describe_call(arn),
        "Service.Status",
        until,
        failed,
        not_found_codes,
        OPERATION_TIMEOUT_SECONDS,
        hint,
        description="the service",
    )


def wait_for_operation(arn: Value, operation: Value, hint: str, log_group: Value) -> Wait:
    """Wait until an operation ends; it may take a moment to be listed."""
    return Wait(
        ApiCall("apprunner", "list_operations", {"ServiceArn": arn}, retry_codes=NOT_FOUND_CODES),
        join_parts(["OperationSummaryList[?Id=='", operation, "'].Status | [0]"]),
        target_values=("SUCCEEDED",),
        failed_values=("FAILED", "ROLLBACK_SUCCEEDED", "ROLLBACK_FAILED"),
        timeout_seconds=OPERATION_TIMEOUT_SECONDS,
        stuck_hint=hint,
        description="the deployment",
        log_group=log_group,
    )


def wait_until_running(arn: Value, hint: str) -> Wait:
    """Wait until the service answers."""
    return Wait(
        describe_call(arn),
        "Service.Status",
        ("RUNNING",),
        UNUSABLE_STATUSES,
        (),
        300.0,
        hint,
        description="the service",
    )
