"""Serve styles, scripts and the icon, compressed and cached by browsers under the hash of their content."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from fastapi import APIRouter, HTTPException, Request
from msgspec import Struct
from starlette.responses import Response

MEDIA_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
CACHE_CONTROL_IMMUTABLE = "public, max-age=31536000, immutable"


class StaticFile(Struct, frozen=True):
    """One file; ``url`` contains the hash of its content."""

    url: str
    content_hash: str
    media_type: str
    content: bytes
    gzipped: bytes


@cache
def load_static_files() -> Mapping[str, StaticFile]:
    """Return all files by name."""
    folder = resources.files(__package__).joinpath("static")
    files = {}
    for path in folder.iterdir():
        data = path.read_bytes()
        content_hash = hashlib.sha256(data).hexdigest()[:16]
        media_type = MEDIA_TYPES[path.name.rpartition(".")[2]]
        files[path.name] = StaticFile(
            f"/static/{content_hash}/{path.name}", content_hash, media_type, data, gzip.compress(data, 9, mtime=0)
        )
    return files


def url(name: str) -> str:
    """Return the URL of a file."""
    return load_static_files()[name].url


def create_router() -> APIRouter:
    """Return the routes of the files; they need no sign-in because they contain no records."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/static/{mark}/{name}")
    def get_static_file(request: Request, mark: str, name: str) -> Response:
        static_file = load_static_files().get(name)
        if static_file is None or static_file.content_hash != mark:
            raise HTTPException(404, "no such static file in this version")
        headers = {"Cache-Control": CACHE_CONTROL_IMMUTABLE, "Vary": "Accept-Encoding", "ETag": f'"{mark}"'}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(static_file.content, 200, headers, static_file.media_type)
        return Response(static_file.gzipped, 200, {**headers, "Content-Encoding": "gzip"}, static_file.media_type)

    @routes.get("/favicon.ico")
    def get_favicon(request: Request) -> Response:
        return get_static_file(request, load_static_files()["icon.svg"].content_hash, "icon.svg")

    return routes
