"""Detect the content type of a file from its bytes, because names and types from users are only claims.

Pure, except for reading a file.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from orchestrator.problems import Problem, Problems

HEAD_BYTES = 64
"""Bytes that are enough to detect every type in this module."""
DEFAULT_CONTENT_TYPE = "application/octet-stream"
EXTENSIONS_BY_TYPE = {
    "image/jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "image/png": (".png",),
    "image/webp": (".webp",),
    "image/gif": (".gif",),
    "image/avif": (".avif",),
    "image/heic": (".heic", ".heif"),
    "image/bmp": (".bmp",),
    "image/tiff": (".tif", ".tiff"),
    "application/pdf": (".pdf",),
    "application/zip": (".zip", ".keras"),
    "application/json": (".json",),
    "text/javascript": (".js", ".mjs"),
    "text/html": (".html",),
    "text/csv": (".csv",),
}
"""The extensions of each type, the most common one first."""
TYPE_BY_EXTENSION = {extension: kind for kind, extensions in EXTENSIONS_BY_TYPE.items() for extension in extensions}
IMAGE_TYPES = frozenset(kind for kind in EXTENSIONS_BY_TYPE if kind.startswith("image/"))
PHOTO_TYPES = frozenset({"image/jpeg", "image/png", "image/webp"})
"""The formats that both browsers and training can read."""
_SNIFFABLE_TYPES = IMAGE_TYPES | {"application/pdf", "application/zip"}
"""Types with a signature in the first bytes; others are known only by name."""
_TYPE_BY_BRAND = {
    b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heic",
}  # fmt: skip
_MAGIC_NUMBERS = (
    (b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"), (b"%PDF-", "application/pdf"), (b"PK\x03\x04", "application/zip"),
    (b"II*\x00", "image/tiff"), (b"MM\x00*", "image/tiff"),
)  # fmt: skip


class UploadLimits(Struct, frozen=True):
    """Limits of uploads: content types (empty: all) and sizes in bytes."""

    types: frozenset[str] = frozenset()
    max_bytes: int = 50 * 1024 * 1024
    min_bytes: int = 1


def sniff(head: bytes) -> str | None:
    """Return the content type that the first ``HEAD_BYTES`` of a file indicate, or None."""
    for magic, content_type in _MAGIC_NUMBERS:
        if head.startswith(magic):
            return content_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return _TYPE_BY_BRAND.get(head[8:12])
    if head[:2] == b"BM" and len(head) >= 26 and head[6:10] == b"\0\0\0\0":
        return "image/bmp"
    return None


def type_from_name(name: str) -> str:
    """Return the content type that a file's extension implies."""
    return TYPE_BY_EXTENSION.get(Path(name).suffix.lower(), DEFAULT_CONTENT_TYPE)


def read_head(content: bytes | Path) -> tuple[bytes, int]:
    """Return the first ``HEAD_BYTES`` and the size in bytes of the content."""
    if isinstance(content, bytes):
        return content[:HEAD_BYTES], len(content)
    with content.open("rb") as stream:
        return stream.read(HEAD_BYTES), content.stat().st_size


def validate(content: bytes | Path, name: str, content_type: str = "", limits: UploadLimits | None = None) -> str:
    """Return the content type of an uploaded file.

    Raises Problems, all together, if it is too large or too small, its type is not accepted, or it does not match its
    name or ``content_type``.
    """
    head, size = read_head(content)
    limits = limits or UploadLimits()
    sniffed = sniff(head)
    claimed = (content_type or type_from_name(name)).partition(";")[0].strip().lower()
    problems = [*_check_type(name, claimed, sniffed), *_check_size(name, size, limits)]
    detected = sniffed or claimed
    if limits.types and detected not in limits.types:
        allowed = ", ".join(sorted(limits.types))
        problems.append(
            Problem(f"{name} has the type {detected}, which is not accepted", hint=f"use one of the types {allowed}")
        )
    if problems:
        raise Problems(problems)
    return claimed if detected == "application/zip" and claimed != DEFAULT_CONTENT_TYPE else detected


def choose_suffix(name: str, content_type: str) -> str:
    """Return the extension for a stored file: that of ``name`` if it fits the type."""
    name_suffix = Path(name).suffix.lower()
    type_suffixes = EXTENSIONS_BY_TYPE.get(content_type, ())
    if name_suffix in type_suffixes or (not type_suffixes and name_suffix.removeprefix(".").isalnum()):
        return name_suffix
    return type_suffixes[0] if type_suffixes else ""


def _check_type(name: str, claimed: str, sniffed: str | None) -> list[Problem]:
    """Return a problem if the content contradicts the claimed type."""
    if sniffed and claimed in _SNIFFABLE_TYPES and claimed != sniffed:
        return [
            Problem(f"{name} is {sniffed}, not {claimed}", hint=f"rename it to end in {EXTENSIONS_BY_TYPE[sniffed][0]}")
        ]
    if not sniffed and claimed in _SNIFFABLE_TYPES - {"application/zip"}:
        return [Problem(f"{name} is not {claimed}: its content has another format", hint="save the image again")]
    if sniffed and claimed not in {sniffed, DEFAULT_CONTENT_TYPE} and claimed not in _SNIFFABLE_TYPES:
        return [Problem(f"{name} is {sniffed}, not {claimed}", hint=f"upload it as {sniffed}")]
    return []


def _check_size(name: str, size: int, limits: UploadLimits) -> list[Problem]:
    if size > limits.max_bytes:
        return [
            Problem(f"{name} is too large: {size:,} bytes", hint=f"reduce it to at most {limits.max_bytes:,} bytes")
        ]
    if size < limits.min_bytes:
        return [Problem(f"{name} is {'empty' if not size else f'only {size} bytes'}", hint="upload it again")]
    return []
