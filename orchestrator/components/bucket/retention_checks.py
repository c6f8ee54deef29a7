"""Check that no lifecycle rule of a bucket removes objects that a release may need.  Pure.

``release.retention`` removes what no release needs.  Rules for old versions are not checked, because a rollback reads
only current versions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.vocabulary import Component

Finding = tuple[tuple[str | int, ...], str, str | None]

RELEASE_PREFIXES = ("ledger/", "lease/", "sites/", "bodies/", "models/", "migrations/")
MODEL_PREFIX = "ml-models"
ARCHIVE_STORAGE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Objects in these classes cannot be copied immediately."""


def check(component: Component, siblings: Mapping[str, Component]) -> Iterator[Finding]:
    """Yield the rules that would remove or archive objects of a release, with what they affect."""
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
                f"this rule would remove {needed_objects} that a release might need",
                _build_hint(component),
            )
        for transition_index, transition in enumerate(rule["transitions"] if needed_objects else ()):
            if transition["storageClass"] in ARCHIVE_STORAGE_CLASSES:
                message = (
                    f"this rule would archive {needed_objects} that a release might need: a rollback cannot read "
                    "archived objects"
                )
                yield (
                    (*rule_path, "transitions", transition_index),
                    message,
                    "use GLACIER_IR: its objects can be read immediately",
                )


def _needed_objects(component: Component, is_release_bucket: bool, prefix: str) -> str:
    """Return a description of the release objects below ``prefix``, or "" if there are none."""
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
    alternative = f"use another prefix, such as {other_prefixes[0]}/, or " if other_prefixes else ""
    return f"{alternative}remove the rule: each deploy removes the objects that no release needs (`releases.keep`)"
