"""Build the steps of a deployment: its log group, its wait, and its outputs. Pure.

A deployment is found by the requested revision and awaited by its own ARN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.resources.ecs_express_service.api_shape import (
    CLUSTER_NAME,
    build_outputs,
    newest_configuration,
    parse_host,
    parse_load_balancer,
)
from orchestrator.steps import ApiCall, Compute, Steps, Wait
from orchestrator.values import Value, join_parts

NOT_FOUND_CODES = ("ResourceNotFoundException", "ServiceNotFoundException", "ClusterNotFoundException")
DEPLOYMENT_TIMEOUT_SECONDS = 2400.0
"""Seconds a deployment may take. Most end in 6 to 10 minutes; one whose tasks stay unhealthy takes about 30."""
SUCCESSFUL_STATUS = "SUCCESSFUL"
REFUSED_RESOURCES_PATH = (
    "serviceRevisions[0].ecsManagedResources.ingressPaths[]"
    ".[loadBalancer, certificate, listener, rule, targetGroups][] | []"
    " | [?status=='FAILED'].not_null(statusReason, 'a managed resource is FAILED') | [0]"
)
"""AWS's reason why ECS cannot create what routes requests to a revision: the deployment itself never says so."""
FAILED_STATUSES = ("STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED")
ROLLBACK_HINT = "ROLLBACK_SUCCESSFUL means that ECS rolled back to the previous version, which is serving now."


STOP_HINT = (
    "Run the command again: if the deployment ended before it could be stopped, the next run deploys the desired "
    "version."
)


def set_log_retention(spec: Mapping[str, Value]) -> Steps:
    """Create the log group, which tasks are not allowed to create, and set its retention."""
    group = spec["log_group"]
    yield ApiCall("logs", "create_log_group", {"logGroupName": group}, ok_codes=("ResourceAlreadyExistsException",))
    retention = {"logGroupName": group, "retentionInDays": spec["log_retention_days"]}
    yield ApiCall(
        "logs", "put_retention_policy", retention, retry_codes=("ResourceNotFoundException",), timeout_seconds=30
    )
    return {}


def wait_for_revision(arn: Value, revision: Value, log_group: str, hint: str) -> Steps:
    """Wait for the deployment of a revision, by its own ARN; it may take a moment to be listed."""
    listing = ApiCall(
        "ecs", "list_service_deployments", {"cluster": CLUSTER_NAME, "service": arn}, retry_codes=NOT_FOUND_CODES
    )
    listed_path = join_parts(["serviceDeployments[?targetServiceRevisionArn=='", revision, "'] | [0] && 'listed'"])
    not_listed_hint = "ECS lists no deployment of the requested revision. Check the service in the ECS console."
    response = yield Wait(
        listing,
        listed_path,
        target_values=("listed",),
        timeout_seconds=300.0,
        stuck_hint=not_listed_hint,
        description="the deployment",
    )
    deployment = yield Compute("deployment ARN", find_deployment_arn, (response, revision))
    yield wait_for_deployment(deployment, (SUCCESSFUL_STATUS,), FAILED_STATUSES, log_group, hint, revision)
    return {}


def find_deployment_arn(response: Any, revision: str) -> str:
    """Return the ARN of the deployment of ``revision`` from a ListServiceDeployments response."""
    matching = (
        deployment
        for deployment in response["serviceDeployments"]
        if deployment.get("targetServiceRevisionArn") == revision
    )
    return str(next(matching)["serviceDeploymentArn"])


def wait_for_deployment(
    deployment: Value,
    until: tuple[str, ...],
    failed: tuple[str, ...],
    log_group: str,
    hint: str,
    revision: Value = None,
) -> Wait:
    """Wait until a deployment has one of the statuses ``until``; fail on one of ``failed``.

    Also fail if ECS cannot create what ``revision`` needs, which the status does not show.
    """
    describe_revision = ApiCall("ecs", "describe_service_revisions", {"serviceRevisionArns": [revision]})
    return Wait(
        ApiCall("ecs", "describe_service_deployments", {"serviceDeploymentArns": [deployment]}),
        "serviceDeployments[0].status",
        target_values=until,
        failed_values=failed,
        timeout_seconds=DEPLOYMENT_TIMEOUT_SECONDS,
        stuck_hint=f"{hint} The container's output is in the log group {log_group}.".strip(),
        description="the deployment",
        log_group=log_group,
        reason_path="serviceDeployments[0].statusReason",
        failure_call=None if revision is None else describe_revision,
        failure_path=REFUSED_RESOURCES_PATH,
    )


def roll_back(deployment: str, log_group: str) -> Steps:
    """Stop a deployment in progress: ECS returns to the version that it replaces, without another canary deployment.

    A deployment that ends in the meantime is not stopped, and the wait says so.
    """
    request = {"serviceDeploymentArn": deployment, "stopType": "ROLLBACK"}
    yield ApiCall("ecs", "stop_service_deployment", request, ok_codes=("ConflictException",))
    yield wait_for_deployment(
        deployment, ("ROLLBACK_SUCCESSFUL",), (SUCCESSFUL_STATUS, "STOPPED", "ROLLBACK_FAILED"), log_group, STOP_HINT
    )
    return {}


def read_outputs(arn: Value) -> Steps:
    """Return the outputs of a deployed service."""
    response = yield ApiCall("ecs", "describe_express_gateway_service", {"serviceArn": arn})
    service = response["service"]
    host = yield Compute("host name", parse_host, (service,))
    revision = yield Compute("service revision", current_revision_arn, (service,))
    revisions = yield ApiCall("ecs", "describe_service_revisions", {"serviceRevisionArns": [revision]})
    load_balancer = yield Compute("load balancer", parse_load_balancer, (revisions,))
    return build_outputs(arn, host, load_balancer)


def current_revision_arn(service: Mapping[str, Any]) -> str:
    """Return the ARN of the newest revision."""
    return str(newest_configuration(service).get("serviceRevisionArn", ""))


def wait_until_deleted(arn: Value, name: str) -> Wait:
    """Wait until the service is deleted."""
    hint = f"ECS could not delete {name}. Check it in the ECS console, then run the command again."
    describe = ApiCall("ecs", "describe_express_gateway_service", {"serviceArn": arn})
    path = "service.status.statusCode"
    return Wait(
        describe, path, ("INACTIVE",), (), NOT_FOUND_CODES, DEPLOYMENT_TIMEOUT_SECONDS, hint, description="the service"
    )
