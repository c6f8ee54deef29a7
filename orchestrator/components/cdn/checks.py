"""Check what CloudFront rejects in a Cdn, or what would behave unexpectedly.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from orchestrator.components.cdn.countries import COUNTRY_CODES
from orchestrator.components.cdn.sites import check_paths
from orchestrator.vocabulary import Component

Siblings: TypeAlias = Mapping[str, Component]
Finding: TypeAlias = tuple[tuple[str | int, ...], str, str | None]

SECONDS_PER_YEAR = 31536000
MATCHES_ALL = ("*", "/*")
HANDLE_PREFIX = "bucket."
SECURITY_HEADERS = {
    "content-security-policy": "use `contentSecurityPolicy`",
    "referrer-policy": "use `referrer`",
    "strict-transport-security": "use `strictTransport`",
    "x-content-type-options": "remove it: the orchestrator always sets this header",
    "x-frame-options": "use `frames`",
    "x-xss-protection": "remove it: the orchestrator always sets this header",
}
"""Headers that CloudFront accepts only as security headers, and what to do instead of declaring them."""


def check(component: Component, siblings: Siblings) -> Iterator[Finding]:
    """Yield settings that CloudFront rejects, or that behave unexpectedly."""
    spec = component.spec
    yield from check_paths(component, siblings)
    yield from _check_names(component, siblings)
    if spec["deepLinks"] and not spec["origin"].startswith(HANDLE_PREFIX):
        hint = "set `deepLinks: false`"
        yield ("deepLinks",), f"`deepLinks` would replace every page of {spec['origin']} with {spec['index']}", hint
    yield from _check_patterns([path["pattern"] for path in spec["paths"]])
    for index, path in enumerate(spec["paths"]):
        if path["pattern"] in MATCHES_ALL and path.get("origin", spec["origin"]) != spec["origin"]:
            message = f"`{path['pattern']}` matches every path, so no request reaches {spec['origin']}"
            yield ("paths", index, "pattern"), message, f"set `origin: {path['origin']}` instead"
    yield from _check_countries(spec.get("geo", {}))
    yield from _check_log_bucket(spec.get("logs", {}), siblings)
    if isinstance(spec["securityHeaders"], Mapping):
        yield from _check_headers(spec["securityHeaders"])


def _check_names(component: Component, siblings: Siblings) -> Iterator[Finding]:
    """Yield host names without a certificate, and those of two Cdns: CloudFront allows a name once in all accounts."""
    spec = component.spec
    if spec["aliases"] and "certificate" not in spec:
        yield ("aliases",), "`aliases` require a certificate for these host names", "set `certificate: ARN`"
    if "certificate" in spec and not spec["aliases"]:
        yield ("certificate",), "`certificate` has no effect without `aliases`", "set `aliases: [HOST]`"
    for other in siblings.values():
        if other.kind == component.kind and other.handle < component.handle:  # Report each pair once.
            for index, alias in enumerate(spec["aliases"]):
                if alias in other.spec["aliases"]:
                    yield ("aliases", index), f"{other.handle} already has the alias `{alias}`", "remove one of the two"


def _check_patterns(patterns: Sequence[str]) -> Iterator[Finding]:
    """Yield the patterns that another one before them hides: CloudFront uses the first that matches."""
    for index, pattern in enumerate(patterns):
        path = ("paths", index, "pattern")
        if pattern in patterns[:index]:
            hint = "remove one of the two: only the first match is used"
            yield path, f"duplicate path pattern `{pattern}`", hint
        elif covering := next((earlier for earlier in patterns[:index] if covers_pattern(earlier, pattern)), None):
            message = f"`{pattern}` is never used: `{covering}` before it matches the same paths"
            yield path, message, f"move it before `{covering}`"


def covers_pattern(first: str, second: str) -> bool:
    """Return whether everything that the second path pattern matches is matched by the first."""
    wildcards = {"*": ".*", "?": "[^*]"}
    return bool(re.fullmatch("".join(wildcards.get(part, re.escape(part)) for part in first), second, re.DOTALL))


def _check_countries(geo: Mapping[str, Any]) -> Iterator[Finding]:
    if not geo:
        return
    if (geo["rule"] == "none") == bool(geo["countries"]):
        yield ("geo", "countries"), "`allow` and `deny` require `countries`; `none` must not have any", None
    for index, country in enumerate(geo["countries"]):
        if country not in COUNTRY_CODES:
            hint = "use a two-letter ISO 3166-1 code, for example ES (GB for the United Kingdom)"
            yield ("geo", "countries", index), f"`{country}` is not a country code", hint


def _check_log_bucket(logs: Mapping[str, Any], siblings: Siblings) -> Iterator[Finding]:
    """Yield a log bucket of these manifests: CloudFront writes its logs only to a bucket with ACLs."""
    bucket = str(logs.get("bucket", ""))
    name = bucket.partition(".s3.")[0]
    own = next(
        (other.handle for other in siblings.values() if other.kind == "Bucket" and name == other.spec.get("name")), None
    )
    if bucket.startswith(HANDLE_PREFIX) and ".s3." not in bucket:
        own = bucket
    if own:
        message = f"CloudFront requires a log bucket with ACLs enabled, and a Bucket such as {own} never has ACLs"
        yield ("logs", "bucket"), message, "set the domain of a bucket that is managed outside the manifests"


def _check_headers(headers: Mapping[str, Any]) -> Iterator[Finding]:
    path = ("securityHeaders", "custom")
    for name in headers["custom"]:
        hint = SECURITY_HEADERS.get(name.lower())
        if hint:
            yield (*path, name), f"CloudFront accepts {name} only as a security header", hint
        if name.lower() == "permissions-policy" and "permissions" in headers:
            yield (*path, name), f"`permissions` also sets {name}", "remove one of the two"
    strict_transport = headers["strictTransport"]
    is_complete = strict_transport["includeSubdomains"] and strict_transport["maxAgeSeconds"] >= SECONDS_PER_YEAR
    if strict_transport["preload"] and not is_complete:
        hint = f"set `includeSubdomains: true` and `maxAgeSeconds: {SECONDS_PER_YEAR}`"
        message = "`preload` requires subdomains and a max-age of at least one year"
        yield ("securityHeaders", "strictTransport", "preload"), message, hint
