"""What may be shown: secrets are blotted out, and text cannot act on the screen or log that shows it.  Pure.

The last line of defence: plans hold no secrets to begin with.  Used by every renderer and by the logs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

REDACTED: Final = "(secret)"

_SECRET_KEY = re.compile(
    r"(?i)(^|[-_.:\s])(master_?user_?)?(password|passwd|passphrase|secret_?(string|binary|key|value|access_?key)"
    r"|private_?key|api_?key|(session|access|auth)_?token|authorization|credentials?)$|[a-z](Password|SecretKey|ApiKey)$"
)
_SECRET_TEXT = re.compile(
    r"(?P<lead>(?i:password|pwd)\s*=\s*)(?!\$\{|\(secret\))[^;\s\"']+"
    r"|(?P<user>://[^/\s:@]+:)(?!\$\{|\(secret\))[^@\s/]+(?=@)"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_\w{20,}|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_WORKFLOW_COMMAND = re.compile(r"(?:^|(?<=\s))::|##(?=\[)")
_NOT_SECRET = re.compile(r"\(secret\)|\(\d+ bytes\)|(\$\{[\w.:/-]+\}|arn:aws:secretsmanager:)[\w.:/-]*")
"""Stand-ins, and where a secret is to be found."""


def redact(value: Any, key: str = "") -> Any:
    """``value`` (JSON) without what looks like a secret, by the name it goes under or by its own looks."""
    match value:
        case Mapping():
            return {name: redact(item, str(name)) for name, item in value.items()}
        case list() | tuple():
            return [redact(item, key) for item in value]
        case str() if value and _SECRET_KEY.search(key) and not _NOT_SECRET.fullmatch(value):
            return REDACTED
        case str():
            return _SECRET_TEXT.sub(_redact_match, value)
        case _:
            return value


def _redact_match(match: re.Match[str]) -> str:
    return f"{match['lead'] or match['user'] or ''}{REDACTED}"


def escape_unprintable(text: str) -> str:
    r"""``text`` on one line that does nothing: controls, escapes and direction marks are spelt out (``\x1b``).

    GitHub's runner obeys lines that begin with ``::``, and ``##[`` anywhere; both are broken up.
    """
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escape_char(char) for char in text)
    return _WORKFLOW_COMMAND.sub(lambda match: r"\x3a:" if match[0] == "::" else "# #", text)


def _escape_char(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")


def sanitise(text: str) -> str:
    """A sentence fit to be shown: redacted and visible."""
    return escape_unprintable(str(redact(text)))
