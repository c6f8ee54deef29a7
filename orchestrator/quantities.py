"""Numbers with their nouns, as sentences contain them."""

from __future__ import annotations


def format_count(count: int, singular: str, plural: str = "") -> str:
    """Return ``count`` with its noun: ``1 table``, ``2 tables``.

    ``plural`` is the noun for every count but 1; the default is ``singular`` with an "s".
    """
    return f"{count} {singular if count == 1 else plural or f'{singular}s'}"
