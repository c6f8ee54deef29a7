"""The one shape of an error: RFC 9457 problem details."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError, StatementError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from orchestrator.problems import Problems
from orchestrator.redaction.redact import safe
from orchestrator.state.protocol.leases import HeldError, LostLeaseError
from orchestrator.state.server.store.store import GapError, RunOverError, UnknownRunError

MEDIA = "application/problem+json"
TITLES = {
    400: "This cannot be understood",
    401: "Say who you are",
    403: "You may not do that",
    404: "There is no such thing",
    405: "That cannot be done here",
    409: "That is not so any more",
    411: "Say how long it is",
    413: "That is too much at once",
    415: "This is no JSON",
    421: "This was meant for another",
    422: "This is not as it should be",
    429: "That is too often",
    500: "The service has failed",
    503: "The service cannot do this now",
}


class ProblemDetails(BaseModel):
    """What every error looks like; ``type`` names its kind, ``request`` finds it in the log."""

    type: str
    title: str
    status: int
    detail: str
    request: str = ""
    hint: str = ""


def problem(status: int, detail: str, kind: str = "about:blank", **more: Any) -> Response:
    """An answer that says what is wrong."""
    headers = more.pop("headers", None)
    title = TITLES.get(status, "It did not work")
    body = {"type": kind, "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(body, status, headers, MEDIA)


def install(app: FastAPI) -> None:
    """Let every error of ``app`` have this shape."""
    for error, handler in HANDLERS.items():
        app.add_exception_handler(error, handler)


def _request(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), request=_request(request), headers=error.headers)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    status = 400 if first["type"] == "json_invalid" else 422
    return problem(status, safe(f"{place}: {first['msg']}"), request=_request(request))


def _problems(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problems)
    first = error.problems[0]
    return problem(422, safe(first.message), request=_request(request), hint=first.hint or "")


def _lost(request: Request, error: Exception) -> Response:
    assert isinstance(error, LostLeaseError)
    by = f"; {error.holder.owner} has it now" if error.holder else ""
    return problem(409, safe(f"the lease is not yours any more{by}"), "lost-lease", request=_request(request))


def _held(request: Request, error: Exception) -> Response:
    assert isinstance(error, HeldError)
    who = error.holder
    told = {"owner": who.owner, "reason": who.reason, "url": who.url, "run": who.run, "until": who.until} if who else {}
    words = f"{who.owner} has the lease ({who.reason})" if who else "others wait for the lease"
    return problem(409, safe(words), "held", request=_request(request), **told)


def _gap(request: Request, error: Exception) -> Response:
    assert isinstance(error, GapError)
    return problem(409, str(error), "gap", request=_request(request), expected=error.expected)


def _over(request: Request, error: Exception) -> Response:
    assert isinstance(error, RunOverError)
    return problem(409, safe(str(error)), "run-over", request=_request(request), run_status=error.run.status)


def _unknown(request: Request, _: Exception) -> Response:
    return problem(404, "there is no such run", request=_request(request))


def _unfit(request: Request, _: Exception) -> Response:
    return problem(422, "a value is too long or too large to be kept", request=_request(request))


def _database(request: Request, _: Exception) -> Response:
    headers = {"Retry-After": "2"}
    return problem(503, "the database does not answer", request=_request(request), headers=headers)


HANDLERS: dict[Any, Any] = {
    HTTPException: _http,
    RequestValidationError: _invalid,
    Problems: _problems,
    HeldError: _held,
    LostLeaseError: _lost,
    GapError: _gap,
    RunOverError: _over,
    UnknownRunError: _unknown,
    DataError: _unfit,
    IntegrityError: _unfit,
    OverflowError: _unfit,
    StatementError: _database,
    SQLAlchemyError: _database,
}
