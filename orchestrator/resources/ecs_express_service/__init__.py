"""ECS Express Mode services.  API: ECS Create-, Describe-, Update- and DeleteExpressGatewayService, ListServices,
ListServiceDeployments, DescribeServiceDeployments, DescribeServiceRevisions, TagResource.

A change is a canary deployment of six to ten minutes, a change of nothing too: so nothing is sent that is there
already, and a deployment that is under way is waited for.  Its own status decides, found by the revision that was asked
for: one that fails is rolled back, and the service stays ACTIVE.  ECS writes its own security group into the network
settings.  The log group is made before the service, whose tasks may not make it, and outlives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import mapping, marks
from orchestrator.problems import Problems
from orchestrator.resources import Aws
from orchestrator.resources.ecs_express_service.api_shape import (
    CLUSTER,
    balancer_of,
    body,
    host_of,
    newest,
    normalise,
    outputs,
    settings,
)
from orchestrator.resources.ecs_express_service.deployments import (
    BACK,
    DONE,
    FAILED,
    GONE,
    deployed,
    drained,
    ended,
    keep_logs,
    revision_of,
    told,
)
from orchestrator.steps import Call, Compute, Steps
from orchestrator.values import Value
from orchestrator.vocabulary import FieldChange, Health, Live, Scope

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
"""What may stand in its place: that goes only when this one answers."""
ARN = None

NO_ROLE_YET = ("InvalidParameterException", "AccessDeniedException", "ClientException")
THERE_ALREADY = ("InvalidParameterException",)
"""ECS's answer to a creation that was sent twice, because the first answer was lost."""
WITHOUT_A_WAY_BACK = ("STOPPED", "ROLLBACK_FAILED")
ECS = "ecs.amazonaws.com"
ZONES = 2
"""A load balancer wants subnets in at least two zones."""
NOT_DEPLOYMENTS = frozenset({"settled", "tags", "log_retention_days"})
CANARY = (
    "A new deployment of about 6 to 10 minutes: first 5 % of the requests go to it, then all; nobody is cut off. "
    "Answers with a 4xx or 5xx status count against the new version, which is rolled back when they are too many."
)
WAITED_FOR = "The deployment that is under way is waited for."
GENTLE = frozenset({CANARY, WAITED_FOR})
"""Effects that nobody has to agree to."""


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """The service with its tags, its deployments, its groups; where a spec is given, its logs and load balancer."""
    arn = _arn(scope, name)
    service = _service(aws, arn)
    if service is None:
        return None
    configuration, last = newest(service), _last_deployment(aws, arn)
    status = _status(service, last)
    groups = _groups(aws, configuration)
    tags = mapping(service.get("tags"))
    found = {**settings(service, configuration, groups), "settled": status == "ACTIVE", "tags": tags}
    if "log_retention_days" in spec:
        found["log_retention_days"] = _retention(aws, str(found["log_group"]))
    balancer = _balancer(aws, configuration) if spec else ""
    private = {"arn": arn, "deployment": (last or {}).get("serviceDeploymentArn", "")}
    health = Health.HEALTHY if status == "ACTIVE" else Health.PROGRESSING
    health = Health.FAILED if status in WITHOUT_A_WAY_BACK else health
    seen = outputs(arn, host_of(service), balancer)
    return Live(normalise(found), seen, private, health=health, status=status, **marks(tags))


