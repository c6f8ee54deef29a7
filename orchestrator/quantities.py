"""Numbers with their nouns, as sentences contain them, and numbers that others wrote."""

from __future__ import annotations


def format_count(count: int, singular: str, plural: str = "") -> str:
    """Return ``count`` with its noun: ``1 table``, ``2 tables``.

    ``plural`` is the noun for every count but 1; the default is ``singular`` with an "s".
    """
    return f"{count} {singular if count == 1 else plural or f'{singular}s'}"


def parse_count(text: str, *, max_digits: int = 12) -> int | None:
    """Return the number that at most ``max_digits`` ASCII digits write; None for any other text.

    ``str.isdigit`` does not suffice for a text of a stranger: ``int`` refuses "²", and thousands of digits.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= max_digits else None
