"""Signing people in with GitHub: whoever belongs to the repository may read here, whoever may push may operate.

The app asks for no OAuth scope, so its token opens nothing that is private.  A GitHub App that is installed in the
repository and may read metadata (it always may) is enough: GitHub then says what the person may do there.  The token is
used for these two questions and forgotten.

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

from orchestrator.state.server.access import COOKIE, SESSION, Role, close_session, open_session
from orchestrator.state.server.pages.rendering import by_hand
from orchestrator.state.server.pages.theme import inside
from orchestrator.state.server.request_context import identity_of, store_of
from orchestrator.state.server.settings import Settings

router = APIRouter(include_in_schema=False)
STATE = "orchestrator_sign_in"


@router.get("/auth/sign-in")
def sign_in(request: Request, back: Annotated[str, Query(max_length=1000)] = "/") -> Response:
    """Send the browser to GitHub; it comes back to the page ``back``."""
    settings: Settings = request.app.state.settings
    state = secrets.token_urlsafe(24)
    asked = {"client_id": settings.client_id, "redirect_uri": _callback(settings), "state": state}
    answer = RedirectResponse(f"{settings.github_url}/login/oauth/authorize?{urlencode(asked)}", 303)
    kept = f"{state}.{base64.urlsafe_b64encode(back.encode()).decode().rstrip('=')}"
    answer.set_cookie(STATE, kept, 600, httponly=True, samesite="lax", secure=settings.is_secure, path="/auth")
    return answer


@router.get("/auth/callback")
def callback(request: Request, code: str = "", state: str = "") -> Response:
    """GitHub sends the browser back."""
    settings: Settings = request.app.state.settings
    known, _, back = request.cookies.get(STATE, "").partition(".")
    if not known or not code or not hmac.compare_digest(known.encode(), state.encode("utf-8", "surrogateescape")):
        raise HTTPException(400, "this sign-in was not begun here; begin again at /auth/sign-in")
    login, role = _ask_github(settings, code)
    if role is None:
        raise HTTPException(403, f"{login} does not belong to {settings.repository}, as far as GitHub tells this app")
    session = open_session(store_of(request), login, role)
    answer = RedirectResponse(inside(_page(back)), 303)
    answer.delete_cookie(STATE, path="/auth")
    answer.set_cookie(COOKIE, session, int(SESSION), httponly=True, samesite="lax", secure=settings.is_secure)
    return answer


@router.post("/auth/sign-out")
def sign_out(request: Request, csrf: Annotated[str, Form(max_length=400)] = "") -> Response:
    """Forget the session."""
    by_hand(identity_of(request), csrf)
    close_session(store_of(request), request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(COOKIE)
    return answer


def role_of(repository: Mapping[str, Any]) -> Role | None:
    """What somebody is here, by what GitHub lets them do with the repository.

    Everybody reads a public one, so there only those count who were given more than that.
    """
    may = repository.get("permissions") or {}
    if may.get("push"):
        return "operator"
    belongs = may.get("triage") or (may.get("pull") and repository.get("private"))
    return "viewer" if belongs else None


def _callback(settings: Settings) -> str:
    base = settings.public_url or f"http://{settings.host}:{settings.port}"
    return f"{base.rstrip('/')}/auth/callback"


def _page(word: str) -> str:
    try:
        return base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)).decode()
    except (binascii.Error, ValueError):
        return "/"


def _ask_github(settings: Settings, code: str) -> tuple[str, Role | None]:
    """Who it is, and what GitHub lets them do with the repository."""
    import httpx

    given = {"client_id": settings.client_id, "client_secret": settings.client_secret, "code": code}
    try:
        with httpx.Client(timeout=10, headers={"Accept": "application/json"}) as client:
            traded = _json(client.post(f"{settings.github_url}/login/oauth/access_token", data=given))
            headers = {"Authorization": f"Bearer {traded['access_token']}"}
            login = str(_json(client.get(f"{settings.github_api}/user", headers=headers))["login"])
            answer = client.get(f"{settings.github_api}/repos/{settings.repository}", headers=headers)
            known = answer.json() if answer.is_success else {}
    except (httpx.HTTPError, KeyError, ValueError):
        raise HTTPException(503, "GitHub did not say who this is; try again") from None
    return login, role_of(known)


def _json(answer: Any) -> Any:
    answer.raise_for_status()
    return answer.json()
