"""Manage App Runner services. API: App Runner CreateService, UpdateService, DeleteService, ResumeService,
ListOperations.

App Runner runs one operation at a time and responds before it is done: every change waits until the service is idle,
starts its operation, and waits for that operation by its id. App Runner rolls back a failed deployment silently and
reports RUNNING, so the operation's own status decides; the old image shows as a difference on the next run. Retention
of the log groups that App Runner creates for a service is set here; they outlive the service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from orchestrator.ownership_tags import from_aws_tags, parse_ownership, to_aws_tags
from orchestrator.resources import AwsReader, list_tagged, read_ownership, read_tags
from orchestrator.resources._power import describe_exceptions, parse_power
from orchestrator.resources._watched import Watched, find_changes
from orchestrator.resources.apprunner_service import pause_and_resume
from orchestrator.resources.apprunner_service.api_shape import build_outputs, build_request, normalise, parse_service
from orchestrator.resources.apprunner_service.operations import (
    BUSY_CODES,
    NOT_FOUND_CODES,
    OPERATION_TIMEOUT_SECONDS,
    UNUSABLE_STATUSES,
    describe_call,
    wait_for_operation,
    wait_until_idle,
    wait_until_running,
)
from orchestrator.steps import ApiCall, Steps, Wait
from orchestrator.values import Value, join_parts
from orchestrator.vocabulary import (
    POWER_HIBERNATED,
    POWER_STOPPED,
    TAG_HIBERNATION,
    FieldChange,
    Health,
    LiveResource,
    Scope,
)

__all__ = [
    "ARN",
    "GENTLE",
    "IMMUTABLE",
    "STATEFUL",
    "TAKES_OVER",
    "USES",
    "clean_up",
    "create",
    "delete",
    "effects",
    "losses",
    "normalise",
    "read",
    "stuck",
    "update",
]

IMMUTABLE = frozenset({"encryption_key"})
STATEFUL = False
USES = frozenset(
    {
        "apprunner_autoscaling",
        "apprunner_connector",
        "apprunner_observability",
        "ecr_repository",
        "iam_role",
        "rds_instance",
        "secretsmanager_secret",
        "secretsmanager_value",
    }
)
ARN = None

IN_USE_CODES = ("InvalidRequestException",)
FIELDS_WITHOUT_DEPLOYMENT = frozenset({"tags", "log_retention_days", "power"})
ROLLING_DEPLOYMENT_EFFECT = "Rolling deployment: old and new instances run side by side for a few minutes. No downtime."
WAKE_EFFECT = "Resumes the service: it serves requests again within a few minutes."
GENTLE = frozenset({ROLLING_DEPLOYMENT_EFFECT, WAKE_EFFECT})
"""Effects that need no approval."""
TAKES_OVER = frozenset({"ecs_express_service"})
"""Types that a service may replace: the old service is deleted only once this one responds."""
LOG_KINDS = ("application", "service")
HEALTH_BY_STATUS = {
    "RUNNING": Health.HEALTHY,
    "PAUSED": Health.FAILED,  # it answers nobody
    "CREATE_FAILED": Health.FAILED,
    "DELETE_FAILED": Health.FAILED,
}


WATCHED = {
    "connection": Watched(
        "AuthenticationConfiguration.ConnectionArn", "The next deployment removes it", overwritten=True
    ),
    "code_repository": Watched(
        "CodeRepository", "The service builds from source; the next deployment runs the image again", overwritten=True
    ),
}
"""Settings of the source that manifests do not know."""


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the service with its tags, and the retention of its log groups if the spec asks for it, or None."""
    arn = next((arn for service, arn in _list_services(aws) if service == name), "")
    response = aws.get("apprunner", "describe_service", ServiceArn=arn, missing=NOT_FOUND_CODES) if arn else None
    if response is None or response["Service"]["Status"] == "DELETED":
        return None
    service = response["Service"]
    status = service["Status"]
    tags = read_tags(aws, scope, arn, spec.get("tags"), partial(_fetch_tags, aws, arn))
    if TAG_HIBERNATION in tags or status == "PAUSED":  # the tagging API lags, and the tag decides what is done next
        tags = _fetch_tags(aws, arn)
    is_running = status != "PAUSED"
    power_state = parse_power(tags, is_running=is_running)
    live_spec = {
        **parse_service(service),
        "usable": status not in UNUSABLE_STATUSES,
        "power": power_state,
        "tags": tags,
    }
    if "log_retention_days" in spec:
        live_spec["log_retention_days"] = _read_log_retention(aws, name, service["ServiceId"])
    is_asleep = power_state == POWER_HIBERNATED
    health = Health.HEALTHY if is_asleep else HEALTH_BY_STATUS.get(status, Health.PROGRESSING)
    return LiveResource(
        normalise(live_spec),
        build_outputs(service),
        {"arn": arn, **describe_exceptions(tags, is_running=is_running)},
        health=health,
        status=POWER_HIBERNATED if is_asleep else status,
        unmanaged=find_changes(WATCHED, service["SourceConfiguration"]) if spec else (),
        **parse_ownership(tags),
    )


