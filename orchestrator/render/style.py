"""Style terminal text: ANSI colours if enabled, ASCII symbols if the encoding requires it.  Pure."""

from __future__ import annotations

import textwrap
from typing import Final

from msgspec import Struct

_ANSI_CODES: Final = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "alarm": "1;31",
    "good": "1;32",
}
COLOUR_BY_SIGN: Final = {"+": "green", "~": "yellow", "-": "red", "-/+": "magenta", "!": "alarm"}
_ASCII_REPLACEMENTS: Final = str.maketrans({"…": "...", "·": "|", "→": "->", "✓": "ok", "✗": "x", "—": "-", "•": "*"})


class Style(Struct, frozen=True):
    """Text style.  ``width`` in columns, 0 for no wrapping; ``encoding`` of the output stream."""

    colour: bool = False
    width: int = 0
    encoding: str = "utf-8"

    def paint(self, text: str, colour_name: str) -> str:
        """Return ``text`` in a colour, if colours are enabled."""
        return f"\x1b[{_ANSI_CODES[colour_name]}m{text}\x1b[0m" if self.colour and text else text

    def wrap(self, text: str, first_indent: str, next_indent: str | None = None) -> list[str]:
        """Return ``text`` as wrapped lines.  ``next_indent`` defaults to spaces of the width of ``first_indent``.

        Lines of ``text`` after its first are a program's output: they are indented and never wrapped.
        """
        next_indent = " " * len(first_indent) if next_indent is None else next_indent
        text, *output = text.split("\n")
        return [*self._wrap_line(text, first_indent, next_indent), *(next_indent + line for line in output)]

    def _wrap_line(self, text: str, first_indent: str, next_indent: str) -> list[str]:
        if not self.width or len(first_indent) + len(text) <= self.width:
            return [first_indent + text]
        width = max(self.width, 30 + len(next_indent), 30 + len(first_indent))
        wrapper = textwrap.TextWrapper(width, initial_indent=first_indent, subsequent_indent=next_indent)
        wrapper.break_long_words = wrapper.break_on_hyphens = False
        return wrapper.wrap(text) or [first_indent]

    def replace_unencodable(self, text: str) -> str:
        """Return ``text`` with characters that the encoding lacks replaced by ASCII."""
        try:
            text.encode(self.encoding)
        except (UnicodeEncodeError, LookupError):
            ascii_text = text.translate(_ASCII_REPLACEMENTS)
            return ascii_text.encode("ascii", "backslashreplace").decode("ascii")
        return text
