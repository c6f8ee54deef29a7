"""Manage ECS Express Mode services.

API: ECS Create-, Describe-, Update- and DeleteExpressGatewayService, ListServices, ListServiceDeployments,
DescribeServiceDeployments, DescribeServiceRevisions, StopServiceDeployment, TagResource.

Every update starts a canary deployment of six to ten minutes, even if nothing changes: so nothing is sent that is
already set, and a deployment in progress is awaited; the version that it replaces comes back by stopping it. A
deployment is found by the requested revision, and its own status decides: a failed one is rolled back while the service
stays ACTIVE. ECS adds its own security group to the network settings. The log group is created before the service,
whose tasks lack the permission, and outlives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.ownership_tags import from_aws_tags, parse_ownership
from orchestrator.problems import Problems
from orchestrator.resources import AwsReader, list_tagged
from orchestrator.resources._existing import confirm_existing
from orchestrator.resources._watched import Watched, find_changes
from orchestrator.resources.ecs_express_service.api_shape import (
    CLUSTER_NAME,
    LOG_STREAM_PREFIX,
    build_outputs,
    build_request,
    find_refusal,
    newest_configuration,
    normalise,
    parse_host,
    parse_load_balancer,
    parse_service,
)
from orchestrator.resources.ecs_express_service.error_share import ErrorShare, may_deploy, read_error_share
from orchestrator.resources.ecs_express_service.previous_version import (
    is_previous,
    list_own_security_groups,
    read_previous_spec,
    returns_to_previous,
)
from orchestrator.resources.ecs_express_service.rollout import (
    FAILED_STATUSES,
    NOT_FOUND_CODES,
    ROLLBACK_HINT,
    SUCCESSFUL_STATUS,
    current_revision_arn,
    read_outputs,
    roll_back,
    set_log_retention,
    wait_for_deployment,
    wait_for_revision,
    wait_until_deleted,
)
from orchestrator.steps import ApiCall, Compute, Steps
from orchestrator.values import Value
from orchestrator.vocabulary import FieldChange, Health, LiveResource, Scope

__all__ = [
    "ARN",
    "GENTLE",
    "IMMUTABLE",
    "STATEFUL",
    "TAKES_OVER",
    "USES",
    "create",
    "delete",
    "discover",
    "effects",
    "losses",
    "normalise",
    "notes",
    "read",
    "stuck",
    "update",
]

IMMUTABLE = frozenset({"infrastructure_role"})
STATEFUL = False
USES = frozenset(
    {
        "ec2_security_group",
        "ec2_vpc",
        "ecr_repository",
        "iam_role",
        "rds_instance",
        "secretsmanager_secret",
        "secretsmanager_value",
    }
)
TAKES_OVER = frozenset({"apprunner_service"})
"""Types that a service may replace: the old service is deleted only once this one responds."""
ARN = None

ALREADY_EXISTS_CODES = ("InvalidParameterException: not idempotent",)
"""ECS's error code for a creation that was sent twice because the first response was lost."""
STOPPABLE_STATUSES = ("PENDING", "IN_PROGRESS")
UNRECOVERED_STATUSES = ("STOPPED", "ROLLBACK_FAILED")
ECS_PRINCIPAL = "ecs.amazonaws.com"
MIN_ZONES = 2
"""A load balancer requires subnets in at least two zones."""
FIELDS_WITHOUT_DEPLOYMENT = frozenset({"settled", "tags", "log_retention_days"})
CANARY_DEPLOYMENT_EFFECT = (
    "Canary deployment of about 6 to 10 minutes: first 5 % of the requests go to the new version, then all. "
    "No downtime. Too many responses with a 4xx or 5xx status roll the new version back."
)
DEPLOYMENT_WAIT_EFFECT = "The run waits for the deployment in progress."
DEPLOYMENT_STOP_EFFECT = (
    "The deployment in progress is stopped, and ECS returns to the version that it replaces, whose tasks still run. "
    "No downtime, and no other canary deployment."
)
GENTLE = frozenset({CANARY_DEPLOYMENT_EFFECT, DEPLOYMENT_WAIT_EFFECT, DEPLOYMENT_STOP_EFFECT})
"""Effects that need no approval."""