def discover(aws: AwsReader, scope: Scope) -> Iterator[str]:
    """Yield the environment's services by their own tags.

    The tagging API lags, and what a service uses cannot be deleted before it.
    """
    tagged = {item["ResourceARN"] for item in list_tagged(aws, scope)}
    for name, arn in _list_services(aws):
        # Saves a tag lookup for services of others; one with a name of its own is found once AWS lists its tags.
        if not name.startswith(scope.name_prefix[:20]) and arn not in tagged:
            continue
        if read_ownership(aws, scope, arn, partial(_fetch_tags, aws, arn))["owner"] == scope.owner:
            yield name


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the service, retrying until its new roles can be assumed, and wait for the first deployment."""
    request = {"ServiceName": name, **build_request(spec), "Tags": to_aws_tags(spec["tags"])}
    if spec["encryption_key"] is not None:
        request["EncryptionConfiguration"] = {"KmsKey": spec["encryption_key"]}
    response = yield ApiCall("apprunner", "create_service", request)
    service = response["Service"]
    arn = service["ServiceArn"]
    hint = f"For the cause, see its events and the log groups /aws/apprunner/{name}/*/service and */application."
    log_group = join_parts([f"/aws/apprunner/{name}/", service["ServiceId"], "/service"])
    yield wait_for_operation(
        arn, response["OperationId"], f"The service never ran; the next run recreates it. {hint}", log_group
    )
    yield wait_until_running(arn, hint)
    if "log_retention_days" in spec:
        yield from _set_log_retention(name, service["ServiceId"], spec["log_retention_days"])
    return build_outputs(service)


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Pause or resume, wait until idle, deploy, and delete the revisions that the service no longer uses.

    A service whose creation failed never ran and cannot be repaired: it is deleted and recreated.
    """
    arn = live.private["arn"]
    if live.status in UNUSABLE_STATUSES:
        yield from delete(scope, name, live)
        new_outputs = yield from create(scope, name, spec)
        yield from clean_up(name, spec, live, changed)
        return new_outputs
    if "power" in changed:
        yield from pause_and_resume.change(name, spec, live)
    if "tags" in changed:
        tags = {"ResourceArn": arn, "Tags": to_aws_tags(spec["tags"])}
        yield ApiCall(
            "apprunner", "tag_resource", tags, retry_codes=BUSY_CODES, timeout_seconds=OPERATION_TIMEOUT_SECONDS
        )
    if "log_retention_days" in changed:
        yield from _set_log_retention(name, live.outputs["id"], spec["log_retention_days"])
    if changed - FIELDS_WITHOUT_DEPLOYMENT:
        yield from _deploy(name, spec, live)
        yield from clean_up(name, spec, live, changed)
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Wait until idle, delete, and wait until it is gone: its roles and connector are in use until then."""
    arn = live.private["arn"]
    yield wait_until_idle(arn, (*NOT_FOUND_CODES,))
    yield ApiCall(
        "apprunner",
        "delete_service",
        {"ServiceArn": arn},
        ok_codes=NOT_FOUND_CODES,
        retry_codes=BUSY_CODES,
        timeout_seconds=OPERATION_TIMEOUT_SECONDS,
    )
    yield Wait(
        describe_call(arn),
        "Service.Status",
        target_values=("DELETED",),
        failed_values=("DELETE_FAILED",),
        deleted_codes=NOT_FOUND_CODES,
        timeout_seconds=OPERATION_TIMEOUT_SECONDS,
        stuck_hint=f"App Runner could not delete {name}. Delete it again, or contact AWS Support.",
        description="the service",
    )
    return {}


def effects(fields: tuple[FieldChange, ...], live: LiveResource) -> Iterator[str]:
    """Yield the effects of a change on users."""
    if live.status in UNUSABLE_STATUSES:
        yield "The service never ran: it is deleted and recreated with a new URL."
        return
    if any(field.path[0] in IMMUTABLE for field in fields):
        yield "The service is recreated with a new URL."
        return
    target_power = next((field.after for field in fields if field.path == ("power",)), None)
    if target_power == POWER_HIBERNATED:
        yield "Pauses the service: it serves no requests and costs nothing until it is resumed."
    elif target_power is not None and live.spec.get("power") in (POWER_HIBERNATED, POWER_STOPPED):
        yield WAKE_EFFECT
    if {field.path[0] for field in fields} - FIELDS_WITHOUT_DEPLOYMENT:
        yield ROLLING_DEPLOYMENT_EFFECT
        if live.status == "PAUSED":
            yield "The paused service is resumed, because App Runner cannot deploy to a paused service."


def losses(live: LiveResource) -> Iterator[str]:
    """Yield the effects of a deletion on users."""
    if live.outputs.get("host"):
        yield f"{live.outputs['url']} stops responding."


def stuck(live: LiveResource) -> str:
    """Return what to check in a service that is not running, or ""."""
    hints = {
        "CREATE_FAILED": "The first deployment failed. See its log groups; the next apply recreates the service.",
        "DELETE_FAILED": "App Runner could not delete the service. The next apply tries again.",
        "PAUSED": "The service is paused and serves no requests. Resume it: `orchestrator wake`.",
        "OPERATION_IN_PROGRESS": "App Runner is running an operation on the service (a deployment or AWS maintenance).",
    }
    return hints.get(live.status, "")


def _deploy(name: str, spec: Mapping[str, Value], live: LiveResource) -> Steps:
    arn = live.private["arn"]
    log_group = f"/aws/apprunner/{name}/{live.outputs['id']}/service"
    hint = f"For details, see the log group {log_group}, and its sibling /application for the container's output."
    if live.status == "PAUSED":
        yield from pause_and_resume.resume(name, live)
    else:
        yield wait_until_idle(arn)
    request = {"ServiceArn": arn, **build_request(spec)}
    response = yield ApiCall(
        "apprunner", "update_service", request, retry_codes=BUSY_CODES, timeout_seconds=OPERATION_TIMEOUT_SECONDS
    )
    rollback_note = (
        "ROLLBACK_SUCCEEDED means that App Runner rolled back to the previous version, which is serving now."
    )
    yield wait_for_operation(arn, response["OperationId"], f"{rollback_note} {hint}", log_group)
    yield wait_until_running(arn, hint)
    return {}


def clean_up(name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Delete the autoscaling revision and the connector that the service no longer uses, if they are of its family.

    A connector that the manifest no longer declares is pruned by its own resource type.
    """
    autoscaling_arn = live.spec.get("autoscaling")
    if "autoscaling" in changed and _is_in_family(name, autoscaling_arn):
        request = {"AutoScalingConfigurationArn": autoscaling_arn}
        yield ApiCall(
            "apprunner",
            "delete_auto_scaling_configuration",
            request,
            ok_codes=NOT_FOUND_CODES,
            retry_codes=IN_USE_CODES,
        )
    connector_arn = live.spec.get("connector")
    if "connector" in changed and spec["connector"] is not None and _is_in_family(name, connector_arn):
        yield ApiCall(
            "apprunner",
            "delete_vpc_connector",
            {"VpcConnectorArn": connector_arn},
            ok_codes=NOT_FOUND_CODES,
            retry_codes=IN_USE_CODES,
        )
    return {}


