"""Style, scripts and the icon: pressed once, and kept by browsers for a year under the hash of their content."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from fastapi import APIRouter, HTTPException, Request
from msgspec import Struct
from starlette.responses import Response

KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
FOREVER = "public, max-age=31536000, immutable"


class Static(Struct, frozen=True):
    """One file; ``url`` changes with its content."""

    url: str
    mark: str
    kind: str
    plain: bytes
    pressed: bytes


@cache
def statics() -> Mapping[str, Static]:
    """All files by name."""
    folder = resources.files(__package__).joinpath("static")
    found = {}
    for path in folder.iterdir():
        data = path.read_bytes()
        mark = hashlib.sha256(data).hexdigest()[:16]
        kind = KINDS[path.name.rpartition(".")[2]]
        found[path.name] = Static(f"/static/{mark}/{path.name}", mark, kind, data, gzip.compress(data, 9, mtime=0))
    return found


def url(name: str) -> str:
    """Where a file is found."""
    return statics()[name].url


def router() -> APIRouter:
    """Serves them to anybody: there is nothing of the team in them."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/static/{mark}/{name}")
    def static(request: Request, mark: str, name: str) -> Response:
        one = statics().get(name)
        if one is None or one.mark != mark:
            raise HTTPException(404, "there is no such file in this version")
        headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding", "ETag": f'"{mark}"'}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(one.plain, 200, headers, one.kind)
        return Response(one.pressed, 200, {**headers, "Content-Encoding": "gzip"}, one.kind)

    @routes.get("/favicon.ico")
    def icon(request: Request) -> Response:
        return static(request, statics()["icon.svg"].mark, "icon.svg")

    return routes
