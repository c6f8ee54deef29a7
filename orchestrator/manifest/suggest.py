"""Did you mean ...?  Pure."""

from __future__ import annotations

from collections.abc import Iterable

MOST_SHOWN = 12


def closest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The one of ``known`` that ``word`` was probably meant to be; None when nothing is like it."""
    import difflib

    spellings = {_bare(name): name for name in sorted(known, reverse=True)}
    found = difflib.get_close_matches(_bare(word)[:100], spellings, n=1, cutoff=cutoff)
    return spellings[found[0]] if found else None


def _bare(word: str) -> str:
    """Case, hyphens and underscores are what people mix up."""
    return word.lower().replace("-", "").replace("_", "")


def hint(word: str, known: Iterable[str], *, there_are: str = "there are") -> str | None:
    """``did you mean ...?``, or what there is to choose from; None when there is nothing."""
    names = sorted(known)
    meant = closest(word, names)
    if meant:
        return f"did you mean `{meant}`?"
    if not names:
        return None
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return f"{there_are}: {', '.join(names[:MOST_SHOWN])}{more}"
