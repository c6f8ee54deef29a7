"""Colour and symbols of terminal text: ANSI codes where wanted, ASCII where nothing else can be shown.  Pure."""

from __future__ import annotations

import textwrap
from typing import Final

from msgspec import Struct

_CODES: Final = {
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
BY_SIGN: Final = {"+": "green", "~": "yellow", "-": "red", "-/+": "magenta", "!": "alarm"}
_ASCII: Final = str.maketrans({"…": "...", "·": "|", "→": "->", "✓": "ok", "✗": "x", "—": "-", "•": "*"})


class Style(Struct, frozen=True):
    """How text may look.  ``width`` in columns, 0 for no wrapping; ``encoding`` is what the stream can show."""

    colour: bool = False
    width: int = 0
    encoding: str = "utf-8"

    def paint(self, text: str, name: str) -> str:
        """``text`` in a colour, where there are colours."""
        return f"\x1b[{_CODES[name]}m{text}\x1b[0m" if self.colour and text else text

    def wrap(self, text: str, first: str, following: str | None = None) -> list[str]:
        """``text`` as lines that begin with ``first``, then with ``following`` (default: blanks as wide)."""
        following = " " * len(first) if following is None else following
        if not self.width or len(first) + len(text) <= self.width:
            return [first + text]
        width = max(self.width, 30 + len(following), 30 + len(first))
        wrapper = textwrap.TextWrapper(width, initial_indent=first, subsequent_indent=following)
        wrapper.break_long_words = wrapper.break_on_hyphens = False
        return wrapper.wrap(text) or [first]

    def fit(self, text: str) -> str:
        """``text`` with nothing in it that the stream's encoding cannot show."""
        try:
            text.encode(self.encoding)
        except (UnicodeEncodeError, LookupError):
            plain = text.translate(_ASCII)
            return plain.encode("ascii", "backslashreplace").decode("ascii")
        return text
