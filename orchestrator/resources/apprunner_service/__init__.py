"""App Runner services.  API: App Runner CreateService, UpdateService, DeleteService, ResumeService, ListOperations.

App Runner works one operation at a time and answers before it is done: every change waits until the service is idle,
starts its operation, and waits for that operation by its id.  A deployment that fails is rolled back in silence and the
service says RUNNING, so the operation's own status decides; the old image then shows as a difference on the next run.
The log groups that App Runner makes for a service have their retention set here; they outlive the service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from orchestrator.ownership_tags import mapping, marks, pairs
from orchestrator.resources import Aws, standing_marks, standing_tags
from orchestrator.resources.apprunner_service.api_shape import body, normalise, outputs, settings
from orchestrator.steps import Call, Steps, Wait
from orchestrator.values import Value, join
from orchestrator.vocabulary import FieldChange, Health, Live, Scope

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

GONE = ("ResourceNotFoundException",)
BUSY = ("InvalidStateException",)
IN_USE = ("InvalidRequestException",)
UNUSABLE = ("CREATE_FAILED", "DELETE_FAILED")
IDLE = ("RUNNING", "PAUSED", *UNUSABLE, "DELETED")
AN_OPERATION = 2400.0
"""Seconds an operation may take: most end in 3 to 6 minutes, a failing deployment has been seen to take 40."""
NOT_DEPLOYMENTS = frozenset({"tags", "log_retention_days"})
ROLLING = "A new deployment: old and new instances run side by side for some minutes; nobody is cut off."
GENTLE = frozenset({ROLLING})
"""Effects that nobody has to agree to."""
CLOSED = dict.fromkeys(
    ("AccessDeniedException", "InvalidRequestException", "OptInRequired", "SubscriptionRequiredException"),
    "AWS closed App Runner on 2026-04-30 to accounts that had not used it before. If that is why, say "
    "`runtime: ecs-express` in the manifest: the rest of it stays, and it costs more (`orchestrator plan` says what).",
)
"""How AWS may refuse those accounts: it documents no code for it."""
TAKES_OVER = frozenset({"ecs_express_service"})
"""What may stand in its place: that goes only when this one answers."""
KINDS = ("application", "service")
HEALTHS = {"RUNNING": Health.HEALTHY, "CREATE_FAILED": Health.FAILED, "DELETE_FAILED": Health.FAILED}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """One listing for all, DescribeService, the tags; the log groups where their retention is asked for."""
    arn = next((arn for service, arn in _services(aws) if service == name), "")
    answer = aws.get("apprunner", "describe_service", ServiceArn=arn, missing=GONE) if arn else None
    if answer is None or answer["Service"]["Status"] == "DELETED":
        return None
    service = answer["Service"]
    status = service["Status"]
    tags = standing_tags(aws, scope, arn, spec.get("tags"), partial(_tags, aws, arn))
    found = {**settings(service), "usable": status not in UNUSABLE, "tags": tags}
    if "log_retention_days" in spec:
        found["log_retention_days"] = _retention(aws, name, service["ServiceId"])
    health = HEALTHS.get(status, Health.PROGRESSING)
    return Live(normalise(found), outputs(service), {"arn": arn}, health=health, status=status, **marks(tags))


def discover(aws: Aws, scope: Scope) -> Iterator[str]:
    """Ours, by their tags: the tagging API lags, and what a service uses cannot be deleted before it."""
    for name, arn in _services(aws):
        if not name.startswith(scope.prefix[:20]):  # others' tags are not asked for
            continue
        if standing_marks(aws, scope, arn, partial(_tags, aws, arn))["owner"] == scope.owner:
            yield name


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """CreateService until the new roles can be assumed; then its first deployment."""
    wanted = {"ServiceName": name, **body(spec), "Tags": pairs(spec["tags"])}
    if spec["encryption_key"] is not None:
        wanted["EncryptionConfiguration"] = {"KmsKey": spec["encryption_key"]}
    new_role = ("InvalidRequestException",)
    answer = yield Call(
        "apprunner", "create_service", wanted, retry=new_role, retry_text="Error in assuming", advice=CLOSED
    )
    service = answer["Service"]
    arn = service["ServiceArn"]
    hint = f"Its events and logs say why: log groups /aws/apprunner/{name}/*/service and */application."
    log = join([f"/aws/apprunner/{name}/", service["ServiceId"], "/service"])
    yield _ended(arn, answer["OperationId"], f"The service never ran; the next run makes it anew. {hint}", log)
    yield _running(arn, hint)
    if "log_retention_days" in spec:
        yield from _keep_logs(name, service["ServiceId"], spec["log_retention_days"])
    return outputs(service)


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """Wait until idle, resume what is paused, deploy, and delete the revisions it left behind.

    A service whose creation failed never ran and cannot be mended: it is deleted and made again.
    """
    arn = live.private["arn"]
    if live.status in UNUSABLE:
        yield from delete(scope, name, live)
        made = yield from create(scope, name, spec)
        yield from clean_up(name, spec, live, changed)
        return made
    if "tags" in changed:
        tags = {"ResourceArn": arn, "Tags": pairs(spec["tags"])}
        yield Call("apprunner", "tag_resource", tags, retry=BUSY, patience=AN_OPERATION)
    if "log_retention_days" in changed:
        yield from _keep_logs(name, live.outputs["id"], spec["log_retention_days"])
    if changed - NOT_DEPLOYMENTS:
        yield from _deploy(name, spec, live)
        yield from clean_up(name, spec, live, changed)
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """Wait until idle, delete, and wait until it is gone: its roles and connector are held until then."""
    arn = live.private["arn"]
    yield _idle(arn, (*GONE,))
    yield Call("apprunner", "delete_service", {"ServiceArn": arn}, ok=GONE, retry=BUSY, patience=AN_OPERATION)
    yield Wait(
        _describe(arn),
        "Service.Status",
        until=("DELETED",),
        failed=("DELETE_FAILED",),
        gone=GONE,
        patience=AN_OPERATION,
        stuck=f"App Runner could not delete {name}; delete it again, or ask AWS support.",
        what="the service",
    )
    return {}


def effects(fields: tuple[FieldChange, ...], live: Live) -> Iterator[str]:
    """What users notice."""
    if live.status in UNUSABLE:
        yield "The service never ran: it is deleted and made again, with a new address."
    elif {field.path[0] for field in fields} - NOT_DEPLOYMENTS:
        yield ROLLING
        if live.status == "PAUSED":
            yield "The paused service is resumed, because App Runner deploys to no paused service."


def losses(live: Live) -> Iterator[str]:
    """What users notice when it goes."""
    if live.outputs.get("host"):
        yield f"{live.outputs['url']} answers no more."


def stuck(live: Live) -> str:
    """What a person should look at."""
    wake = f"aws apprunner resume-service --service-arn {live.private.get('arn', 'ARN')}"
    sentences = {
        "CREATE_FAILED": "its first deployment failed: see its log groups; an apply makes it anew",
        "DELETE_FAILED": "App Runner could not delete it: an apply tries again",
        "PAUSED": f"somebody has paused it, and it answers nobody: `{wake}` wakes it",
        "OPERATION_IN_PROGRESS": "App Runner is at work on it (a deployment, or AWS's own maintenance)",
    }
    return sentences.get(live.status, "")


def _deploy(name: str, spec: Mapping[str, Value], live: Live) -> Steps:
    arn = live.private["arn"]
    log = f"/aws/apprunner/{name}/{live.outputs['id']}/service"
    hint = f"More is in the log group {log}, and in /application what it printed."
    yield _idle(arn)
    if live.status == "PAUSED":
        resume = Call("apprunner", "resume_service", {"ServiceArn": arn}, retry=BUSY, patience=AN_OPERATION)
        answer = yield resume
        yield _ended(arn, answer["OperationId"], f"The service could not be resumed. {hint}", log)
        yield _running(arn, hint)
    wanted = {"ServiceArn": arn, **body(spec)}
    answer = yield Call("apprunner", "update_service", wanted, retry=BUSY, patience=AN_OPERATION)
    back = "ROLLBACK_SUCCEEDED means that App Runner went back to the previous version by itself, which answers now."
    yield _ended(arn, answer["OperationId"], f"{back} {hint}", log)
    yield _running(arn, hint)
    return {}


def clean_up(name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """Delete the revision and the connector that the service (or the one before it) left, if they are of its family.

    A connector that the manifest wants no more is deleted by the pruning of its own resource.
    """
    scaling = live.spec.get("autoscaling")
    if "autoscaling" in changed and _is_of(name, scaling):
        left = {"AutoScalingConfigurationArn": scaling}
        yield Call("apprunner", "delete_auto_scaling_configuration", left, ok=GONE, retry=IN_USE)
    connector = live.spec.get("connector")
    if "connector" in changed and spec["connector"] is not None and _is_of(name, connector):
        yield Call("apprunner", "delete_vpc_connector", {"VpcConnectorArn": connector}, ok=GONE, retry=IN_USE)
    return {}


def _is_of(name: str, arn: str | None) -> bool:
    """Whether an ARN's name is the service's own, or a number of it: ``.../api/2/ID``, ``.../api_2/1/ID``."""
    return arn is not None and re.fullmatch(re.escape(name) + r"(_\d+)?", arn.split("/")[1]) is not None


def _describe(arn: Value) -> Call:
    return Call("apprunner", "describe_service", {"ServiceArn": arn})


def _idle(arn: Value, gone: tuple[str, ...] = ()) -> Wait:
    sentence = "App Runner is still at work on the service; run again when it has ended."
    until = IDLE if gone else ("RUNNING", "PAUSED")
    failed = () if gone else (*UNUSABLE, "DELETED")
    return Wait(_describe(arn), "Service.Status", until, failed, gone, AN_OPERATION, sentence, what="the service")


def _ended(arn: Value, operation: Value, stuck: str, log: Value) -> Wait:
    """An operation's own end; it may take a moment until the list shows it at all."""
    return Wait(
        Call("apprunner", "list_operations", {"ServiceArn": arn}, retry=GONE),
        join(["OperationSummaryList[?Id=='", operation, "'].Status | [0]"]),
        until=("SUCCEEDED",),
        failed=("FAILED", "ROLLBACK_SUCCEEDED", "ROLLBACK_FAILED"),
        patience=AN_OPERATION,
        stuck=stuck,
        what="the deployment",
        log=log,
    )


