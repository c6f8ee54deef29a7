"""Describe what a release ships besides configuration: container images and static sites, by content hash.

``expand`` takes these types as input. ``collect`` builds them from the files of a checkout, ``release`` from the ledger
entry of an earlier release. May import: files, ``vocabulary``, ``problems``, ``shell``. Must not import: AWS or
manifests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from orchestrator.secret_rotation import Rotation


class Image(Struct, frozen=True):
    """The container image of one component.

    ``tag`` is the hash of all build inputs. ``digest`` (``sha256:...``) is set when the image already exists: it is
    then used as it is and never built. ``build`` holds the builder's input, with absolute paths. ``rebuild`` names the
    run that builds it although there is an image of these inputs; "" if none does. ``bases`` are the digests of its
    base images by their name in the Dockerfile, if they were resolved.
    """

    tag: str
    build: Mapping[str, Any] = field(default_factory=dict)
    digest: str | None = None
    rebuild: str = ""
    origin: str = ""
    bases: Mapping[str, str] = field(default_factory=dict)


class SiteFile(Struct, frozen=True):
    """One file of a site: ``size`` in bytes, ``md5`` and ``sha256`` in hex, and its HTTP headers.

    ``entry`` files (index.html) keep their name when their content changes; the others have a hash in their name.
    ``headers`` are more headers; ``status`` is the status that the file is served with, such as 404 for the page of a
    static site for unknown paths.
    """

    size: int
    md5: str
    sha256: str
    content_type: str
    cache_control: str
    entry: bool
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


class Site(Struct, frozen=True):
    """A static site: its files by key. ``digest`` covers keys, bytes and headers.

    ``folder`` holds the files on this machine. None for a site of an earlier release, whose files are in the release
    bucket. Every key begins with ``prefix``, below which the site is served.
    """

    digest: str
    files: Mapping[str, SiteFile]
    folder: str | None = None
    prefix: str = ""

    @property
    def index_path(self) -> str:
        """Key of the front page."""
        return f"{self.prefix}index.html"

    def local_path(self, key: str) -> str:
        """Return where a file is on this machine."""
        return f"{self.folder}/{key.removeprefix(self.prefix)}"


class SiteOrigin(Struct, frozen=True):
    """Where another environment keeps the files of a site that is promoted.

    ``archived`` are the SHA-256 of what its release bucket has; the other files are in ``bucket``.
    ``can_compare_etags``: whether an ETag there is the MD5 of the content.
    """

    bucket: str
    release_bucket: str
    archived: frozenset[str] = frozenset()
    can_compare_etags: bool = True


class ModelOrigin(Struct, frozen=True):
    """Where another environment keeps the files of a model that is promoted: ``keys`` of ``bucket``.

    ``pointer`` is the ``BUCKET/KEY`` of the pointer that names it, in the release bucket there.
    """

    bucket: str
    keys: tuple[str, ...]
    pointer: str


class Artefacts(Struct, frozen=True):
    """Everything that a release ships, by component handle.

    ``secrets`` and ``models`` hold version ids, set only when an earlier version is restored, or a model is promoted.
    The origins say where the files of what is promoted are. ``rotations`` are the secrets whose values are to be
    generated again.
    """

    images: Mapping[str, Image] = field(default_factory=dict)
    sites: Mapping[str, Site] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    site_origins: Mapping[str, SiteOrigin] = field(default_factory=dict)
    model_origins: Mapping[str, ModelOrigin] = field(default_factory=dict)
    rotations: Mapping[str, Rotation] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
