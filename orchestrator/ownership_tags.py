"""Ownership marks: how we write on a thing that it is ours, and how we read it back.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from orchestrator.vocabulary import TAG_COMPONENT, TAG_DELETION, TAG_ENVIRONMENT, TAG_PROJECT, Scope, owner_of


class Marks(TypedDict):
    """The members of a Live that ownership marks decide; spread into ``Live(**marks)``."""

    owner: str | None
    component: str | None
    deletable: bool


def claim(scope: Scope, component: str, *, deletable: bool = False) -> dict[str, str]:
    """The tags that say a thing is ours, with the project's own tags.

    ``deletable`` is the manifest's ``deletionPolicy: delete``: it must outlive the manifest, so it stands on the thing.
    """
    marks = {TAG_PROJECT: scope.project, TAG_ENVIRONMENT: scope.environment, TAG_COMPONENT: component}
    return {**scope.tags, **marks, TAG_DELETION: "delete" if deletable else "retain"}


def marks(tags: Mapping[str, str]) -> Marks:
    """What the tags of a live thing say about whose it is."""
    return Marks(owner=owner_of(tags), component=tags.get(TAG_COMPONENT), deletable=tags.get(TAG_DELETION) == "delete")


def phrase(scope: Scope, component: str) -> str:
    """The mark for things that bear a comment but no tags."""
    return f"orchestrator {scope.owner} {component}"


def read_phrase(text: str) -> Marks:
    """The marks in a comment that ``phrase`` wrote; nobody's when it is another comment."""
    match text.split():
        case ["orchestrator", owner, component, *_] if "/" in owner:
            return Marks(owner=owner, component=component, deletable=False)
        case _:
            return Marks(owner=None, component=None, deletable=False)


def pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as most of AWS wants them: ``[{"Key": ..., "Value": ...}]``."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def mapping(items: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    """Tags as most of AWS gives them, as a mapping; AWS's own ``aws:`` tags are left out."""
    found = ((item.get("Key", item.get("key")), item.get("Value", item.get("value", ""))) for item in items or ())
    return {str(key): str(value) for key, value in found if not str(key).startswith("aws:")}
