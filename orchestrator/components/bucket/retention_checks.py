"""No lifecycle rule of a bucket takes what a release may need; ``release.retention`` removes what none does.  Pure.

Old versions are another matter: going back reads what is current, so rules about them may say what they like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.vocabulary import Component

Finding = tuple[tuple[str | int, ...], str, str | None]

RELEASE_PREFIXES = ("ledger/", "lease/", "sites/", "bodies/", "models/", "migrations/")
MODEL_PREFIX = "ml-models"
ARCHIVE_STORAGE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""From there nothing can be copied at once."""


def check(component: Component, siblings: Mapping[str, Component]) -> Iterator[Finding]:
    """Rules that would take something, each with what that is."""
    projects = (project for project in siblings.values() if project.kind == "Project")
    release_bucket = next(
        (project.spec["releases"].get("bucket") for project in projects if project.spec.get("releases")), None
    )
    for index, rule in enumerate(component.spec["lifecycle"]["rules"] if release_bucket else ()):
        needed_objects = _needed_objects(component, release_bucket == component.handle, rule["prefix"])
        rule_path = ("lifecycle", "rules", index)
        if needed_objects and "expireAfterDays" in rule:
            yield (
                (*rule_path, "expireAfterDays"),
                f"this would remove {needed_objects} that a release may need",
                _build_hint(component),
            )
        for transition_index, transition in enumerate(rule["transitions"] if needed_objects else ()):
            if transition["storageClass"] in ARCHIVE_STORAGE_CLASSES:
                message = f"this would archive {needed_objects} that a release may need: going back could not read them"
                yield (
                    (*rule_path, "transitions", transition_index),
                    message,
                    "GLACIER_IR is as cheap to keep and is read at once",
                )


def _needed_objects(component: Component, is_release_bucket: bool, prefix: str) -> str:
    """What of a release lies below ``prefix``, in words."""
    other_prefixes = [f"{other_prefix}/" for other_prefix in component.spec["prefixes"]]
    if is_release_bucket and _has_overlap(prefix, RELEASE_PREFIXES):
        return "files"
    if MODEL_PREFIX in component.spec["prefixes"] and _has_overlap(prefix, (f"{MODEL_PREFIX}/",)):
        return "models"
    if component.spec.get("spa") and not prefix.startswith(tuple(other_prefixes)):
        return "files of the site"
    return ""


def _has_overlap(prefix: str, prefixes: tuple[str, ...]) -> bool:
    return any(prefix.startswith(other_prefix) or other_prefix.startswith(prefix) for other_prefix in prefixes)


def _build_hint(component: Component) -> str:
    other_prefixes = [other_prefix for other_prefix in component.spec["prefixes"] if other_prefix != MODEL_PREFIX]
    alternative = f"name another prefix, such as {other_prefixes[0]}/, or " if other_prefixes else ""
    return f"{alternative}leave the rule out: what no release needs is removed after each deploy (`releases.keep`)"
