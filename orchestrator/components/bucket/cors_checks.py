"""Check that the origins of CORS rules can match what browsers send.  Pure.

A browser sends scheme, host and port in lower case, without a path, and without the scheme's default port (RFC 6454,
sections 4 and 6.2); S3 compares texts (S3 User Guide, "Elements of a CORS configuration").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

Finding: TypeAlias = tuple[tuple[str | int, ...], str, str | None]

_ORIGIN = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>\[[^\]]*\]|[^/:?#]*)(?P<port>:[0-9*]*)?(?P<rest>.*)"
)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
OPAQUE_ORIGIN = "null"
"""What a browser sends for pages without an origin, such as files."""


def check(rules: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield the origins that no browser ever sends."""
    for rule_index, rule in enumerate(rules):
        for index, origin in enumerate(rule["origins"]):
            reason, hint = _find_mismatch(origin) if isinstance(origin, str) and "${" not in origin else ("", None)
            if reason:
                path = ("cors", rule_index, "origins", index)
                yield path, f"the origin `{origin}` never matches: {reason}", hint


def _find_mismatch(origin: str) -> tuple[str, str | None]:
    """Return why an origin cannot match, or "", and a hint."""
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        is_possible = origin == OPAQUE_ORIGIN or "*" in origin
        return ("", None) if is_possible else ("it has no scheme", f"write `https://{origin.lower()}`")
    scheme, host, port, rest = (match[name] or "" for name in ("scheme", "host", "port", "rest"))
    bare = f"{scheme.lower()}://{host.lower()}"
    if rest:
        return "browsers send no path, not even a trailing `/`", f"write `{bare}{port}`"
    if (scheme + host) != (scheme + host).lower():
        return "browsers send the scheme and the host in lower case", f"write `{bare}{port}`"
    if port and port == _DEFAULT_PORTS.get(scheme):
        return f"browsers omit the default port {port[1:]}", f"write `{bare}`"
    if not host.isascii():
        return "browsers send international domains in their ASCII form (`xn--...`)", None
    return "", None
