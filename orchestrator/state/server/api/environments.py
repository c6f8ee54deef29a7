"""Environments and what is kept of each: plans, releases, drift, pull requests, models."""

from __future__ import annotations

from typing import Annotated

from fastapi import HTTPException, Path, Query, Request
from msgspec.structs import replace
from starlette.responses import Response

from orchestrator.state.protocol.records import (
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
)
from orchestrator.state.protocol.requests import Shipped
from orchestrator.state.protocol.timestamps import stamp
from orchestrator.state.server.api.operation_router import Operations
from orchestrator.state.server.filters import Delivery
from orchestrator.state.server.idempotency import once
from orchestrator.state.server.request_context import (
    Keeper,
    Operator,
    Proposer,
    Reader,
    ReaderOrProposer,
    Writer,
    answered,
    fit,
)

operations = Operations("records")
Name = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$")]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Word = Annotated[str, Query(max_length=200)]
Limit = Annotated[int, Query(ge=1, le=500)]
BASE = "/environments/{project}/{name}"


@operations.get("/environments", response_model=list[Environment])
def environments(request: Request, store: Keeper, _: Reader) -> Response:
    """All at a glance."""
    return answered(request, store.environments())


@operations.get(BASE, response_model=Environment)
def environment(request: Request, store: Keeper, _: Reader, project: Name, name: Name) -> Response:
    """One at a glance."""
    return answered(request, store.environment(f"{project}/{name}"))


@operations.get(BASE + "/lease", response_model=Lease)
def lease(request: Request, store: Keeper, _: Reader, project: Name, name: Name) -> Response:
    """Who writes, and who waits."""
    return answered(request, store.lease(f"{project}/{name}"))


@operations.put(BASE + "/plans/{digest}", response_model=PlanRecord)
def put_plan(
    request: Request,
    store: Keeper,
    identity: Proposer,
    project: Name,
    name: Name,
    digest: Annotated[str, Path(pattern="^[0-9a-f]{64}$")],
    body: PlanRecord,
) -> Response:
    """Keep a plan."""
    same = (body.environment, body.digest, body.plan.digest) == (f"{project}/{name}", digest, digest)
    _agree(same and (body.plan.project, body.plan.environment) == (project, name))
    return answered(request, store.record_plan(fit(body), identity.name))


@operations.get("/plans/{digest}", response_model=PlanRecord)
def plan(request: Request, store: Keeper, _: Reader, digest: Annotated[str, Path(max_length=64)]) -> Response:
    """A plan by its digest."""
    return answered(request, store.plan(digest))


@operations.get(BASE + "/releases", response_model=Page[ReleaseRecord])
def releases(
    request: Request, store: Keeper, _: Reader, project: Name, name: Name, cursor: Word = "", limit: Limit = 50
) -> Response:
    """The newest first."""
    return answered(request, store.releases(f"{project}/{name}", cursor, limit))


@operations.get(BASE + "/releases/{number}", response_model=Shipped)
def release(request: Request, store: Keeper, _: Reader, project: Name, name: Name, number: Number) -> Response:
    """One release with what it is made of."""
    key = f"{project}/{name}"
    record = store.release(key, number)
    return answered(request, Shipped(record, store.release_content(key, number)) if record else None)


@operations.put(BASE + "/releases/{number}", response_model=Shipped)
def put_release(
    request: Request, store: Keeper, identity: Writer, project: Name, name: Name, number: Number, body: Shipped
) -> Response:
    """Keep a release, or what is known of it now."""
    key, content = f"{project}/{name}", body.content
    same = (body.record.environment, body.record.release.number) == (key, number)
    _agree(same and (content is None or (content.environment, content.number) == (key, number)))
    body = fit(body)
    store.record_release(body.record, body.content, identity.name)
    return answered(request, body)


