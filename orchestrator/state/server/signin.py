"""Sign people in with GitHub: members of the repository can read, people with push access can operate.

The app requests no OAuth scope, so its token cannot read private data.  A GitHub App that is installed in the
repository with metadata access (always granted) is enough: GitHub then returns the permissions of the person.  The
token is used for these two requests and discarded.

API: GitHub's OAuth web flow; GET /user; GET /repos/{repo}.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, HTTPException, Query, Request
from starlette.responses import RedirectResponse, Response

from orchestrator.state.server.access import SESSION_COOKIE, SESSION_TTL_SECONDS, Role, create_session, delete_session
from orchestrator.state.server.pages.rendering import check_form_csrf
from orchestrator.state.server.pages.theme import safe_redirect_path
from orchestrator.state.server.request_context import get_identity, get_store
from orchestrator.state.server.routing import ExternalCallRoute
from orchestrator.state.server.settings import Settings

router = APIRouter(include_in_schema=False, route_class=ExternalCallRoute)
STATE_COOKIE = "orchestrator_sign_in"


@router.get("/auth/sign-in")
def sign_in(request: Request, back: Annotated[str, Query(max_length=1000)] = "/") -> Response:
    """Redirect the browser to GitHub; after sign-in it returns to the page ``back``."""
    settings: Settings = request.app.state.settings
    state = secrets.token_urlsafe(24)
    parameters = {"client_id": settings.client_id, "redirect_uri": _callback_url(settings), "state": state}
    response = RedirectResponse(f"{settings.github_url}/login/oauth/authorize?{urlencode(parameters)}", 303)
    cookie = f"{state}.{base64.urlsafe_b64encode(back.encode()).decode().rstrip('=')}"
    response.set_cookie(
        STATE_COOKIE, cookie, 600, httponly=True, samesite="lax", secure=settings.is_secure, path="/auth"
    )
    return response


@router.get("/auth/callback")
def complete_sign_in(request: Request, code: str = "", state: str = "") -> Response:
    """Complete a sign-in when GitHub redirects the browser back."""
    settings: Settings = request.app.state.settings
    expected_state, _, back = request.cookies.get(STATE_COOKIE, "").partition(".")
    if (
        not expected_state
        or not code
        or not hmac.compare_digest(expected_state.encode(), state.encode("utf-8", "surrogateescape"))
    ):
        raise HTTPException(
            400, "this sign-in was not started in this browser or has expired; start again at /auth/sign-in"
        )
    login, role = _fetch_login_and_role(settings, code)
    if role is None:
        raise HTTPException(403, f"GitHub reports that {login} has no access to {settings.repository}")
    session = create_session(get_store(request), login, role)
    response = RedirectResponse(safe_redirect_path(_decode_return_path(back)), 303)
    response.delete_cookie(STATE_COOKIE, path="/auth")
    response.set_cookie(
        SESSION_COOKIE, session, int(SESSION_TTL_SECONDS), httponly=True, samesite="lax", secure=settings.is_secure
    )
    return response


@router.post("/auth/sign-out")
def sign_out(request: Request, csrf: Annotated[str, Form(max_length=400)] = "") -> Response:
    """Delete the session."""
    check_form_csrf(get_identity(request), csrf)
    delete_session(get_store(request), request.cookies.get(SESSION_COOKIE, ""))
    response = RedirectResponse("/", 303)
    response.delete_cookie(SESSION_COOKIE)
    return response


def role_for_repository(repository: Mapping[str, Any]) -> Role | None:
    """Return the role of a person by their permissions on the repository, None if they have no access.

    Everyone can read a public repository, so there a person needs at least triage permission.
    """
    permissions = repository.get("permissions") or {}
    if permissions.get("push"):
        return "operator"
    is_member = permissions.get("triage") or (permissions.get("pull") and repository.get("private"))
    return "viewer" if is_member else None


def _callback_url(settings: Settings) -> str:
    base = settings.public_url or f"http://{settings.host}:{settings.port}"
    return f"{base.rstrip('/')}/auth/callback"


def _decode_return_path(encoded: str) -> str:
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (binascii.Error, ValueError):
        return "/"


def _fetch_login_and_role(settings: Settings, code: str) -> tuple[str, Role | None]:
    """Return the login of the person who signed in, and their role."""
    import httpx

    credentials = {"client_id": settings.client_id, "client_secret": settings.client_secret, "code": code}
    try:
        with httpx.Client(timeout=10, headers={"Accept": "application/json"}) as client:
            token_response = _json_or_raise(
                client.post(f"{settings.github_url}/login/oauth/access_token", data=credentials)
            )
            headers = {"Authorization": f"Bearer {token_response['access_token']}"}
            login = str(_json_or_raise(client.get(f"{settings.github_api}/user", headers=headers))["login"])
            response = client.get(f"{settings.github_api}/repos/{settings.repository}", headers=headers)
            repository = response.json() if response.is_success else {}
    except (httpx.HTTPError, KeyError, ValueError):
        raise HTTPException(503, "cannot get your identity from GitHub; sign in again") from None
    return login, role_for_repository(repository)


def _json_or_raise(response: Any) -> Any:
    response.raise_for_status()
    return response.json()
