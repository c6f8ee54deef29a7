"""Dark or light: as the system has it, until somebody chooses.  The choice is a cookie, so no page flashes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

THEME_COOKIE = "orchestrator_theme"
THEMES = ("dark", "light")
COOKIE_MAX_AGE_SECONDS = 365 * 86400


def get_theme(request: Request) -> str:
    """``dark``, ``light``, or "" for what the system has."""
    theme = request.cookies.get(THEME_COOKIE, "")
    return theme if theme in THEMES else ""


def safe_redirect_path(path: str) -> str:
    """``back`` where it is a page of ours; no browser is sent away from here by what somebody wrote into an address."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_local else "/"


def router() -> APIRouter:
    """The way to choose without JavaScript; with it the page's own script writes the cookie."""
    routes = APIRouter(include_in_schema=False)

    @routes.post("/theme")
    def set_theme(
        request: Request, theme: Annotated[str, Form(max_length=8)] = "", back: Annotated[str, Form()] = "/"
    ) -> Response:
        response = RedirectResponse(safe_redirect_path(back), 303)
        secure = request.app.state.settings.is_secure
        if theme in THEMES:
            response.set_cookie(THEME_COOKIE, theme, COOKIE_MAX_AGE_SECONDS, samesite="lax", secure=secure)
        else:
            response.delete_cookie(THEME_COOKIE)
        return response

    return routes
