"""What a release ships besides configuration: container images and static sites, described by the hash of their bytes.

The types here are what ``expand`` is given; ``gather`` makes them from the files of a checkout, ``release`` from the
record of an earlier release.  May know: files, ``model``, ``problems``, ``shell``.  May not: know AWS or manifests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field


class Image(Struct, frozen=True):
    """The image of one component.

    ``tag`` is the hash of everything that goes into the build.  ``digest`` (``sha256:...``) is set where the image is
    known already: then it is used as it is, never built.  ``build`` is what the builder needs, with absolute paths.
    """

    tag: str
    build: Mapping[str, Any] = field(default_factory=dict)
    digest: str | None = None


class SiteFile(Struct, frozen=True):
    """One file of a site: ``size`` in bytes, ``md5`` and ``sha256`` in hex, and the headers it is served with.

    ``entry`` files keep their name while their bytes change (index.html); the others carry a hash in their name.
    """

    size: int
    md5: str
    sha256: str
    content_type: str
    cache_control: str
    entry: bool


class Site(Struct, frozen=True):
    """A static site: its files by path.  ``digest`` covers paths, bytes and headers.

    ``folder`` is where the bytes are; None where they are in the release bucket, as of an earlier release.
    """

    digest: str
    files: Mapping[str, SiteFile]
    folder: str | None = None


class Artefacts(Struct, frozen=True):
    """Everything that is shipped, by the handle of its component.

    ``secrets`` and ``models`` hold version ids, and only where an earlier version is to come back.
    """

    images: Mapping[str, Image] = field(default_factory=dict)
    sites: Mapping[str, Site] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
