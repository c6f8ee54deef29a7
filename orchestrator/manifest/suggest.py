"""Did you mean ...?  Pure."""

from __future__ import annotations

from collections.abc import Iterable

MAX_SHOWN = 12


def find_closest(word: str, candidates: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The one of ``known`` that ``word`` was probably meant to be; None when nothing is like it."""
    import difflib

    names_by_spelling = {_normalise(name): name for name in sorted(candidates, reverse=True)}
    matches = difflib.get_close_matches(_normalise(word)[:100], names_by_spelling, n=1, cutoff=cutoff)
    return names_by_spelling[matches[0]] if matches else None


def _normalise(word: str) -> str:
    """Case, hyphens and underscores are what people mix up."""
    return word.lower().replace("-", "").replace("_", "")


def hint(word: str, candidates: Iterable[str], *, list_prefix: str = "there are") -> str | None:
    """``did you mean ...?``, or what there is to choose from; None when there is nothing."""
    names = sorted(candidates)
    suggestion = find_closest(word, names)
    if suggestion:
        return f"did you mean `{suggestion}`?"
    if not names:
        return None
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return f"{list_prefix}: {', '.join(names[:MAX_SHOWN])}{more}"
