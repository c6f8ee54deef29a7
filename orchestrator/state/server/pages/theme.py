"""Dark or light: as the system has it, until somebody chooses.  The choice is a cookie, so no page flashes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

COOKIE = "orchestrator_theme"
THEMES = ("dark", "light")
YEAR = 365 * 86400


def chosen(request: Request) -> str:
    """``dark``, ``light``, or "" for what the system has."""
    theme = request.cookies.get(COOKIE, "")
    return theme if theme in THEMES else ""


def inside(back: str) -> str:
    """``back`` where it is a page of ours; no browser is sent away from here by what somebody wrote into an address."""
    ours = back.startswith("/") and not back.startswith(("//", "/\\")) and back.isprintable()
    return back if ours else "/"


def router() -> APIRouter:
    """The way to choose without JavaScript; with it the page's own script writes the cookie."""
    routes = APIRouter(include_in_schema=False)

    @routes.post("/theme")
    def choose(
        request: Request, theme: Annotated[str, Form(max_length=8)] = "", back: Annotated[str, Form()] = "/"
    ) -> Response:
        answer = RedirectResponse(inside(back), 303)
        secure = request.app.state.settings.is_secure
        if theme in THEMES:
            answer.set_cookie(COOKIE, theme, YEAR, samesite="lax", secure=secure)
        else:
            answer.delete_cookie(COOKIE)
        return answer

    return routes
