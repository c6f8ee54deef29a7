"""Show errors as HTML pages to browsers and as problem details to all other clients."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from orchestrator.state.server import problem_details
from orchestrator.state.server.middleware import SECURITY_HEADERS
from orchestrator.state.server.pages.rendering import render_page

HINTS_BY_STATUS = {
    401: "Sign in to continue to this page.",
    403: "Ask someone with push access to the repository, or sign in with a different account.",
    404: "Check the address. The page may have been removed.",
    429: "Wait a moment, then reload the page.",
    500: "Reload the page. If the error persists, search the service log for the request ID below.",
    503: "Try again in a moment. Plan and rollback work without this service.",
}


def install_error_pages(app: FastAPI) -> None:
    """Install error handlers that render HTML for browsers."""
    for error, handler in problem_details.HANDLERS.items():
        app.add_exception_handler(error, _with_error_page(handler))
    app.add_exception_handler(Exception, _handle_unexpected_error)


def _with_error_page(handler: Any) -> Any:
    def handle_error(request: Request, error: Exception) -> Response:
        problem_response: Response = handler(request, error)
        return render_error_page(request, problem_response) if accepts_html(request) else problem_response

    return handle_error


def accepts_html(request: Request) -> bool:
    """Return whether the request comes from a browser that expects a page."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")


def render_error_page(request: Request, problem_response: Response) -> Response:
    """Return an HTML page that shows the problem details."""
    details = json.loads(bytes(problem_response.body))
    status = int(details["status"])
    hint = details.get("hint") or HINTS_BY_STATUS.get(status, "Go back and check the request.")
    error_page = render_page(request, "failure.html", {"status": status, "details": details, "hint": hint}, status)
    for name in ("www-authenticate", "retry-after", "allow"):
        if name in problem_response.headers and status != 401:
            error_page.headers[name] = problem_response.headers[name]
    return error_page


def _handle_unexpected_error(request: Request, _: Exception) -> Response:
    """Handle an error raised outside RequestMiddleware; sets its headers here because it never sees this response."""
    request_id = str(request.scope.get("state", {}).get("request_id", ""))
    problem_response = problem_details.problem_response(500, "an unexpected error occurred", request=request_id)
    try:
        response = render_error_page(request, problem_response) if accepts_html(request) else problem_response
    except Exception:  # noqa: BLE001 - the page needs the database; the plain response does not
        response = problem_response
    response.headers.update({**SECURITY_HEADERS, "X-Request-Id": request_id})
    return response
