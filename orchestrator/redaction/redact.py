"""Redact secrets and escape control characters before text is displayed or logged.  Pure.

The last line of defence: plans contain no secrets in the first place.  Used by every renderer and by the logs.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Mapping
from pathlib import Path
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
"""Placeholders and references to secrets, which may be shown."""


def redact(value: Any, key: str = "") -> Any:
    """Return ``value`` (JSON) with everything that looks like a secret, by key or by content, replaced."""
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
    r"""Return ``text`` on one line, with control characters, escapes and direction marks escaped (``\x1b``).

    Also breaks up ``::`` at the start of a word and ``##[``, which the GitHub runner would execute as commands.
    """
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escape_char(char) for char in text)
    return _WORKFLOW_COMMAND.sub(lambda match: r"\x3a:" if match[0] == "::" else "# #", text)


def _escape_char(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")


def sanitise(text: str) -> str:
    """Return ``text`` redacted and escaped, safe to display."""
    return escape_unprintable(str(redact(text)))


def sanitise_lines(text: str) -> str:
    """Return a text of several lines, such as a program's output, redacted and with each line escaped by itself."""
    return "\n".join(escape_unprintable(line.rstrip().expandtabs()) for line in str(redact(text)).splitlines())


def describe_exception(error: BaseException) -> str:
    """Return the type, the place in our code and the start of the message of an exception that nothing expected."""
    frames = traceback.extract_tb(error.__traceback__)
    own_frames = [frame for frame in frames if f"{os.sep}orchestrator{os.sep}" in frame.filename] or list(frames)
    location = f" in {Path(own_frames[-1].filename).name}:{own_frames[-1].lineno}" if own_frames else ""
    return f"{type(error).__name__}{location}: {sanitise(str(error))[:500]}"
