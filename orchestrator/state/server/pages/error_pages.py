"""What went wrong, as a page for browsers and as problem details for everybody else."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from orchestrator.state.server import problem_details
from orchestrator.state.server.middleware import SECURITY_HEADERS
from orchestrator.state.server.pages.rendering import render_page

HINTS_BY_STATUS = {
    401: "Sign in, and you come back here.",
    403: "Ask somebody who may push to the repository, or sign in as another.",
    404: "It may have been removed, or the address has a slip in it.",
    429: "Wait a moment, then load the page again.",
    500: "Load the page again. If it stays, the service's log has the reason under this request's number.",
    503: "Try again in a moment. Plan and rollback work without this service.",
}


def install_error_pages(app: FastAPI) -> None:
    """Let errors be pages where a browser asks for one."""
    for error, handler in problem_details.HANDLERS.items():
        app.add_exception_handler(error, _with_error_page(handler))
    app.add_exception_handler(Exception, _handle_unexpected_error)


def _with_error_page(handler: Any) -> Any:
    def handle_error(request: Request, error: Exception) -> Response:
        problem_response: Response = handler(request, error)
        return render_error_page(request, problem_response) if accepts_html(request) else problem_response

    return handle_error


def accepts_html(request: Request) -> bool:
    """Whether a browser asks for a page."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")


def render_error_page(request: Request, problem_response: Response) -> Response:
    """Problem details, laid out."""
    details = json.loads(bytes(problem_response.body))
    status = int(details["status"])
    hint = details.get("hint") or HINTS_BY_STATUS.get(status, "Go back, and try it another way.")
    error_page = render_page(request, "failure.html", {"status": status, "details": details, "way": hint}, status)
    for name in ("www-authenticate", "retry-after", "allow"):
        if name in problem_response.headers and status != 401:
            error_page.headers[name] = problem_response.headers[name]
    return error_page


def _handle_unexpected_error(request: Request, _: Exception) -> Response:
    """Answered outside of the guard, so it brings the guard's headers along."""
    request_id = str(request.scope.get("state", {}).get("request_id", ""))
    problem_response = problem_details.problem_response(
        500, "something here does not work as it should", request=request_id
    )
    try:
        response = render_error_page(request, problem_response) if accepts_html(request) else problem_response
    except Exception:  # noqa: BLE001 - the page needs the database too; the plain answer needs nothing
        response = problem_response
    response.headers.update({**SECURITY_HEADERS, "X-Request-Id": request_id})
    return response