def _running(arn: Value, stuck: str) -> Wait:
    return Wait(_describe(arn), "Service.Status", ("RUNNING",), UNUSABLE, (), 300.0, stuck, what="the service")


def _keep_logs(name: str, identifier: Value, days: int) -> Steps:
    for kind in KINDS:
        group = join([f"/aws/apprunner/{name}/", identifier, f"/{kind}"])
        yield Call("logs", "create_log_group", {"logGroupName": group}, ok=("ResourceAlreadyExistsException",))
        kept = {"logGroupName": group, "retentionInDays": days}
        yield Call("logs", "put_retention_policy", kept, retry=("ResourceNotFoundException",), patience=30)
    return {}


def _services(aws: Aws) -> list[tuple[str, str]]:
    """Name and ARN of every service there is."""
    listed = aws.all("apprunner", "list_services", "ServiceSummaryList")
    return [(one["ServiceName"], one["ServiceArn"]) for one in listed if one["Status"] != "DELETED"]


def _tags(aws: Aws, arn: Any) -> dict[str, str]:
    return mapping(aws.all("apprunner", "list_tags_for_resource", "Tags", ResourceArn=arn, missing=GONE))


def _retention(aws: Aws, name: str, identifier: str) -> int | None:
    """Days both log groups are kept; None while one is missing, keeps for ever, or differs."""
    prefix = f"/aws/apprunner/{name}/{identifier}/"
    groups = aws.all("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=prefix)
    days = {group["logGroupName"].removeprefix(prefix): group.get("retentionInDays") for group in groups}
    kept = {days.get(kind) for kind in KINDS}
    return kept.pop() if len(kept) == 1 else None
