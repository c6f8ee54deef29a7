"""Releases: what was shipped when, the proof that it answers, and the way back.

Above the pipeline: a deploy and a rollback are plans that are applied, proved and written down.  This module holds the
vocabulary.  May know: everything below ``cli``.  May not: plan, or change AWS, by another way than the pipeline's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

ReleaseResult = Literal["healthy", "unproved", "failed", "started"]
"""``unproved``: applied, with nothing to ask.  ``started``: under way, or killed."""


class ImageReference(Struct, frozen=True):
    """An image as it runs: the ``tag`` is the hash of its build inputs, "" for a prebuilt one."""

    tag: str
    digest: str


class Vector(Struct, frozen=True):
    """All that a release is, by component handle; two equal vectors behave the same.

    ``manifests`` is the digest of the documents.  ``secrets`` and ``models`` are version ids, ``schemas`` the version
    of a database's schema that was in place.
    """

    manifests: str
    images: Mapping[str, ImageReference] = field(default_factory=dict)
    sites: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    schemas: Mapping[str, int] = field(default_factory=dict)


class Release(Struct, frozen=True):
    """One deploy or rollback that reached AWS.  ``at`` is ISO 8601 in UTC; ``of`` the release a rollback went back to.

    ``changes`` are addresses with what became of them; ``reason`` is why it failed, or why somebody went back.
    """

    number: int
    at: str
    by: str
    commit: str
    vector: Vector
    result: ReleaseResult
    plan: str = ""
    of: int | None = None
    changes: tuple[str, ...] = ()
    reason: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether AWS held all of it at its end."""
        return self.result in {"healthy", "unproved"}


class Pin(Struct, frozen=True):
    """One part that a rollback holds back until it changes.

    ``part`` is ``image:HANDLE``, ``site:HANDLE``, ``secret:HANDLE`` or ``manifest:HANDLE``; ``refused`` identifies the
    bad content (build tag, site digest, document digest; "" for a document that was not there); ``release`` is where
    the content in its stead comes from, ``left`` the release that was left.
    """

    part: str
    refused: str
    release: int
    left: int
    at: str
    by: str
    reason: str = ""


class ManifestDocument(Struct, frozen=True):
    """One manifest document as a release had it, environment merged; ``file`` is where it stood."""

    file: str
    value: Mapping[str, Any]


class Ledger(Struct, frozen=True):
    """The releases of one environment, oldest first, with all that going back to them takes but the bytes.

    ``documents`` by their digest; a release's documents are named by ``vector.manifests``.
    """

    releases: tuple[Release, ...] = ()
    manifests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    documents: Mapping[str, ManifestDocument] = field(default_factory=dict)
    pins: tuple[Pin, ...] = ()
    version: int = 1

    @property
    def last_complete(self) -> Release | None:
        """The newest release that AWS held whole."""
        return next((release for release in reversed(self.releases) if release.is_complete), None)

    @property
    def current_release(self) -> Release | None:
        """The newest attempt, failed or not: what AWS holds comes from it."""
        return self.releases[-1] if self.releases else None

    @property
    def next_number(self) -> int:
        return self.releases[-1].number + 1 if self.releases else 1

    def find(self, number: int) -> Release | None:
        """The release of one number, or None."""
        return next((release for release in self.releases if release.number == number), None)

    def documents_of(self, release: Release) -> tuple[ManifestDocument, ...]:
        """The documents of a release."""
        return tuple(self.documents[digest] for digest in self.manifests.get(release.vector.manifests, ()))
