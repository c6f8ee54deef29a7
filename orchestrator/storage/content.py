"""What a file is, by its bytes: names and content types that users send are claims.  Pure, but for reading a file."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from orchestrator.problems import Problem, Problems

HEAD = 64
"""Bytes that are enough to tell every type known here."""
UNKNOWN = "application/octet-stream"
EXTENSIONS = {
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
"""The extensions of each type, the usual one first."""
BY_EXTENSION = {extension: kind for kind, extensions in EXTENSIONS.items() for extension in extensions}
IMAGES = frozenset(kind for kind in EXTENSIONS if kind.startswith("image/"))
PHOTOS = frozenset({"image/jpeg", "image/png", "image/webp"})
"""What a shop's browsers and the training both read."""
_SNIFFED = IMAGES | {"application/pdf", "application/zip"}
"""Types that show in the first bytes; of the others only the name tells."""
_BRANDS = {
    b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heic",
}  # fmt: skip
_STARTS = (
    (b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"), (b"%PDF-", "application/pdf"), (b"PK\x03\x04", "application/zip"),
    (b"II*\x00", "image/tiff"), (b"MM\x00*", "image/tiff"),
)  # fmt: skip


class Limits(Struct, frozen=True):
    """What may be handed in: content types (none named: all) and sizes in bytes."""

    types: frozenset[str] = frozenset()
    most_bytes: int = 50 * 1024 * 1024
    least_bytes: int = 1


def sniff(head: bytes) -> str | None:
    """The content type that the first ``HEAD`` bytes of a file show, or None."""
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    if head[:2] == b"BM" and len(head) >= 26 and head[6:10] == b"\0\0\0\0":
        return "image/bmp"
    return None


def named(name: str) -> str:
    """The content type that a file's name claims."""
    return BY_EXTENSION.get(Path(name).suffix.lower(), UNKNOWN)


def head_of(content: bytes | Path) -> tuple[bytes, int]:
    """The first bytes and the size of what is to be kept."""
    if isinstance(content, bytes):
        return content[:HEAD], len(content)
    with content.open("rb") as stream:
        return stream.read(HEAD), content.stat().st_size


def validate(content: bytes | Path, name: str, content_type: str = "", limits: Limits | None = None) -> str:
    """The content type of a file that was handed in.

    Raises Problems, all at once: too large or too small, of a type that is not taken, or not what its name or
    ``content_type`` says it is.
    """
    head, size = head_of(content)
    limits = limits or Limits()
    seen = sniff(head)
    said = (content_type or named(name)).partition(";")[0].strip().lower()
    found = [*_misfits(name, said, seen), *_sizes(name, size, limits)]
    kind = seen or said
    if limits.types and kind not in limits.types:
        wanted = ", ".join(sorted(limits.types))
        found.append(Problem(f"{name} is {kind}, which is not taken here", hint=f"taken are {wanted}"))
    if found:
        raise Problems(found)
    return said if kind == "application/zip" and said != UNKNOWN else kind


def suffix(name: str, kind: str) -> str:
    """The extension under which content of a type is kept: its own where that fits."""
    own = Path(name).suffix.lower()
    known = EXTENSIONS.get(kind, ())
    if own in known or (not known and own.removeprefix(".").isalnum()):
        return own
    return known[0] if known else ""


def _misfits(name: str, said: str, seen: str | None) -> list[Problem]:
    """Content that shows something other than what is claimed; a claim that nothing contradicts stands."""
    if seen and said in _SNIFFED and said != seen:
        return [Problem(f"{name} is {seen}, not {said}", hint=f"rename it to end in {EXTENSIONS[seen][0]}")]
    if not seen and said in _SNIFFED - {"application/zip"}:
        return [Problem(f"{name} is not {said}: its first bytes are something else", hint="save the picture again")]
    if seen and said not in {seen, UNKNOWN} and said not in _SNIFFED:
        return [Problem(f"{name} is {seen}, not {said}", hint="hand it in as what it is")]
    return []


def _sizes(name: str, size: int, limits: Limits) -> list[Problem]:
    if size > limits.most_bytes:
        return [Problem(f"{name} has {size:,} bytes", hint=f"at most {limits.most_bytes:,} are taken: make it smaller")]
    if size < limits.least_bytes:
        return [Problem(f"{name} is {'empty' if not size else f'only {size} bytes'}", hint="hand it in again")]
    return []
