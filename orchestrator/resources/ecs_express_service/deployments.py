"""The steps of a deployment: its log group, its wait, and what is known once it is over.  Pure.

A deployment is found by the revision that was asked for, and waited for by its own ARN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.resources.ecs_express_service.api_shape import CLUSTER, balancer_of, host_of, newest, outputs
from orchestrator.steps import Call, Compute, Steps, Wait
from orchestrator.values import Value, join

GONE = ("ResourceNotFoundException", "ServiceNotFoundException", "ClusterNotFoundException")
A_DEPLOYMENT = 2400.0
"""Seconds a deployment may take: most end in 6 to 10 minutes, one whose tasks never become well in 30 or so."""
DONE = "SUCCESSFUL"
FAILED = ("STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED")
BACK = "ROLLBACK_SUCCESSFUL means that ECS went back to the previous version by itself, which answers now."


def keep_logs(spec: Mapping[str, Value]) -> Steps:
    """The log group, which a task may not make, and for how long it is kept."""
    group = spec["log_group"]
    yield Call("logs", "create_log_group", {"logGroupName": group}, ok=("ResourceAlreadyExistsException",))
    kept = {"logGroupName": group, "retentionInDays": spec["log_retention_days"]}
    yield Call("logs", "put_retention_policy", kept, retry=("ResourceNotFoundException",), patience=30)
    return {}


def deployed(arn: Value, revision: Value, log: str, stuck: str) -> Steps:
    """Wait for the deployment of a revision, by its own ARN; it may take a moment until it is listed at all."""
    listing = Call("ecs", "list_service_deployments", {"cluster": CLUSTER, "service": arn}, retry=GONE)
    listed = join(["serviceDeployments[?targetServiceRevisionArn=='", revision, "'] | [0] && 'listed'"])
    sentence = "ECS lists no deployment of what was asked for; look at the service in the ECS console."
    answer = yield Wait(listing, listed, until=("listed",), patience=300.0, stuck=sentence, what="its deployment")
    deployment = yield Compute("its deployment", deployment_of, (answer, revision))
    yield ended(deployment, (DONE,), FAILED, log, stuck)
    return {}


def deployment_of(answer: Any, revision: str) -> str:
    """The ARN of the deployment whose target is ``revision``, out of ListServiceDeployments' answer."""
    found = (one for one in answer["serviceDeployments"] if one.get("targetServiceRevisionArn") == revision)
    return str(next(found)["serviceDeploymentArn"])


def ended(deployment: Value, until: tuple[str, ...], failed: tuple[str, ...], log: str, stuck: str) -> Wait:
    """Wait for one deployment's own end."""
    return Wait(
        Call("ecs", "describe_service_deployments", {"serviceDeploymentArns": [deployment]}),
        "serviceDeployments[0].status",
        until=until,
        failed=failed,
        patience=A_DEPLOYMENT,
        stuck=f"{stuck} What the container printed is in the log group {log}.".strip(),
        what="the deployment",
        log=log,
        why="serviceDeployments[0].statusReason",
    )


def told(arn: Value) -> Steps:
    """Its outputs, once it has been deployed to."""
    answer = yield Call("ecs", "describe_express_gateway_service", {"serviceArn": arn})
    service = answer["service"]
    host = yield Compute("its host", host_of, (service,))
    revision = yield Compute("its revision", revision_of, (service,))
    revisions = yield Call("ecs", "describe_service_revisions", {"serviceRevisionArns": [revision]})
    balancer = yield Compute("its load balancer", balancer_of, (revisions,))
    return outputs(arn, host, balancer)


def revision_of(service: Mapping[str, Any]) -> str:
    """The ARN of the revision that runs."""
    return str(newest(service).get("serviceRevisionArn", ""))


def drained(arn: Value, name: str) -> Wait:
    """Wait until the service is gone."""
    sentence = f"ECS could not remove {name}; look at it in the ECS console, and run it again."
    describe = Call("ecs", "describe_express_gateway_service", {"serviceArn": arn})
    path = "service.status.statusCode"
    return Wait(describe, path, ("INACTIVE",), (), GONE, A_DEPLOYMENT, sentence, what="the service")