WATCHED = {
    "repository_credentials": Watched(
        "primaryContainer.repositoryCredentials.credentialsParameter",
        "The next deployment removes it",
        overwritten=True,
    ),
    "log_stream_prefix": Watched(
        "primaryContainer.awsLogsConfiguration.logStreamPrefix",
        "The next deployment resets it",
        (LOG_STREAM_PREFIX,),
        overwritten=True,
    ),
}
"""Settings of the newest configuration that manifests do not know."""


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the service with tags, deployment and security groups, or None.

    With a spec, also read its log retention and load balancer.
    """
    arn = _service_arn(scope, name)
    service = _read_service(aws, arn)
    if service is None:
        return None
    configuration, last_deployment = newest_configuration(service), _find_last_deployment(aws, arn)
    status = _effective_status(service, last_deployment)
    groups = list_own_security_groups(aws, configuration)
    tags = from_aws_tags(service.get("tags"))
    live_spec = {**parse_service(service, configuration, groups), "settled": status == "ACTIVE", "tags": tags}
    if "log_retention_days" in spec:
        live_spec["log_retention_days"] = _read_log_retention(aws, str(live_spec["log_group"]))
    revision = _read_revision(aws, configuration) if spec else {}
    is_running = (last_deployment or {}).get("status") in STOPPABLE_STATUSES
    share = read_error_share(aws, revision, datetime.now(UTC)) if spec and may_deploy(spec, live_spec) else None
    private = {
        "previous": read_previous_spec(aws, service, last_deployment) if spec and is_running else None,
        "error_share": share,
        "arn": arn,
        "deployment": (last_deployment or {}).get("serviceDeploymentArn", ""),
        "revision": configuration.get("serviceRevisionArn"),
        "refusal": find_refusal(revision),
    }
    health = Health.HEALTHY if status == "ACTIVE" else Health.PROGRESSING
    health = Health.FAILED if status in UNRECOVERED_STATUSES else health
    live_outputs = build_outputs(arn, parse_host(service), parse_load_balancer(revision) if spec else "")
    return LiveResource(
        normalise(live_spec),
        live_outputs,
        private,
        health=health,
        status=status,
        unmanaged=find_changes(WATCHED, configuration) if spec else (),
        **parse_ownership(tags),
    )


def discover(aws: AwsReader, scope: Scope) -> Iterator[str]:
    """Yield the environment's services by their own tags.

    The tagging API lags, and what a service uses cannot be deleted before it. ECS is not queried if the environment has
    no role for it: each service has one until it is deleted.
    """
    roles = aws.all("iam", "list_roles", "Roles", PathPrefix=scope.iam_path)
    if not any(ECS_PRINCIPAL in str(role["AssumeRolePolicyDocument"]) for role in roles):
        return
    request = {"cluster": CLUSTER_NAME, "resourceManagementType": "ECS"}
    service_arns = aws.all("ecs", "list_services", "serviceArns", **request, missing=NOT_FOUND_CODES)
    tagged = {item["ResourceARN"] for item in list_tagged(aws, scope)}
    for arn in service_arns:
        name = arn.rpartition("/")[2]
        # Saves a lookup for services of others; one with a name of its own is found once AWS lists its tags.
        if name.startswith(scope.name_prefix[:20]) or arn in tagged:
            service = _read_service(aws, arn)
            if service is not None and scope.owns(from_aws_tags(service.get("tags"))):
                yield name


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the log group and the service, retrying until its roles can be assumed, and wait for the deployment."""
    _require_zones(spec)
    yield from set_log_retention(spec)
    request = {
        "serviceName": name,
        "cluster": CLUSTER_NAME,
        "infrastructureRoleArn": spec["infrastructure_role"],
        **build_request(spec),
        "tags": _build_tags(spec["tags"]),
    }
    yield ApiCall(
        "ecs",
        "create_express_gateway_service",
        request,
        exists_codes=ALREADY_EXISTS_CODES,
        read_existing=confirm_existing(read, scope, name, {}),
    )
    arn = _service_arn(scope, name)
    response = yield ApiCall(
        "ecs", "describe_express_gateway_service", {"serviceArn": arn}, retry_codes=NOT_FOUND_CODES
    )
    revision = yield Compute("service revision", current_revision_arn, (response["service"],))
    failure_hint = "The service never responded. Fix the cause and apply again; that deploys to the same service."
    yield from wait_for_revision(arn, revision, spec["log_group"], failure_hint)
    return (yield from read_outputs(arn))


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Update tags and logs at once; deploy only if a change requires it, after the deployment in progress."""
    arn = live.private["arn"]
    if live.status == "DRAINING":
        yield wait_until_deleted(arn, name)
        return (yield from create(scope, name, spec))
    _require_zones(spec)
    if "tags" in changed:
        yield ApiCall("ecs", "tag_resource", {"resourceArn": arn, "tags": _build_tags(spec["tags"])})
    if "log_retention_days" in changed or "log_group" in changed:
        yield from set_log_retention(spec)
    is_deploying = live.health is Health.PROGRESSING
    if is_deploying and is_previous(spec, live, FIELDS_WITHOUT_DEPLOYMENT):
        yield from roll_back(str(live.private["deployment"]), spec["log_group"])
        return (yield from read_outputs(arn))
    if changed - FIELDS_WITHOUT_DEPLOYMENT or ("settled" in changed and not is_deploying):
        if is_deploying:
            yield wait_for_deployment(
                live.private["deployment"], (SUCCESSFUL_STATUS, *FAILED_STATUSES), (), spec["log_group"], ""
            )
        response = yield ApiCall("ecs", "update_express_gateway_service", {"serviceArn": arn, **build_request(spec)})
        revision = response["service"]["targetConfiguration"]["serviceRevisionArn"]
        yield from wait_for_revision(arn, revision, spec["log_group"], ROLLBACK_HINT)
    elif "settled" in changed:
        deployment, revision = live.private["deployment"], live.private.get("revision")
        yield wait_for_deployment(
            deployment, (SUCCESSFUL_STATUS,), FAILED_STATUSES, spec["log_group"], ROLLBACK_HINT, revision
        )
    return (yield from read_outputs(arn)) if "settled" in changed else {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the service and wait until it is gone: its roles, groups and subnets are in use until then."""
    arn = live.private["arn"]
    not_found_codes = (*NOT_FOUND_CODES, "ServiceNotActiveException")
    yield ApiCall("ecs", "delete_express_gateway_service", {"serviceArn": arn}, ok_codes=not_found_codes)
    yield wait_until_deleted(arn, name)
    return {}


