"""Return errors as RFC 9457 problem details."""

from __future__ import annotations

import time
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError, StatementError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from orchestrator.problems import Problems
from orchestrator.redaction.redact import sanitise
from orchestrator.state.protocol.lease_queue import LeaseHeldError, LostLeaseError
from orchestrator.state.server.store.database import is_disk_full
from orchestrator.state.server.store.lease_store import FenceRequiredError, NotRunOwnerError
from orchestrator.state.server.store.store import EventGapError, RunEndedError, UnknownRunError

MEDIA_TYPE = "application/problem+json"
DISK_FULL_SECONDS = 30.0
"""Seconds for which the service is not ready after a write failed because the database's disk is full."""
TITLES = {
    400: "Bad request",
    401: "Authentication required",
    403: "Permission denied",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    411: "Length required",
    413: "Request too large",
    415: "Unsupported media type",
    421: "Misdirected request",
    422: "Invalid request",
    429: "Too many requests",
    500: "Internal server error",
    503: "Service unavailable",
}


class ProblemDetails(BaseModel):
    """The body of every error; ``type`` identifies its kind, ``request`` is the request ID in the log."""

    type: str
    title: str
    status: int
    detail: str
    request: str = ""
    hint: str = ""


def problem_response(status: int, detail: str, problem_type: str = "about:blank", **extensions: Any) -> Response:
    """Return problem details as a response; ``extensions`` are further members, or ``headers``."""
    headers = extensions.pop("headers", None)
    title = TITLES.get(status, "Request failed")
    body = {"type": problem_type, "title": title, "status": status, "detail": detail, **extensions}
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def install_error_handlers(app: FastAPI) -> None:
    """Install the error handlers of the API."""
    for error, handler in HANDLERS.items():
        app.add_exception_handler(error, handler)


def _request_id(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


def _handle_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem_response(error.status_code, str(error.detail), request=_request_id(request), headers=error.headers)


def _handle_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first_error = error.errors()[0]
    location = ".".join(str(part) for part in first_error["loc"])
    status = 400 if first_error["type"] == "json_invalid" else 422
    return problem_response(status, sanitise(f"{location}: {first_error['msg']}"), request=_request_id(request))


def _handle_problems(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problems)
    first_problem = error.problems[0]
    return problem_response(
        422, sanitise(first_problem.message), request=_request_id(request), hint=first_problem.hint or ""
    )


def _handle_lost_lease(request: Request, error: Exception) -> Response:
    assert isinstance(error, LostLeaseError)
    new_holder = f"; {error.holder.owner} has it now" if error.holder else ""
    return problem_response(
        409, sanitise(f"this run no longer holds the lock{new_holder}"), "lost-lease", request=_request_id(request)
    )


def _handle_lease_held(request: Request, error: Exception) -> Response:
    assert isinstance(error, LeaseHeldError)
    holder = error.holder
    extensions = (
        {"owner": holder.owner, "reason": holder.reason, "url": holder.url, "run": holder.run, "until": holder.until}
        if holder
        else {}
    )
    message = f"locked by {holder.owner} ({holder.reason})" if holder else "locked: other runs are waiting"
    return problem_response(409, sanitise(message), "held", request=_request_id(request), **extensions)


def _handle_event_gap(request: Request, error: Exception) -> Response:
    assert isinstance(error, EventGapError)
    return problem_response(409, str(error), "gap", request=_request_id(request), expected=error.expected)


def _handle_run_ended(request: Request, error: Exception) -> Response:
    assert isinstance(error, RunEndedError)
    return problem_response(
        409, sanitise(str(error)), "run-over", request=_request_id(request), run_status=error.run.status
    )


def _handle_missing_fence(request: Request, _: Exception) -> Response:
    detail = "this run holds the lock: the request must contain its `fence`"
    return problem_response(409, detail, "fence-required", request=_request_id(request))


def _handle_not_owner(request: Request, _: Exception) -> Response:
    detail = "another client started this run, and only that client may write to it"
    return problem_response(403, detail, "not-owner", request=_request_id(request))


def _handle_unknown_run(request: Request, _: Exception) -> Response:
    return problem_response(404, "no run with this ID", request=_request_id(request))


def _handle_invalid_data(request: Request, _: Exception) -> Response:
    return problem_response(422, "a value is too long or too large to store", request=_request_id(request))


def _handle_database_error(request: Request, error: Exception) -> Response:
    headers, detail = {"Retry-After": "2"}, "the database is not available"
    if is_disk_full(error):
        detail = "the database's disk is full"
        request.app.state.disk_full_until = time.monotonic() + DISK_FULL_SECONDS
    return problem_response(503, detail, request=_request_id(request), headers=headers)


HANDLERS: dict[Any, Any] = {
    HTTPException: _handle_http_error,
    RequestValidationError: _handle_validation_error,
    Problems: _handle_problems,
    LeaseHeldError: _handle_lease_held,
    LostLeaseError: _handle_lost_lease,
    EventGapError: _handle_event_gap,
    RunEndedError: _handle_run_ended,
    FenceRequiredError: _handle_missing_fence,
    NotRunOwnerError: _handle_not_owner,
    UnknownRunError: _handle_unknown_run,
    DataError: _handle_invalid_data,
    IntegrityError: _handle_invalid_data,
    OverflowError: _handle_invalid_data,
    StatementError: _handle_database_error,
    SQLAlchemyError: _handle_database_error,
}
