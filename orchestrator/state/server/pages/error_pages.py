"""What went wrong, as a page for browsers and as problem details for everybody else."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from orchestrator.state.server import problem_details
from orchestrator.state.server.middleware import HEADERS
from orchestrator.state.server.pages.rendering import show

WAYS = {
    401: "Sign in, and you come back here.",
    403: "Ask somebody who may push to the repository, or sign in as another.",
    404: "It may have been removed, or the address has a slip in it.",
    429: "Wait a moment, then load the page again.",
    500: "Load the page again. If it stays, the service's log has the reason under this request's number.",
    503: "Try again in a moment. Plan and rollback work without this service.",
}


def install(app: FastAPI) -> None:
    """Let errors be pages where a browser asks for one."""
    for error, handler in problem_details.HANDLERS.items():
        app.add_exception_handler(error, _paged(handler))
    app.add_exception_handler(Exception, _broken)


def _paged(handler: Any) -> Any:
    def answer(request: Request, error: Exception) -> Response:
        said: Response = handler(request, error)
        return page(request, said) if for_people(request) else said

    return answer


def for_people(request: Request) -> bool:
    """Whether a browser asks for a page."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")


def page(request: Request, said: Response) -> Response:
    """Problem details, laid out."""
    details = json.loads(bytes(said.body))
    status = int(details["status"])
    way = details.get("hint") or WAYS.get(status, "Go back, and try it another way.")
    shown = show(request, "failure.html", {"status": status, "details": details, "way": way}, status)
    for name in ("www-authenticate", "retry-after", "allow"):
        if name in said.headers and status != 401:
            shown.headers[name] = said.headers[name]
    return shown


def _broken(request: Request, _: Exception) -> Response:
    """Answered outside of the guard, so it brings the guard's headers along."""
    number = str(request.scope.get("state", {}).get("request_id", ""))
    said = problem_details.problem(500, "something here does not work as it should", request=number)
    try:
        answer = page(request, said) if for_people(request) else said
    except Exception:  # noqa: BLE001 - the page needs the database too; the plain answer needs nothing
        answer = said
    answer.headers.update({**HEADERS, "X-Request-Id": number})
    return answer
