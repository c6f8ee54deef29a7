"""Parse references in text, such as ``${bucket.files.name}``; ``$${`` is a literal ``${``.  Pure."""

from __future__ import annotations

import re
from typing import TypeAlias

from msgspec import Struct

PROJECT_HANDLE = "project"
REFERENCE_START = "${"
_TOKEN_PATTERN = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAME_PATTERN = re.compile(r"(project)\.([A-Za-z][A-Za-z0-9]*)\Z|([a-z]+\.[a-z][a-z0-9-]*)\.([A-Za-z][A-Za-z0-9]*)\Z")
SYNTAX_HINT = "write ${kind.name.export}, or $${ for a literal ${"


class Reference(Struct, frozen=True):
    """``${bucket.files.name}``: the handle ``bucket.files`` (or ``project``) and the name of an export."""

    handle: str
    export: str

    def __str__(self) -> str:
        return f"${{{self.handle}.{self.export}}}"


class MalformedReference(Struct, frozen=True):
    """Text that begins like a reference but is not a valid one."""

    text: str


TextPart: TypeAlias = str | Reference | MalformedReference


def parse_text(text: str) -> list[TextPart]:
    """Return the parts of a text in order; adjacent plain parts are joined and empty ones omitted."""
    parts: list[TextPart] = []
    plain_text, end = "", 0
    for token in _TOKEN_PATTERN.finditer(text):
        plain_text += text[end : token.start()]
        end = token.end()
        if token[0] == "$${":
            plain_text += REFERENCE_START
            continue
        parts += [plain_text] if plain_text else []
        plain_text = ""
        parts.append(_parse_reference(token))
    plain_text += text[end:]
    return [*parts, plain_text] if plain_text or not parts else parts


def _parse_reference(token: re.Match[str]) -> Reference | MalformedReference:
    name = _NAME_PATTERN.match(token[1].strip())
    if not token[2] or name is None:
        return MalformedReference(token[0])
    return Reference(name[1] or name[3], name[2] or name[4])


def suggest_correction(text: str) -> str:
    """Return a hint for an invalid reference: its lower-case spelling if that is valid, else the syntax."""
    kind, dot, remainder = text.strip(REFERENCE_START + "}").partition(".")
    guess = kind.lower() + dot + remainder
    return f"did you mean `${{{guess}}}`?" if _NAME_PATTERN.match(guess) else SYNTAX_HINT
