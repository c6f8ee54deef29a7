"""Choose the HTTP headers of a site's files: content type and cache lifetime.

The table is built in, so that the machine's ``mime.types`` cannot change a deployment.
"""

from __future__ import annotations

import re

TEXT_TYPES = {
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
"""Text types, served with ``charset=utf-8``."""
BINARY_TYPES = {
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
DEFAULT_CONTENT_TYPE = "application/octet-stream"
IMMUTABLE_CACHE_CONTROL = "public, max-age=31536000, immutable"
REVALIDATE_CACHE_CONTROL = "no-cache"

MIN_UNAMBIGUOUS_HASH_LENGTH = 16
"""Characters from which letters followed by digits count as a hash rather than a word with a number."""
_SEGMENT = re.compile(r"[.-]")
_WORD_AND_NUMBER = re.compile(r"[A-Za-z]+[0-9]+\Z|[0-9]+[A-Za-z]+\Z")
_HASH_PATTERNS = tuple(
    map(
        re.compile,
        (
            r"(?=.*[0-9])(?=.*[a-f])[0-9a-f]{8,64}\Z",  # webpack, Angular, Create React App, Parcel
            r"(?=.*[0-9])(?=.*[a-z])(?=.*[A-Z])[0-9A-Za-z_]{8}\Z",  # Vite, Rollup: base64
            r"(?=.*[2-7])(?=.*[A-Z])[A-Z2-7]{8}\Z",  # esbuild, newer Angular: base32
            r"(?=(?:[A-Za-z]*[a-z][A-Z]){3})[A-Za-z]{8}\Z",  # base64 that happens to have no digit
        ),
    )
)


def content_type(path: str) -> str:
    """Return the Content-Type of a file by its extension."""
    stem, _, extension = _file_name(path).lower().rpartition(".")
    extension = extension if stem else ""
    if extension in TEXT_TYPES:
        return f"{TEXT_TYPES[extension]}; charset=utf-8"
    return BINARY_TYPES.get(extension, DEFAULT_CONTENT_TYPE)


def is_entry(path: str) -> bool:
    """Return whether a file keeps its name when its content changes, as index.html does.

    Other files have a hash in their name, between a ``-`` or ``.`` and the extension, where bundlers write it
    (``app-3f2a91bc.js``, ``main.3f2a91bc.chunk.js``, Vite's ``index-D4kBx9Zq.js``, esbuild's ``main-5XQ2KJ7A.js``). A
    hash mixes digits with letters, or changes from lower to upper case three times; ``chapter1`` and ``2024a`` are
    words with numbers. In doubt, a file is an entry file: that costs an occasional request and never serves an outdated
    page.
    """
    segments = _SEGMENT.split(_file_name(path))
    return path.endswith((".html", ".htm")) or not any(map(_is_hash, segments[1:-1]))


def cache_control(path: str) -> str:
    """Return the Cache-Control of a file: one year for hashed names, revalidation for the others."""
    return REVALIDATE_CACHE_CONTROL if is_entry(path) else IMMUTABLE_CACHE_CONTROL


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]


def _is_hash(text: str) -> bool:
    if len(text) < MIN_UNAMBIGUOUS_HASH_LENGTH and _WORD_AND_NUMBER.match(text):
        return False
    return any(pattern.match(text) for pattern in _HASH_PATTERNS)
