"""References in text: ``${bucket.files.name}``; ``$${`` stands for the two characters themselves.  Pure."""

from __future__ import annotations

import re
from typing import TypeAlias

from msgspec import Struct

PROJECT = "project"
OPENING = "${"
_TOKEN = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAME = re.compile(r"(project)\.([A-Za-z][A-Za-z0-9]*)\Z|([a-z]+\.[a-z][a-z0-9-]*)\.([A-Za-z][A-Za-z0-9]*)\Z")
SYNTAX = "write ${kind.name.export}, or $${ for the two characters themselves"


class Reference(Struct, frozen=True):
    """``${bucket.files.name}``: the handle ``bucket.files`` (or ``project``) and what it exports."""

    handle: str
    export: str

    def __str__(self) -> str:
        return f"${{{self.handle}.{self.export}}}"


class Malformed(Struct, frozen=True):
    """Something that begins like a reference and is none."""

    text: str


Part: TypeAlias = str | Reference | Malformed


def parse(text: str) -> list[Part]:
    """The parts of a text in order; neighbouring plain parts are joined, empty ones left out."""
    parts: list[Part] = []
    plain, end = "", 0
    for token in _TOKEN.finditer(text):
        plain += text[end : token.start()]
        end = token.end()
        if token[0] == "$${":
            plain += OPENING
            continue
        parts += [plain] if plain else []
        plain = ""
        parts.append(_reference(token))
    plain += text[end:]
    return [*parts, plain] if plain or not parts else parts


def _reference(token: re.Match[str]) -> Reference | Malformed:
    name = _NAME.match(token[1].strip())
    if not token[2] or name is None:
        return Malformed(token[0])
    return Reference(name[1] or name[3], name[2] or name[4])


def mended(text: str) -> str:
    """A hint for what is no reference: the same with a kind in lower case, where that makes it one, or the syntax."""
    kind, dot, rest = text.strip(OPENING + "}").partition(".")
    guess = kind.lower() + dot + rest
    return f"did you mean `${{{guess}}}`?" if _NAME.match(guess) else SYNTAX