def discover(aws: Aws, scope: Scope) -> Iterator[str]:
    """Ours, by their tags: the tagging API lags, and what a service uses cannot be deleted before it.

    Nothing is asked of ECS where none of our roles is for it: each service has one until it is gone.
    """
    roles = aws.all("iam", "list_roles", "Roles", PathPrefix=scope.path)
    if not any(ECS in str(role["AssumeRolePolicyDocument"]) for role in roles):
        return
    ours = {"cluster": CLUSTER, "resourceManagementType": "ECS"}
    listed = aws.all("ecs", "list_services", "serviceArns", **ours, missing=GONE)
    for arn in listed:
        name = arn.rpartition("/")[2]
        if name.startswith(scope.prefix[:20]):  # others' are not asked for
            service = _service(aws, arn)
            if service is not None and scope.owns(mapping(service.get("tags"))):
                yield name


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """The log group, CreateExpressGatewayService until the new roles can be assumed; then its first deployment."""
    _demand_zones(spec)
    yield from keep_logs(spec)
    wanted = {
        "serviceName": name,
        "cluster": CLUSTER,
        "infrastructureRoleArn": spec["infrastructure_role"],
        **body(spec),
        "tags": _pairs(spec["tags"]),
    }
    yield Call(
        "ecs",
        "create_express_gateway_service",
        wanted,
        ok=THERE_ALREADY,
        ok_text="not idempotent",
        retry=NO_ROLE_YET,
        retry_text="assume",
    )
    arn = _arn(scope, name)
    seen = yield Call("ecs", "describe_express_gateway_service", {"serviceArn": arn}, retry=GONE)
    revision = yield Compute("its revision", revision_of, (seen["service"],))
    never = "The service never answered; correct it and apply again: that deploys to the same service."
    yield from deployed(arn, revision, spec["log_group"], never)
    return (yield from told(arn))


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """Marks and logs at once; a deployment only for what it takes one for, and after the one that is under way."""
    arn = live.private["arn"]
    if live.status == "DRAINING":
        yield drained(arn, name)
        return (yield from create(scope, name, spec))
    _demand_zones(spec)
    if "tags" in changed:
        yield Call("ecs", "tag_resource", {"resourceArn": arn, "tags": _pairs(spec["tags"])})
    if "log_retention_days" in changed or "log_group" in changed:
        yield from keep_logs(spec)
    under_way = live.health is Health.PROGRESSING
    if changed - NOT_DEPLOYMENTS or ("settled" in changed and not under_way):
        if under_way:
            yield ended(live.private["deployment"], (DONE, *FAILED), (), spec["log_group"], "")
        answer = yield Call("ecs", "update_express_gateway_service", {"serviceArn": arn, **body(spec)})
        revision = answer["service"]["targetConfiguration"]["serviceRevisionArn"]
        yield from deployed(arn, revision, spec["log_group"], BACK)
    elif "settled" in changed:
        yield ended(live.private["deployment"], (DONE,), FAILED, spec["log_group"], BACK)
    return (yield from told(arn)) if "settled" in changed else {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """Delete, and wait until it is gone: its roles, groups and subnets are held until then."""
    arn = live.private["arn"]
    gone = (*GONE, "ServiceNotActiveException")
    yield Call("ecs", "delete_express_gateway_service", {"serviceArn": arn}, ok=gone)
    yield drained(arn, name)
    return {}


def effects(fields: tuple[FieldChange, ...], live: Live) -> Iterator[str]:
    """What users notice."""
    changed = {field.path[0] for field in fields}
    if changed & IMMUTABLE or live.status == "DRAINING":
        yield "The service is made again, with a new address."
    elif changed - NOT_DEPLOYMENTS or live.health is Health.FAILED:
        yield CANARY
    elif "settled" in changed:
        yield WAITED_FOR


def losses(live: Live) -> Iterator[str]:
    """What users notice when it goes."""
    if live.outputs["host"]:
        yield f"{live.outputs['url']} answers no more."


def stuck(live: Live) -> str:
    """What a person should look at."""
    sentences = {
        "DRAINING": "it is being deleted: an apply makes it anew once it is gone",
        "STOPPED": "its last deployment was stopped: an apply deploys again",
        "ROLLBACK_FAILED": "its last deployment failed, and what was before could not be brought back: see its log "
        "group; an apply deploys again",
    }
    under_way = "ECS is deploying to it, which takes 6 to 10 minutes: an apply waits for it"
    return sentences.get(live.status, "" if live.status == "ACTIVE" else under_way)


def _arn(scope: Scope, name: str) -> str:
    return f"arn:aws:ecs:{scope.region}:{scope.account}:service/{CLUSTER}/{name}"


def _service(aws: Aws, arn: str) -> Any:
    answer = aws.get("ecs", "describe_express_gateway_service", serviceArn=arn, include=["TAGS"], missing=GONE)
    return None if answer is None or answer["service"]["status"]["statusCode"] == "INACTIVE" else answer["service"]


def _last_deployment(aws: Aws, arn: str) -> Any:
    """The newest one, or None: ECS forgets them after 90 days."""
    answer = aws.get("ecs", "list_service_deployments", cluster=CLUSTER, service=arn, missing=GONE) or {}
    return max(answer.get("serviceDeployments", ()), key=lambda one: str(one.get("createdAt", "")), default=None)


def _status(service: Any, last: Any) -> str:
    """The service's own, or its deployment's while that is not well."""
    code: str = service["status"]["statusCode"]
    status = str((last or {}).get("status", DONE))
    return code if code != "ACTIVE" or status in (DONE, "ROLLBACK_SUCCESSFUL") else status


def _groups(aws: Aws, configuration: Mapping[str, Any]) -> list[str]:
    """The security groups that somebody named; ECS marks its own."""
    named = (configuration.get("networkConfiguration") or {}).get("securityGroups") or []
    managed = [{"Name": "tag:AmazonECSManaged", "Values": ["true"]}]
    found = aws.all("ec2", "describe_security_groups", "SecurityGroups", Filters=managed) if len(named) > 1 else []
    its_own = {group["GroupId"] for group in found}
    return [group for group in named if group not in its_own]


def _balancer(aws: Aws, configuration: Mapping[str, Any]) -> str:
    revision = configuration.get("serviceRevisionArn")
    answer = aws.get("ecs", "describe_service_revisions", serviceRevisionArns=[revision]) if revision else {}
    return balancer_of(answer)


def _retention(aws: Aws, group: str) -> int | None:
    """Days the log group is kept; None while it is missing or keeps for ever."""
    groups = aws.all("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=group)
    return next((one.get("retentionInDays") for one in groups if one["logGroupName"] == group), None)


def _demand_zones(spec: Mapping[str, Value]) -> None:
    """Raise Problems, while planning, where the network has too few subnets of the kind that is needed."""
    subnets = spec["subnets"]
    if isinstance(subnets, list) and len(subnets) < ZONES:
        message = f"an Express service needs subnets of its kind in {ZONES} zones, and the network has {len(subnets)}"
        hint = "a public service needs subnets with a route to an internet gateway, one that is not public others: "
        raise Problems.one(message, hint=f"{hint}name them in `network.subnets` of the Project, or another VPC")


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in sorted(tags.items())]
