"""Deploy releases, verify them with probes, record them in a ledger, and roll back to them.

This module holds the vocabulary.  A deploy and a rollback are both plans that are applied, verified and recorded.  The
package may import everything below ``cli``.  It plans and changes AWS only through the pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

ReleaseResult = Literal["healthy", "unproved", "failed", "started"]
"""``unproved``: applied, but without a probe to verify it.  ``started``: in progress, or killed."""


class ImageReference(Struct, frozen=True):
    """A running image.  ``tag`` is the hash of its build inputs, empty for a prebuilt image."""

    tag: str
    digest: str


class Vector(Struct, frozen=True):
    """The versions that make up a release, by component handle.  Releases with equal vectors behave the same.

    ``manifests`` is the digest of the manifest documents, ``sites`` holds site digests, ``secrets`` and ``models`` hold
    version ids, and ``schemas`` holds the schema version of each database at that time.
    """

    manifests: str
    images: Mapping[str, ImageReference] = field(default_factory=dict)
    sites: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    schemas: Mapping[str, int] = field(default_factory=dict)


class Release(Struct, frozen=True):
    """One deploy or rollback that reached AWS.

    ``at`` is ISO 8601 in UTC.  ``of`` is the release that a rollback restored.  ``changes`` lists each action with its
    address.  ``reason`` says why the release failed, or why it was rolled back.  ``uncommitted`` is a hash of what the
    checkout had beyond its commit, or "".  ``snapshots`` are those of databases that it created first.
    ``verified_at`` is when it was seen to be complete.  ``promoted_from`` is the release of another environment whose
    artefacts it has, such as ``staging/12``.  ``bases`` are the digests of the base images by component handle and by
    their name in the Dockerfile.
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
    uncommitted: str = ""
    snapshots: tuple[str, ...] = ()
    verified_at: str = ""
    promoted_from: str = ""
    bases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether the release was applied completely."""
        return self.result in {"healthy", "unproved"}


class Pin(Struct, frozen=True):
    """A part that a rollback holds back until its content changes.

    ``part`` is ``image:HANDLE``, ``site:HANDLE``, ``secret:HANDLE`` or ``manifest:HANDLE``.  ``refused`` identifies the
    bad content: a build tag, a site digest or a document digest, empty for a document that did not exist.  ``release``
    is the release whose content is used instead, ``left`` the release that was rolled back.  ``at_fault``: its
    component is known to be the cause; if none of a rollback is, any may be.
    """

    part: str
    refused: str
    release: int
    left: int
    at: str
    by: str
    reason: str = ""
    at_fault: bool = False


class ManifestDocument(Struct, frozen=True):
    """A manifest document of a release, merged with its environment.  ``file`` is the file that declared it."""

    file: str
    value: Mapping[str, Any]


LEDGER_VERSION = 1
"""The form of ledgers that this version writes, and the newest that it reads."""


class Ledger(Struct, frozen=True):
    """The releases of one environment, oldest first, with everything that restores them except the artefacts' bytes.

    ``manifests`` maps the ``vector.manifests`` digest of a release to document digests, ``documents`` maps those to the
    documents.  ``retained`` are the addresses of resources with data that releases added which were rolled back.
    """

    releases: tuple[Release, ...] = ()
    manifests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    documents: Mapping[str, ManifestDocument] = field(default_factory=dict)
    pins: tuple[Pin, ...] = ()
    version: int = LEDGER_VERSION
    retained: tuple[str, ...] = ()

    @property
    def last_complete(self) -> Release | None:
        """The newest complete release."""
        return next((release for release in reversed(self.releases) if release.is_complete), None)

    @property
    def last_deploy(self) -> Release | None:
        """The newest complete release that is no rollback, which has the newest commit but not what that says."""
        deploys = (release for release in reversed(self.releases) if release.is_complete and release.of is None)
        return next(deploys, None)

    @property
    def current_release(self) -> Release | None:
        """The newest attempt, failed or not: it determines what AWS holds."""
        return self.releases[-1] if self.releases else None

    @property
    def next_number(self) -> int:
        return self.releases[-1].number + 1 if self.releases else 1

    def find(self, number: int) -> Release | None:
        """Return the release with a number, or None."""
        return next((release for release in self.releases if release.number == number), None)

    def documents_of(self, release: Release) -> tuple[ManifestDocument, ...]:
        """Return the manifest documents of a release."""
        return tuple(self.documents[digest] for digest in self.manifests.get(release.vector.manifests, ()))
