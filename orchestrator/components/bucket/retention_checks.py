"""No lifecycle rule of a bucket takes what a release may need; ``release.retention`` removes what none does.  Pure.

Old versions are another matter: going back reads what is current, so rules about them may say what they like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.vocabulary import Component

Problem = tuple[tuple[str | int, ...], str, str | None]

OF_RELEASES = ("ledger/", "lease/", "sites/", "bodies/", "models/", "migrations/")
MODELS = "ml-models"
ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""From there nothing can be copied at once."""


def check(component: Component, siblings: Mapping[str, Component]) -> Iterator[Problem]:
    """Rules that would take something, each with what that is."""
    projects = (one for one in siblings.values() if one.kind == "Project")
    releases = next((one.spec["releases"].get("bucket") for one in projects if one.spec.get("releases")), None)
    for index, rule in enumerate(component.spec["lifecycle"]["rules"] if releases else ()):
        what = _taken(component, releases == component.handle, rule["prefix"])
        place = ("lifecycle", "rules", index)
        if what and "expireAfterDays" in rule:
            yield (*place, "expireAfterDays"), f"this would remove {what} that a release may need", _hint(component)
        for number, move in enumerate(rule["transitions"] if what else ()):
            if move["storageClass"] in ARCHIVES:
                sentence = f"this would archive {what} that a release may need: going back could not read them"
                yield (*place, "transitions", number), sentence, "GLACIER_IR is as cheap to keep and is read at once"


def _taken(component: Component, keeps_releases: bool, prefix: str) -> str:
    """What of a release lies below ``prefix``, in words."""
    others = [f"{one}/" for one in component.spec["prefixes"]]
    if keeps_releases and _overlaps(prefix, OF_RELEASES):
        return "files"
    if MODELS in component.spec["prefixes"] and _overlaps(prefix, (f"{MODELS}/",)):
        return "models"
    if component.spec.get("spa") and not prefix.startswith(tuple(others)):
        return "files of the site"
    return ""


def _overlaps(prefix: str, those: tuple[str, ...]) -> bool:
    return any(prefix.startswith(one) or one.startswith(prefix) for one in those)


def _hint(component: Component) -> str:
    others = [one for one in component.spec["prefixes"] if one != MODELS]
    narrow = f"name another prefix, such as {others[0]}/, or " if others else ""
    return f"{narrow}leave the rule out: what no release needs is removed after each deploy (`releases.keep`)"