def effects(fields: tuple[FieldChange, ...], live: LiveResource) -> Iterator[str]:
    """Yield the effects of a change on users."""
    changed = {field.path[0] for field in fields}
    if changed & IMMUTABLE or live.status == "DRAINING":
        yield "The service is recreated with a new URL."
    elif live.health is Health.PROGRESSING and returns_to_previous(fields, live, FIELDS_WITHOUT_DEPLOYMENT):
        yield DEPLOYMENT_STOP_EFFECT
    elif changed - FIELDS_WITHOUT_DEPLOYMENT or live.health is Health.FAILED:
        yield CANARY_DEPLOYMENT_EFFECT
    elif "settled" in changed:
        yield DEPLOYMENT_WAIT_EFFECT


def notes(spec: Mapping[str, Value], live: LiveResource, today: str) -> Iterator[str]:
    """Yield which share of yesterday's responses were errors, where a deployment may be planned."""
    share = live.private.get("error_share")
    if isinstance(share, ErrorShare):
        yield share.describe()


def losses(live: LiveResource) -> Iterator[str]:
    """Yield the effects of a deletion on users."""
    if live.outputs.get("host"):
        yield f"{live.outputs['url']} stops responding."


def stuck(live: LiveResource) -> str:
    """Return what to check in a service that is not ACTIVE, or ""."""
    hints = {
        "DRAINING": "The service is being deleted. The next apply recreates it after that.",
        "STOPPED": "The last deployment was stopped. The next apply deploys again.",
        "ROLLBACK_FAILED": "The last deployment failed and could not be rolled back. See the log group; the next "
        "apply deploys again.",
    }
    if live.status != "ACTIVE" and live.private.get("refusal"):
        return f"ECS cannot create the resources of the service: {live.private['refusal']}"
    deploying_hint = "ECS is deploying the service, which takes 6 to 10 minutes. The next apply waits for it."
    return hints.get(live.status, "" if live.status == "ACTIVE" else deploying_hint)


def _service_arn(scope: Scope, name: str) -> str:
    return f"arn:aws:ecs:{scope.region}:{scope.account}:service/{CLUSTER_NAME}/{name}"


def _read_service(aws: AwsReader, arn: str) -> Any:
    response = aws.get(
        "ecs", "describe_express_gateway_service", serviceArn=arn, include=["TAGS"], missing=NOT_FOUND_CODES
    )
    return (
        None if response is None or response["service"]["status"]["statusCode"] == "INACTIVE" else response["service"]
    )


def _find_last_deployment(aws: AwsReader, arn: str) -> Any:
    """Return the newest deployment, or None: ECS deletes them after 90 days."""
    response = (
        aws.get("ecs", "list_service_deployments", cluster=CLUSTER_NAME, service=arn, missing=NOT_FOUND_CODES) or {}
    )
    return max(
        response.get("serviceDeployments", ()),
        key=lambda deployment: str(deployment.get("createdAt", "")),
        default=None,
    )


def _effective_status(service: Any, last_deployment: Any) -> str:
    """Return the service's status; if ACTIVE, the last deployment's unless that succeeded or was rolled back."""
    service_status: str = service["status"]["statusCode"]
    deployment_status = str((last_deployment or {}).get("status", SUCCESSFUL_STATUS))
    return (
        service_status
        if service_status != "ACTIVE" or deployment_status in (SUCCESSFUL_STATUS, "ROLLBACK_SUCCESSFUL")
        else deployment_status
    )


def _read_revision(aws: AwsReader, configuration: Mapping[str, Any]) -> Any:
    revision = configuration.get("serviceRevisionArn")
    return aws.get("ecs", "describe_service_revisions", serviceRevisionArns=[revision]) if revision else {}


def _read_log_retention(aws: AwsReader, group: str) -> int | None:
    """Return the retention of a log group in days; None if it is missing or never expires."""
    groups = aws.all("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=group)
    return next((item.get("retentionInDays") for item in groups if item["logGroupName"] == group), None)


def _require_zones(spec: Mapping[str, Value]) -> None:
    """Raise Problems during planning if the network has too few subnets of the required kind."""
    subnets = spec["subnets"]
    if isinstance(subnets, list) and len(subnets) < MIN_ZONES:
        message = f"an Express service needs suitable subnets in {MIN_ZONES} zones; the network has {len(subnets)}"
        hint = "a public service needs subnets with a route to an internet gateway, a private one subnets without one: "
        raise Problems.from_message(
            message, hint=f"{hint}list them in `network.subnets` of the Project, or set another VPC"
        )


def _build_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in sorted(tags.items())]
