"""Look up the media type of a file by its name.

``media_types.json`` lists the extensions of each type in IANA's registry and of the types that Apache and nginx add, as
the package mime-db 1.54.0 resolves them.  It is built in, so that the machine's ``mime.types`` cannot change a
deployment.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

UNKNOWN_TYPE = "application/octet-stream"
"""Type of a file about whose name nothing is known."""
TABLE_FILE = Path(__file__).with_name("media_types.json")
OVERRIDES = {
    "cjs": "text/javascript",  # browsers run no script of another type (X-Content-Type-Options: nosniff)
    "cur": "image/x-icon",
    "ico": "image/x-icon",
    **dict.fromkeys(("blat", "dat", "dll", "pdb"), UNKNOWN_TYPE),  # Blazor's, by Microsoft's hosting documentation
    **dict.fromkeys(("br", "data", "onnx", "pbf", "pmtiles", "tflite"), UNKNOWN_TYPE),
    "map": "application/json",
}
NAMED_FILES = {
    "apple-app-site-association": "application/json",  # https://developer.apple.com/documentation/xcode
    "apple-developer-merchantid-domain-association": "text/plain",
    **dict.fromkeys(("authors", "changelog", "contributing", "copying", "licence", "license", "notice"), "text/plain"),
    **dict.fromkeys(("cname", "readme", "version", "_headers", "_redirects"), "text/plain"),
    **dict.fromkeys((".buildinfo", ".gitignore", ".htaccess", ".nojekyll"), "text/plain"),
}
"""Types of files without an extension, by their name in lower case."""
TEXT_SUFFIXES = ("+json", "+xml")
TEXT_SUBTYPES = frozenset({"json", "xml", "toml"})


def find(path: str) -> str | None:
    """Return the Content-Type of a file, with the charset of a text; None if nothing is known about its name."""
    media_type = _find_media_type(path.rpartition("/")[2].lower())
    if media_type is None:
        return None
    return f"{media_type}; charset=utf-8" if _is_text(media_type) else media_type


def has_extension(path: str) -> bool:
    """Return whether the name of a file has a dot: what a request without one asks for is a page."""
    return "." in path.rpartition("/")[2]


def _find_media_type(name: str) -> str | None:
    if name in NAMED_FILES:
        return NAMED_FILES[name]
    stem, _, extension = name.rpartition(".")
    return (OVERRIDES.get(extension) or _read_table().get(extension)) if stem else None


def _is_text(media_type: str) -> bool:
    kind, _, subtype = media_type.partition("/")
    return kind == "text" or subtype in TEXT_SUBTYPES or subtype.endswith(TEXT_SUFFIXES)


@cache
def _read_table() -> dict[str, str]:
    types: dict[str, str] = json.loads(TABLE_FILE.read_text(encoding="utf-8"))
    return {extension: media_type for media_type, extensions in types.items() for extension in extensions.split()}
