"""Rotate generated values: which keys a Secret has for it, and the mark of a rotation in the ids of versions.

A rotation is named in the id of each version of the secret that was written after it (``TOKEN-r-20261130T195959``):
Secrets Manager takes the id from the request (PutSecretValue, ``ClientRequestToken``: 32 to 64 characters, "becomes the
VersionId").  So the rotation of any version is known without reading a value, also of one that a rollback restores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from orchestrator.values import Value

ROTATION_MARK = "-r-"
TOKEN_LENGTH = 32
"""Random characters of a version id, before the mark."""


class Rotation(Struct, frozen=True):
    """A rotation to be made: its id, and the keys whose values are generated again."""

    id: str
    keys: tuple[str, ...]


def find_rotation(version: str | None) -> str:
    """Return the id of the last rotation before a version was written, or "" if there was none."""
    return (version or "").partition(ROTATION_MARK)[2]


def build_version_id(token: str, rotation: str) -> str:
    """Return the id of a version to be written after a rotation; ``token`` are TOKEN_LENGTH random characters."""
    return f"{token}{ROTATION_MARK}{rotation}"


def current_version(versions: Mapping[str, list[str]] | None) -> str | None:
    """Return the id of the version that DescribeSecret's ``VersionIdsToStages`` labels as current, or None."""
    return next((version for version, stages in (versions or {}).items() if "AWSCURRENT" in stages), None)


def previous_key(key: str) -> str:
    """Return the key of the value that ``key`` had before its last rotation: ``Jwt:KeyPrevious``, ``KEY_PREVIOUS``."""
    return f"{key}_PREVIOUS" if key.isupper() else f"{key}Previous"


def list_keys(data: Mapping[str, Value]) -> Iterator[str]:
    """Yield the keys of a Secret's ``data``, each with the key of its previous value if it keeps one."""
    for key, value in data.items():
        yield key
        if has_previous_key(value):
            yield previous_key(key)


def has_previous_key(value: Any) -> bool:
    """Return whether a value of ``data`` is generated and keeps its previous value after a rotation."""
    return isinstance(value, Mapping) and bool((value.get("generate") or {}).get("keepPrevious"))
