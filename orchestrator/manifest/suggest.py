"""Suggest the name that a user probably meant.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

MAX_SHOWN = 12


def find_closest(word: str, candidates: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the candidate most similar to ``word``, or None if none is similar enough."""
    import difflib

    names_by_spelling = {_normalise(name): name for name in sorted(candidates, reverse=True)}
    matches = difflib.get_close_matches(_normalise(word)[:100], names_by_spelling, n=1, cutoff=cutoff)
    return names_by_spelling[matches[0]] if matches else None


def _normalise(word: str) -> str:
    """Remove what people confuse: case, hyphens and underscores."""
    return word.lower().replace("-", "").replace("_", "")


def hint(word: str, candidates: Iterable[str], *, list_prefix: str = "available") -> str | None:
    """Return "did you mean ...?", or the list of candidates; None if there are no candidates."""
    names = sorted(candidates)
    suggestion = find_closest(word, names)
    if suggestion:
        return f"did you mean `{suggestion}`?"
    if not names:
        return None
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return f"{list_prefix}: {', '.join(names[:MAX_SHOWN])}{more}"
