"""What a manifest says about a site besides its folder: where it is served, how paths map to pages, its headers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct

Routing = Literal["spa", "static"]
METADATA_HEADER_PREFIX = "header-"
"""Prefix of the S3 metadata that a CDN serves as headers."""
METADATA_STATUS = "status"
"""S3 metadata with the status that a CDN serves a file with."""
NATIVE_HEADERS = frozenset({"content-disposition", "content-encoding", "content-language"})
"""Headers that S3 stores with an object and returns; a CDN has to add all others."""


SNIFFING_HEADER = "x-content-type-options"
ALLOWS_SNIFFING = "none"
"""Value with which a CDN leaves the header out: a browser may look at the bytes of a file of unknown type.

CloudFront adds the header by its response headers policy before the viewer-response function runs, which removes it
("Amazon CloudFront introduces Response Headers Policies", AWS blog: a function sees what the policy inserted).
"""


class HeaderRule(Struct, frozen=True):
    """Headers of the files that ``pattern`` matches; None leaves what the file's name says."""

    pattern: str
    content_type: str | None = None
    cache_control: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def matches(self, path: str) -> bool:
        """Return whether the rule is about a file.  ``*`` is any text, with slashes, and ``?`` one character."""
        expression = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in self.pattern.lstrip("/"))
        return re.fullmatch(expression, path, re.DOTALL) is not None


class SiteOptions(Struct, frozen=True):
    """Options of one site.  ``prefix`` is empty or ends with a slash: the keys of its files begin with it."""

    prefix: str = ""
    routing: Routing = "spa"
    not_found: str = "404.html"
    header_rules: tuple[HeaderRule, ...] = ()

    @property
    def needs_response_function(self) -> bool:
        """Whether a CDN has to change what S3 answers."""
        names = {name.lower() for rule in self.header_rules for name, _ in rule.headers}
        return self.routing == "static" or bool(names - NATIVE_HEADERS)

    def rules_for(self, path: str) -> Iterator[HeaderRule]:
        """Yield the rules about a file (its path below the site's folder), in the order of the manifest."""
        return (rule for rule in self.header_rules if rule.matches(path))


def from_spec(spa: Mapping[str, Any]) -> SiteOptions:
    """Return the options in ``spa`` of a bucket's spec."""
    rules = (
        HeaderRule(
            str(rule["pattern"]),
            rule.get("contentType"),
            rule.get("cacheControl"),
            tuple(sorted((rule.get("set") or {}).items())),
        )
        for rule in spa.get("headers") or ()
    )
    return SiteOptions(
        normalise_prefix(str(spa.get("prefix") or "")),
        spa.get("routing") or "spa",
        str(spa.get("notFound") or "404.html"),
        tuple(rules),
    )


def normalise_prefix(prefix: str) -> str:
    """Return ``/admin``, ``admin/`` ... as ``admin/``."""
    text = prefix.strip("/")
    return f"{text}/" if text else ""