@operations.get(BASE + "/drift", response_model=Page[DriftReport])
def drifts(
    request: Request, store: Keeper, _: Reader, project: Name, name: Name, cursor: Word = "", limit: Limit = 50
) -> Response:
    """The newest report first."""
    return answered(request, store.drifts(f"{project}/{name}", cursor, limit))


@operations.post(BASE + "/drift", status_code=201, response_model=DriftReport)
def put_drift(
    request: Request, store: Keeper, identity: Proposer, project: Name, name: Name, body: DriftReport
) -> Response:
    """Keep a report; the same again is kept once."""
    _agree(body.environment == f"{project}/{name}")
    report = fit(body)
    return once(request, identity, body, lambda: (201, store.record_drift(report, identity.name)))


@operations.get(BASE + "/drift/decisions", response_model=list[DriftDecision])
def decisions(request: Request, store: Keeper, _: Reader, project: Name, name: Name) -> Response:
    """The newest decision about each resource."""
    return answered(request, store.decisions(f"{project}/{name}"))


@operations.post(BASE + "/drift/decisions", status_code=201, response_model=DriftDecision)
def decide(
    request: Request, store: Keeper, identity: Operator, project: Name, name: Name, body: DriftDecision
) -> Response:
    """Accept, revert, or ignore until a time."""
    _agree(body.environment == f"{project}/{name}")

    def make() -> tuple[int, object]:
        decision = fit(replace(body, by=identity.name, at=stamp(store.clock())))
        store.decide(decision, identity.name)
        return 201, decision

    return once(request, identity, body, make)


@operations.get(BASE + "/pulls", response_model=list[PullRequestPlan])
def pulls(request: Request, store: Keeper, _: Reader, project: Name, name: Name) -> Response:
    """The open pull requests that have a plan."""
    return answered(request, store.pull_requests(f"{project}/{name}"))


@operations.get(BASE + "/pulls/{number}/conflicts", response_model=list[Conflict])
def conflicts(
    request: Request, store: Keeper, _: ReaderOrProposer, project: Name, name: Name, number: Number
) -> Response:
    """The open pull requests whose plans touch the same fields; a job that plans warns the others with it."""
    return answered(request, store.conflicts(f"{project}/{name}", number))


@operations.put(BASE + "/pulls/{number}", response_model=list[Conflict])
def put_pull(
    request: Request,
    store: Keeper,
    identity: Proposer,
    project: Name,
    name: Name,
    number: Number,
    body: PullRequestPlan,
) -> Response:
    """Keep what a pull request's plan touches; the others that touch the same."""
    key = f"{project}/{name}"
    _agree((body.environment, body.number) == (key, number))
    store.record_pull(fit(body), identity.name)
    return answered(request, store.conflicts(key, number))


@operations.get("/models", response_model=list[ModelVersion])
def models(request: Request, store: Keeper, _: Reader, environment: Word = "") -> Response:
    """The newest versions first."""
    return answered(request, store.models(environment))


@operations.put(BASE + "/models/{model}/{version}", response_model=ModelVersion)
def put_model(  # noqa: PLR0913 - a path
    request: Request,
    store: Keeper,
    identity: Writer,
    project: Name,
    name: Name,
    model: Annotated[str, Path(pattern="^[A-Za-z0-9._-]{1,100}$")],
    version: Annotated[str, Path(pattern="^[A-Za-z0-9._-]{1,100}$")],
    body: ModelVersion,
) -> Response:
    """Keep a version of a model."""
    _agree((body.environment, body.name, body.version) == (f"{project}/{name}", model, version))
    store.record_model(fit(body), identity.name)
    return answered(request, body)


@operations.get("/deliveries", response_model=list[Delivery])
def deliveries(request: Request, store: Keeper, _: Reader, environment: Word = "") -> Response:
    """The delivery metrics by week."""
    return answered(request, store.deliveries(environment))


def _agree(same: bool) -> None:
    if not same:
        raise HTTPException(422, "the body is about another thing than the address")
