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
from orchestrator.state.server.request_context import check_csrf, get_identity, get_store
from orchestrator.state.server.settings import Settings

if TYPE_CHECKING:
    from jinja2 import Environment

MIN_GZIP_BYTES = 800
"""Bytes that are not worth pressing."""


@cache
def load_templates() -> Environment:
    """The templates; every value is escaped, and one that is missing is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("orchestrator.state.server.pages", "templates")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "say": formatting.sanitize_text,
        "mood": formatting.status_tone,
        "lasting": formatting.format_duration,
        "exact": formatting.format_datetime,
        "money": formatting.format_usd,
        "size": formatting.format_bytes,
        "link": formatting.safe_url,
        "listed": formatting.format_code_list,
        "breakable": formatting.insert_word_breaks,
    }
    environment.globals |= {
        "static": static_files.url,
        "version": orchestrator.__version__,
        "counted": formatting.pluralize,
    }
    return environment


def compile_templates() -> None:
    """Compile every template, so that nobody who asks for a page waits for it."""
    environment = load_templates()
    for name in environment.list_templates():
        environment.get_template(name)


def render_page(request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
    """The page that ``template`` makes of ``values``."""
    text = render_fragment(request, template, **values)
    headers = {"Cache-Control": "private, no-cache", "Vary": "Accept-Encoding, Cookie"}
    body = text.encode()
    if len(body) > MIN_GZIP_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, 5, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, status, headers, "text/html; charset=utf-8")


def render_fragment(request: Request, template: str, **values: Any) -> str:
    """The text that ``template`` makes of ``values`` and of what every page knows."""
    settings: Settings = request.app.state.settings
    now = get_store(request).clock()
    identity = get_identity(request)
    context: dict[str, Any] = {
        "path": request.url.path,
        "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "theme": theme.get_theme(request),
        "identity": identity,
        "operator": identity.can("operate") and bool(identity.csrf),
        "csrf": mask_token(identity.csrf),
        "open_to_all": not settings.is_authentication_required,
        "signs_in": settings.is_sign_in_enabled,
        "repository": f"{settings.github_url.rstrip('/')}/{settings.repository}" if settings.repository else "",
        "ago": lambda timestamp: formatting.format_relative_time(timestamp, now),
        "now": now,
        "took": lambda run: _duration_seconds(run, now),
    }
    return load_templates().get_template(template).render({**context, **values})


def _duration_seconds(run: Run, now: float) -> float | None:
    """Seconds a run took, or takes; None for one that waits or never began."""
    started, ended = (
        formatting.to_unix_seconds(run.started_at),
        formatting.to_unix_seconds(run.ended_at) if run.is_over else now,
    )
    return None if started is None or ended is None or run.status in {"queued", "superseded"} else ended - started


def mask_token(csrf_token: str) -> str:
    """``word`` under a mask of its own, so that no two pages press alike: nothing can be learned from their length."""
    data = csrf_token.encode()
    mask = secrets.token_bytes(len(data))
    return base64.urlsafe_b64encode(mask + bytes(a ^ b for a, b in zip(data, mask, strict=True))).decode()


def unmask_token(masked_token: str) -> str:
    """What ``masked`` hid; "" when it is none."""
    try:
        data = base64.b64decode(masked_token.encode("ascii", "replace"), b"-_", validate=True)
        half = len(data) // 2
        return bytes(a ^ b for a, b in zip(data[:half], data[half:], strict=True)).decode()
    except (binascii.Error, ValueError):
        return ""


def check_form_csrf(identity: Identity, csrf: str) -> None:
    """Raises HTTPException 403 unless a form of ours was sent by the one who was shown it."""
    if not identity.csrf:
        raise HTTPException(403, "this is for people who signed in")
    check_csrf(identity, unmask_token(csrf))
