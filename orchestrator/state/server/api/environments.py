"""Serve environments and their records: plans, releases, drift, pull requests, models."""

from __future__ import annotations

from typing import Annotated

from fastapi import HTTPException, Path, Request
from msgspec.structs import replace
from starlette.responses import Response

from orchestrator.state.protocol.records import (
    AppliedCost,
    Conflict,
    DriftDecision,
    DriftReport,
    Environment,
    Lease,
    ModelVersion,
    Page,
    PlanRecord,
    PullRequestPlan,
    ReleaseRecord,
    ReviewRecord,
)
from orchestrator.state.protocol.requests import ReleasePayload
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.api.operation_router import OperationRouter
from orchestrator.state.server.filters import DeliveryMetrics
from orchestrator.state.server.idempotency import respond_once
from orchestrator.state.server.request_context import (
    CurrentDriftReporter,
    CurrentOperator,
    CurrentProposer,
    CurrentPullRequestProposer,
    CurrentReader,
    CurrentReaderOrProposer,
    CurrentWriter,
    Limit,
    QueryText,
    StoreDep,
    json_response,
    validate_record,
)

operations = OperationRouter("records")
PathName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$")]
PathNumber = Annotated[int, Path(ge=1, le=2**31 - 1)]
ENVIRONMENT_PATH = "/environments/{project}/{name}"


@operations.get("/environments", response_model=list[Environment])
def list_environments(request: Request, store: StoreDep, _: CurrentReader) -> Response:
    """List all environments with their current status."""
    return json_response(request, store.list_environments())


@operations.get(ENVIRONMENT_PATH, response_model=Environment)
def get_environment(request: Request, store: StoreDep, _: CurrentReader, project: PathName, name: PathName) -> Response:
    """Return an environment with its current status."""
    return json_response(request, store.get_environment(f"{project}/{name}"))


@operations.get(ENVIRONMENT_PATH + "/lease", response_model=Lease)
def get_lease(request: Request, store: StoreDep, _: CurrentReader, project: PathName, name: PathName) -> Response:
    """Return the lease of an environment: its holder and its queue."""
    return json_response(request, store.get_lease(f"{project}/{name}"))


@operations.put(ENVIRONMENT_PATH + "/plans/{digest}", response_model=PlanRecord)
def put_plan(
    request: Request,
    store: StoreDep,
    identity: CurrentProposer,
    project: PathName,
    name: PathName,
    digest: Annotated[str, Path(pattern="^[0-9a-f]{64}$")],
    body: PlanRecord,
) -> Response:
    """Store a plan. Repeating the request changes nothing.

    The digest must be that of the changes. A plan that a job of unmerged code sent is replaced by that of a run.
    """
    from orchestrator.planning.plan import compute_digest

    is_consistent = (body.environment, body.digest, body.plan.digest) == (f"{project}/{name}", digest, digest)
    _require_match(is_consistent and (body.plan.project, body.plan.environment) == (project, name))
    if compute_digest(body.plan) != digest:
        raise HTTPException(422, "the digest of the plan does not match its changes")
    record = replace(validate_record(body), by=identity.actor, is_proposed=identity.is_unmerged)
    return json_response(request, store.record_plan(record, identity.name))


@operations.get("/plans/{digest}", response_model=PlanRecord)
def get_plan(
    request: Request, store: StoreDep, _: CurrentReader, digest: Annotated[str, Path(max_length=64)]
) -> Response:
    """Return a plan by its digest."""
    return json_response(request, store.get_plan(digest))


@operations.get(ENVIRONMENT_PATH + "/costs", response_model=Page[AppliedCost])
def list_applied_costs(
    request: Request,
    store: StoreDep,
    _: CurrentReader,
    project: PathName,
    name: PathName,
    cursor: QueryText = "",
    limit: Limit = 50,
) -> Response:
    """List what the environment has cost since each run that applied something, newest first."""
    return json_response(request, store.list_applied_costs(f"{project}/{name}", cursor, limit))


@operations.get(ENVIRONMENT_PATH + "/releases", response_model=Page[ReleaseRecord])
def list_releases(
    request: Request,
    store: StoreDep,
    _: CurrentReader,
    project: PathName,
    name: PathName,
    cursor: QueryText = "",
    limit: Limit = 50,
) -> Response:
    """List releases, newest first."""
    return json_response(request, store.list_releases(f"{project}/{name}", cursor, limit))


@operations.get(ENVIRONMENT_PATH + "/releases/{number}", response_model=ReleasePayload)
def get_release(
    request: Request, store: StoreDep, _: CurrentReader, project: PathName, name: PathName, number: PathNumber
) -> Response:
    """Return a release with its content."""
    key = f"{project}/{name}"
    record = store.get_release(key, number)
    return json_response(request, ReleasePayload(record, store.get_release_content(key, number)) if record else None)


@operations.put(ENVIRONMENT_PATH + "/releases/{number}", response_model=ReleasePayload)
def put_release(
    request: Request,
    store: StoreDep,
    identity: CurrentWriter,
    project: PathName,
    name: PathName,
    number: PathNumber,
    body: ReleasePayload,
) -> Response:
    """Store or update a release."""
    key, content = f"{project}/{name}", body.content
    is_consistent = (body.record.environment, body.record.release.number) == (key, number)
    _require_match(is_consistent and (content is None or (content.environment, content.number) == (key, number)))
    body = validate_record(body)
    store.record_release(body.record, body.content, identity.name)
    return json_response(request, body)


