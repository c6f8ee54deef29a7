"""The HTTP API under ``/api/v1``: ``runs`` for those who write, ``records`` for what is kept, ``history``."""

from __future__ import annotations

from fastapi import APIRouter

from orchestrator.state.problem import MEDIA, ProblemDetails

WRONG = {
    status: {"model": ProblemDetails, "content": {MEDIA: {}}}
    for status in (400, 401, 403, 404, 405, 409, 413, 422, 429, 503)
}


def routers() -> tuple[APIRouter, ...]:
    """All parts of the API."""
    from orchestrator.state.api import history, records, runs

    return runs.router, records.router, history.router
