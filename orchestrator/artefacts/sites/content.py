"""How a file of a site is served: its content type, and for how long it may be kept.

The table is our own, so that the ``mime.types`` of the machine cannot change a deploy.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

TEXT = {
    "html": "text/html",
    "htm": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "mjs": "text/javascript",
    "txt": "text/plain",
    "csv": "text/csv",
    "md": "text/markdown",
    "xml": "application/xml",
    "json": "application/json",
    "map": "application/json",
    "webmanifest": "application/manifest+json",
    "svg": "image/svg+xml",
    "vtt": "text/vtt",
}
"""Types of text, which are UTF-8 and say so."""
BINARY = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "ico": "image/x-icon",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "ttf": "font/ttf",
    "otf": "font/otf",
    "wasm": "application/wasm",
    "pdf": "application/pdf",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "zip": "application/zip",
}
OTHER = "application/octet-stream"
FOREVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"

_SEGMENT = re.compile(r"[.-]")
_HEX = re.compile(r"(?=.*[0-9])(?=.*[a-f])[0-9a-f]{8,64}\Z")
_MIXED = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[0-9A-Za-z_]{8,32}\Z")
_LETTERS = re.compile(r"(?=(?:.*[A-Z]){3})(?=(?:.*[a-z]){2})[A-Za-z_]{8}\Z")


def content_type(path: str) -> str:
    """The Content-Type of a file, by its name's ending."""
    ending = PurePosixPath(path).suffix[1:].lower()
    if ending in TEXT:
        return f"{TEXT[ending]}; charset=utf-8"
    return BINARY.get(ending, OTHER)


def is_entry(path: str) -> bool:
    """Whether a file keeps its name while its bytes change, as index.html does.

    The others carry a hash in their name: at least eight characters between a ``-`` or ``.`` and
    the ending (``app-3f2a91bc.js``, ``main.3f2a91bc.chunk.js``, Vite's ``index-BxKzQwPt.js``).  Hashes are digits and
    letters mixed, or eight letters of which three are capitals.  What is in doubt is an entry
    file: that costs a request now and then, and never shows anybody an old page.
    """
    segments = _SEGMENT.split(PurePosixPath(path).name)
    return path.endswith((".html", ".htm")) or not any(map(_is_hash, segments[1:-1]))


def cache_control(path: str) -> str:
    """The Cache-Control of a file: a year for what carries its hash, ask again for the rest."""
    return ASK_AGAIN if is_entry(path) else FOREVER


def _is_hash(text: str) -> bool:
    return any(pattern.match(text) for pattern in (_HEX, _MIXED, _LETTERS))
