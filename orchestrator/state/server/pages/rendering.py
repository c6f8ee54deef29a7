"""A template and its values as an answer: escaped, pressed, with what every page shows."""

from __future__ import annotations

import base64
import binascii
import gzip
import secrets
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException, Request
from starlette.responses import Response

import orchestrator
from orchestrator.state.protocol.records import Run
from orchestrator.state.server.access import Identity
from orchestrator.state.server.pages import formatting, static_files, theme
from orchestrator.state.server.request_context import check_csrf, identity_of, store_of
from orchestrator.state.server.settings import Settings

if TYPE_CHECKING:
    from jinja2 import Environment

SMALL = 800
"""Bytes that are not worth pressing."""


@cache
def templates() -> Environment:
    """The templates; every value is escaped, and one that is missing is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("orchestrator.state.server.pages", "templates")
    made = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "say": formatting.say, "mood": formatting.mood, "lasting": formatting.lasting, "exact": formatting.exact,
        "money": formatting.money, "size": formatting.size, "link": formatting.link, "listed": formatting.listed,
        "breakable": formatting.breakable,
    }  # fmt: skip
    made.globals |= {"static": static_files.url, "version": orchestrator.__version__, "counted": formatting.counted}
    return made


def warm() -> None:
    """Compile every template, so that nobody who asks for a page waits for it."""
    known = templates()
    for name in known.list_templates():
        known.get_template(name)


def show(request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
    """The page that ``template`` makes of ``values``."""
    text = fragment(request, template, **values)
    headers = {"Cache-Control": "private, no-cache", "Vary": "Accept-Encoding, Cookie"}
    body = text.encode()
    if len(body) > SMALL and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, 5, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, status, headers, "text/html; charset=utf-8")


def fragment(request: Request, template: str, **values: Any) -> str:
    """The text that ``template`` makes of ``values`` and of what every page knows."""
    settings: Settings = request.app.state.settings
    now = store_of(request).clock()
    identity = identity_of(request)
    known: dict[str, Any] = {
        "path": request.url.path,
        "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "theme": theme.chosen(request),
        "identity": identity,
        "operator": identity.may("operate") and bool(identity.csrf),
        "csrf": masked(identity.csrf),
        "open_to_all": not settings.is_guarded,
        "signs_in": settings.signs_people_in,
        "repository": f"{settings.github_url.rstrip('/')}/{settings.repository}" if settings.repository else "",
        "ago": lambda at: formatting.ago(at, now),
        "now": now,
        "took": lambda run: _took(run, now),
    }
    return templates().get_template(template).render({**known, **values})


def _took(run: Run, now: float) -> float | None:
    """Seconds a run took, or takes; None for one that waits or never began."""
    began, ended = formatting.seconds_of(run.started_at), formatting.seconds_of(run.ended_at) if run.is_over else now
    return None if began is None or ended is None or run.status in {"queued", "superseded"} else ended - began


def masked(word: str) -> str:
    """``word`` under a mask of its own, so that no two pages press alike: nothing can be learned from their length."""
    data = word.encode()
    mask = secrets.token_bytes(len(data))
    return base64.urlsafe_b64encode(mask + bytes(a ^ b for a, b in zip(data, mask, strict=True))).decode()


def unmasked(word: str) -> str:
    """What ``masked`` hid; "" when it is none."""
    try:
        data = base64.b64decode(word.encode("ascii", "replace"), b"-_", validate=True)
        half = len(data) // 2
        return bytes(a ^ b for a, b in zip(data[:half], data[half:], strict=True)).decode()
    except (binascii.Error, ValueError):
        return ""


def by_hand(identity: Identity, csrf: str) -> None:
    """Raises HTTPException 403 unless a form of ours was sent by the one who was shown it."""
    if not identity.csrf:
        raise HTTPException(403, "this is for people who signed in")
    check_csrf(identity, unmasked(csrf))
