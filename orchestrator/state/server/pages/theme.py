"""Store the chosen theme, dark or light, in a cookie; without one, pages follow the system."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

THEME_COOKIE = "orchestrator_theme"
THEMES = ("dark", "light")
COOKIE_MAX_AGE_SECONDS = 365 * 86400


def get_theme(request: Request) -> str:
    """Return ``dark``, ``light``, or "" to follow the system."""
    theme = request.cookies.get(THEME_COOKIE, "")
    return theme if theme in THEMES else ""


def safe_redirect_path(path: str) -> str:
    """Return ``path`` if it is a page of this service, else ``/``; prevents redirects to other sites."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_local else "/"


def create_router() -> APIRouter:
    """Return the route that sets the theme; used without JavaScript only, which writes the cookie itself."""
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
