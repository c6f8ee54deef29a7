"""Signing people in with GitHub: whoever may read the repository may read here, whoever may push may operate.

API: GitHub's OAuth web flow; GET /user; GET /repos/{repo}/collaborators/{login}/permission.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from orchestrator.state.access import COOKIE, SESSION, Role, close_session, open_session
from orchestrator.state.gate import check_csrf, identity_of, store_of
from orchestrator.state.settings import Settings

router = APIRouter(include_in_schema=False)
STATE = "orchestrator_sign_in"
PERMISSIONS: dict[str, Role] = {"admin": "operator", "maintain": "operator", "write": "operator", "read": "viewer"}


@router.get("/auth/sign-in")
def sign_in(request: Request) -> Response:
    """Send the browser to GitHub."""
    settings: Settings = request.app.state.settings
    state = secrets.token_urlsafe(24)
    asked = {"client_id": settings.client_id, "redirect_uri": _callback(settings), "scope": "repo", "state": state}
    answer = RedirectResponse(f"{settings.github_url}/login/oauth/authorize?{urlencode(asked)}", 303)
    answer.set_cookie(STATE, state, 600, httponly=True, samesite="lax", secure=settings.is_secure, path="/auth")
    return answer


@router.get("/auth/callback")
def callback(request: Request, code: str = "", state: str = "") -> Response:
    """GitHub sends the browser back."""
    settings: Settings = request.app.state.settings
    known = request.cookies.get(STATE, "")
    if not known or not code or not hmac.compare_digest(known.encode(), state.encode("utf-8", "surrogateescape")):
        raise HTTPException(400, "this sign-in was not begun here; begin again at /auth/sign-in")
    login, role = _ask_github(settings, code)
    if role is None:
        raise HTTPException(403, f"{login} has no access to {settings.repository}")
    session = open_session(store_of(request), login, role)
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(STATE, path="/auth")
    answer.set_cookie(COOKIE, session, int(SESSION), httponly=True, samesite="lax", secure=settings.is_secure)
    return answer


@router.post("/auth/sign-out")
def sign_out(request: Request, csrf: str = "") -> Response:
    """Forget the session."""
    check_csrf(identity_of(request), request.headers.get("x-csrf-token", csrf))
    close_session(store_of(request), request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(COOKIE)
    return answer


def _callback(settings: Settings) -> str:
    base = settings.public_url or f"http://{settings.host}:{settings.port}"
    return f"{base.rstrip('/')}/auth/callback"


def _ask_github(settings: Settings, code: str) -> tuple[str, Role | None]:
    """Who it is, and what GitHub lets them do with the repository."""
    import httpx

    given = {"client_id": settings.client_id, "client_secret": settings.client_secret, "code": code}
    try:
        with httpx.Client(timeout=10, headers={"Accept": "application/json"}) as client:
            traded = _json(client.post(f"{settings.github_url}/login/oauth/access_token", data=given))
            headers = {"Authorization": f"Bearer {traded['access_token']}"}
            login = str(_json(client.get(f"{settings.github_api}/user", headers=headers))["login"])
            path = f"/repos/{settings.repository}/collaborators/{login}/permission"
            answer = client.get(f"{settings.github_api}{path}", headers=headers)
            known = answer.json() if answer.is_success else {}
    except (httpx.HTTPError, KeyError, ValueError):
        raise HTTPException(503, "GitHub did not say who this is; try again") from None
    return login, PERMISSIONS.get(str(known.get("role_name") or known.get("permission", "")))


def _json(answer: Any) -> Any:
    answer.raise_for_status()
    return answer.json()