@operations.get(ENVIRONMENT_PATH + "/drift", response_model=Page[DriftReport])
def list_drift_reports(
    request: Request,
    store: StoreDep,
    _: CurrentReader,
    project: PathName,
    name: PathName,
    cursor: QueryText = "",
    limit: Limit = 50,
) -> Response:
    """List drift reports, newest first."""
    return json_response(request, store.list_drift_reports(f"{project}/{name}", cursor, limit))


@operations.post(ENVIRONMENT_PATH + "/drift", status_code=201, response_model=DriftReport)
def create_drift_report(
    request: Request,
    store: StoreDep,
    identity: CurrentDriftReporter,
    project: PathName,
    name: PathName,
    body: DriftReport,
) -> Response:
    """Store a drift report. Repeating the request changes nothing."""
    _require_match(body.environment == f"{project}/{name}")
    report = replace(validate_record(body), by=identity.actor)
    return respond_once(request, identity, body, lambda: (201, store.record_drift_report(report, identity.name)))


@operations.get(ENVIRONMENT_PATH + "/drift/decisions", response_model=list[DriftDecision])
def list_drift_decisions(
    request: Request, store: StoreDep, _: CurrentReader, project: PathName, name: PathName
) -> Response:
    """List the latest decision about each resource."""
    return json_response(request, store.list_drift_decisions(f"{project}/{name}"))


@operations.post(ENVIRONMENT_PATH + "/drift/decisions", status_code=201, response_model=DriftDecision)
def create_drift_decision(
    request: Request, store: StoreDep, identity: CurrentOperator, project: PathName, name: PathName, body: DriftDecision
) -> Response:
    """Record a decision about a drifted resource: accept, revert, or ignore until a time."""
    _require_match(body.environment == f"{project}/{name}")

    def record_decision() -> tuple[int, object]:
        decision = validate_record(replace(body, by=identity.actor, at=format_timestamp(store.clock())))
        store.record_drift_decision(decision, identity.name)
        return 201, decision

    return respond_once(request, identity, body, record_decision)


@operations.get(ENVIRONMENT_PATH + "/review", response_model=ReviewRecord)
def get_review(request: Request, store: StoreDep, _: CurrentReader, project: PathName, name: PathName) -> Response:
    """Return the newest review of an environment."""
    return json_response(request, store.get_review(f"{project}/{name}"))


@operations.post(ENVIRONMENT_PATH + "/review", status_code=201, response_model=ReviewRecord)
def create_review(
    request: Request,
    store: StoreDep,
    identity: CurrentDriftReporter,
    project: PathName,
    name: PathName,
    body: ReviewRecord,
) -> Response:
    """Store a review. Repeating the request changes nothing."""
    _require_match(body.environment == f"{project}/{name}")
    review = replace(validate_record(body), by=identity.actor)

    def record_review() -> tuple[int, object]:
        store.record_review(review, identity.name)
        return 201, review

    return respond_once(request, identity, body, record_review)


@operations.get(ENVIRONMENT_PATH + "/pulls", response_model=list[PullRequestPlan])
def list_pull_requests(
    request: Request, store: StoreDep, _: CurrentReader, project: PathName, name: PathName
) -> Response:
    """List open pull requests that have a plan."""
    return json_response(request, store.list_pull_requests(f"{project}/{name}"))


@operations.get(ENVIRONMENT_PATH + "/pulls/{number}/conflicts", response_model=list[Conflict])
def list_conflicts(
    request: Request, store: StoreDep, _: CurrentReaderOrProposer, project: PathName, name: PathName, number: PathNumber
) -> Response:
    """List open pull requests whose plans change the same fields as this one."""
    return json_response(request, store.list_conflicts(f"{project}/{name}", number))


@operations.put(ENVIRONMENT_PATH + "/pulls/{number}", response_model=list[Conflict])
def put_pull_request(
    request: Request,
    store: StoreDep,
    identity: CurrentPullRequestProposer,
    project: PathName,
    name: PathName,
    number: PathNumber,
    body: PullRequestPlan,
) -> Response:
    """Store the fields that the plan of a pull request changes; return the pull requests that it conflicts with."""
    key = f"{project}/{name}"
    _require_match((body.environment, body.number) == (key, number))
    store.record_pull_request(replace(validate_record(body), by=identity.actor), identity.name)
    return json_response(request, store.list_conflicts(key, number))


@operations.get("/models", response_model=list[ModelVersion])
def list_model_versions(request: Request, store: StoreDep, _: CurrentReader, environment: QueryText = "") -> Response:
    """List model versions, newest first."""
    return json_response(request, store.list_model_versions(environment))


@operations.put(ENVIRONMENT_PATH + "/models/{model}/{version}", response_model=ModelVersion)
def put_model_version(  # noqa: PLR0913 - path parameters
    request: Request,
    store: StoreDep,
    identity: CurrentWriter,
    project: PathName,
    name: PathName,
    model: Annotated[str, Path(pattern="^[A-Za-z0-9._-]{1,100}$")],
    version: Annotated[str, Path(pattern="^[A-Za-z0-9._-]{1,100}$")],
    body: ModelVersion,
) -> Response:
    """Store a model version."""
    _require_match((body.environment, body.name, body.version) == (f"{project}/{name}", model, version))
    record = replace(validate_record(body), by=identity.actor)
    store.record_model_version(record, identity.name)
    return json_response(request, record)


@operations.get("/deliveries", response_model=list[DeliveryMetrics])
def list_delivery_metrics(request: Request, store: StoreDep, _: CurrentReader, environment: QueryText = "") -> Response:
    """List the delivery metrics by week."""
    return json_response(request, store.list_delivery_metrics(environment))


def _require_match(is_match: bool) -> None:
    if not is_match:
        raise HTTPException(
            422, "the body does not match the URL: environment, name and number must be the same in both"
        )
