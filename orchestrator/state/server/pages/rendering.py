"""Render templates to HTML responses: escaped, compressed, with the values that every page uses."""

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
"""Size in bytes up to which a response is not compressed."""


@cache
def load_templates() -> Environment:
    """Return the template environment; it escapes every value, and a missing value is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from orchestrator.render import plan_view

    loader = PackageLoader("orchestrator.state.server.pages", "templates")
    environment = Environment(
        loader=loader,
        autoescape=True,
        finalize=formatting.escape_invisible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "clean": formatting.sanitize_text,
        "tone": formatting.status_tone,
        "status_label": formatting.status_label,
        "run_state": formatting.run_state,
        "duration": formatting.format_duration,
        "datetime": formatting.format_datetime,
        "usd": formatting.format_usd,
        "file_size": formatting.format_bytes,
        "safe_url": formatting.safe_url,
        "code_list": formatting.format_code_list,
        "code_spans": formatting.format_code_spans,
        "word_breaks": formatting.insert_word_breaks,
        "plan_headline": plan_view.format_headline,
    }
    environment.globals |= {
        "static": static_files.url,
        "version": orchestrator.__version__,
        "pluralize": formatting.pluralize,
    }
    return environment


def compile_templates() -> None:
    """Compile every template, so that the first request for a page does not wait for it."""
    environment = load_templates()
    for name in environment.list_templates():
        environment.get_template(name)


def render_page(request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
    """Return a page as a response, compressed if the client accepts gzip."""
    text = render_fragment(request, template, **values)
    headers = {"Cache-Control": "private, no-cache", "Vary": "Accept-Encoding, Cookie"}
    body = text.encode()
    if len(body) > MIN_GZIP_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, 5, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, status, headers, "text/html; charset=utf-8")


def render_fragment(request: Request, template: str, **values: Any) -> str:
    """Render a template with ``values`` and the values that every page uses."""
    settings: Settings = request.app.state.settings
    identity = get_identity(request)
    context: dict[str, Any] = {
        "path": request.url.path,
        "current_url": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "theme": theme.get_theme(request),
        "identity": identity,
        "is_operator": identity.can("operate") and bool(identity.csrf),
        "csrf": mask_token(identity.csrf),
        "is_public": not settings.is_authentication_required,
        "is_sign_in_enabled": settings.is_sign_in_enabled,
        "has_models": cache(get_store(request).has_models),
    }
    return render_shared(settings, get_store(request).clock(), template, **{**context, **values})


def render_shared(settings: Settings, now: float, template: str, **values: Any) -> str:
    """Render a template with ``values`` and nothing of the person who reads it: many may read the same text."""
    context: dict[str, Any] = {
        "repository": f"{settings.github_url.rstrip('/')}/{settings.repository}" if settings.repository else "",
        "relative_time": lambda timestamp: formatting.format_relative_time(timestamp, now),
        "now": now,
        "run_duration": lambda run: _duration_seconds(run, now),
    }
    return load_templates().get_template(template).render({**context, **values})


def _duration_seconds(run: Run, now: float) -> float | None:
    """Return the seconds that a run took or has taken so far; None if it has not started."""
    started, ended = (
        formatting.to_unix_seconds(run.started_at),
        formatting.to_unix_seconds(run.ended_at) if run.is_over else now,
    )
    return None if started is None or ended is None or run.status in {"queued", "superseded"} else ended - started


def mask_token(csrf_token: str) -> str:
    """Return the token under a random mask, so that the size of a compressed page reveals nothing (BREACH)."""
    data = csrf_token.encode()
    mask = secrets.token_bytes(len(data))
    return base64.urlsafe_b64encode(mask + bytes(a ^ b for a, b in zip(data, mask, strict=True))).decode()


def unmask_token(masked_token: str) -> str:
    """Return the token that ``mask_token`` masked; "" if it is malformed."""
    try:
        data = base64.b64decode(masked_token.encode("ascii", "replace"), b"-_", validate=True)
        half = len(data) // 2
        return bytes(a ^ b for a, b in zip(data[:half], data[half:], strict=True)).decode()
    except (binascii.Error, ValueError):
        return ""


def check_form_csrf(identity: Identity, csrf: str) -> None:
    """Raise HTTPException 403 unless the form carries the CSRF token of this identity."""
    if not identity.csrf:
        raise HTTPException(403, "sign in to do this: tokens and anonymous visitors cannot submit forms")
    check_csrf(identity, unmask_token(csrf))