def _is_in_family(name: str, arn: str | None) -> bool:
    """Return whether an ARN's name is the service's own, with or without a number.

    Examples: ``.../api/2/ID``, ``.../api_2/1/ID``.
    """
    return arn is not None and re.fullmatch(re.escape(name) + r"(_\d+)?", arn.split("/")[1]) is not None


def _set_log_retention(name: str, service_id: Value, days: int) -> Steps:
    for kind in LOG_KINDS:
        group = join_parts([f"/aws/apprunner/{name}/", service_id, f"/{kind}"])
        yield ApiCall("logs", "create_log_group", {"logGroupName": group}, ok_codes=("ResourceAlreadyExistsException",))
        retention = {"logGroupName": group, "retentionInDays": days}
        yield ApiCall(
            "logs", "put_retention_policy", retention, retry_codes=("ResourceNotFoundException",), timeout_seconds=30
        )
    return {}


def _list_services(aws: AwsReader) -> list[tuple[str, str]]:
    """Return the name and ARN of every service."""
    services = aws.all("apprunner", "list_services", "ServiceSummaryList")
    return [(service["ServiceName"], service["ServiceArn"]) for service in services if service["Status"] != "DELETED"]


def _fetch_tags(aws: AwsReader, arn: Any) -> dict[str, str]:
    return from_aws_tags(
        aws.all("apprunner", "list_tags_for_resource", "Tags", ResourceArn=arn, missing=NOT_FOUND_CODES)
    )


def _read_log_retention(aws: AwsReader, name: str, service_id: str) -> int | None:
    """Return the retention of both log groups in days; None if one is missing, never expires, or differs."""
    prefix = f"/aws/apprunner/{name}/{service_id}/"
    groups = aws.all("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=prefix)
    days = {group["logGroupName"].removeprefix(prefix): group.get("retentionInDays") for group in groups}
    distinct_days = {days.get(kind) for kind in LOG_KINDS}
    return distinct_days.pop() if len(distinct_days) == 1 else None
