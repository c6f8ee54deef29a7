"""Choose the HTTP headers of a site's files: content type and cache lifetime."""

from __future__ import annotations

import re
from collections.abc import Collection

IMMUTABLE_CACHE_CONTROL = "public, max-age=31536000, immutable"
REVALIDATE_CACHE_CONTROL = "no-cache"

MIN_UNAMBIGUOUS_HASH_LENGTH = 16
"""Characters from which letters followed by digits count as a hash rather than a word with a number."""
BUNDLED_EXTENSIONS = frozenset({"js", "mjs", "css", "map", "wasm", "woff", "woff2"})
"""Files that bundlers write and people rarely name: only theirs may have a short hash in the name."""
IMMUTABLE_FOLDERS = ("_next/static/", "_app/immutable/", "_astro/", "_nuxt/")
"""Folders whose files never change, by the documentation of Next.js, SvelteKit, Astro and Nuxt, whatever their name."""
MUTABLE_FILES = ("_nuxt/builds/latest.json",)
"""Files in such folders that do change: Nuxt's pointer to the newest build."""
PAGE_EXTENSIONS = (".html", ".htm")
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


def is_entry(path: str) -> bool:
    """Return whether a file seems to keep its name when its content changes, as index.html does.

    Other files seem to have a hash in their name, between a ``-`` or ``.`` and the extension, where bundlers write it
    (``app-3f2a91bc.js``, ``main.3f2a91bc.chunk.js``, Vite's ``index-D4kBx9Zq.js``, esbuild's ``main-5XQ2KJ7A.js``), or
    are in a folder that a framework documents as immutable. A hash mixes digits with letters, or changes from lower to
    upper case three times; ``chapter1`` and ``2024a`` are words with numbers, and a short hash counts only in files
    that bundlers write, so ``menu-A4Format.pdf`` has none.

    This is a guess, so nothing is deleted by it, and no browser is told to keep a file: it decides the order of uploads
    and which bodies are archived beforehand.
    """
    if path.endswith(PAGE_EXTENSIONS) or path in MUTABLE_FILES:
        return True
    return not (path.startswith(IMMUTABLE_FOLDERS) or has_hash(path))


def has_hash(path: str) -> bool:
    """Return whether a part of a file's name looks like a hash."""
    segments = _SEGMENT.split(_file_name(path))
    is_bundled = segments[-1].lower() in BUNDLED_EXTENSIONS
    return any(_is_hash(part) for part in segments[1:-1] if is_bundled or len(part) >= MIN_UNAMBIGUOUS_HASH_LENGTH)


def is_page(path: str) -> bool:
    """Return whether a file is a page, which a new release removes at once if it has it no more."""
    return path.endswith(PAGE_EXTENSIONS)


def cache_control(path: str, immutable_paths: Collection[str] = ()) -> str:
    """Return the Cache-Control of a file.

    One year for ``immutable_paths``, which a manifest of the bundler names, and for folders that a framework documents
    as immutable; browsers ask again for all others, whatever their name looks like.
    """
    is_documented = path.startswith(IMMUTABLE_FOLDERS) and not path.endswith(PAGE_EXTENSIONS)
    is_immutable = path in immutable_paths or (is_documented and path not in MUTABLE_FILES)
    return IMMUTABLE_CACHE_CONTROL if is_immutable else REVALIDATE_CACHE_CONTROL


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]


def _is_hash(text: str) -> bool:
    if len(text) < MIN_UNAMBIGUOUS_HASH_LENGTH and _WORD_AND_NUMBER.match(text):
        return False
    return any(pattern.match(text) for pattern in _HASH_PATTERNS)
