"""Ownership marks: how we write on a thing that it is ours, and how we read it back.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from orchestrator.vocabulary import TAG_COMPONENT, TAG_DELETION_POLICY, TAG_ENVIRONMENT, TAG_PROJECT, Scope, parse_owner


class Ownership(TypedDict):
    """The members of a Live that ownership marks decide; spread into ``Live(**marks)``."""

    owner: str | None
    component: str | None
    deletable: bool


def build_ownership_tags(scope: Scope, component: str, *, deletable: bool = False) -> dict[str, str]:
    """The tags that say a thing is ours, with the project's own tags.

    ``deletable`` is the manifest's ``deletionPolicy: delete``: it must outlive the manifest, so it stands on the thing.
    """
    ownership = {TAG_PROJECT: scope.project, TAG_ENVIRONMENT: scope.environment, TAG_COMPONENT: component}
    return {**scope.tags, **ownership, TAG_DELETION_POLICY: "delete" if deletable else "retain"}


def parse_ownership(tags: Mapping[str, str]) -> Ownership:
    """What the tags of a live thing say about whose it is."""
    return Ownership(
        owner=parse_owner(tags), component=tags.get(TAG_COMPONENT), deletable=tags.get(TAG_DELETION_POLICY) == "delete"
    )


def format_ownership_comment(scope: Scope, component: str) -> str:
    """The mark for things that bear a comment but no tags."""
    return f"orchestrator {scope.owner} {component}"


def parse_ownership_comment(text: str) -> Ownership:
    """The marks in a comment that ``phrase`` wrote; nobody's when it is another comment."""
    match text.split():
        case ["orchestrator", owner, component, *_] if "/" in owner:
            return Ownership(owner=owner, component=component, deletable=False)
        case _:
            return Ownership(owner=None, component=None, deletable=False)


def to_aws_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as most of AWS wants them: ``[{"Key": ..., "Value": ...}]``."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def from_aws_tags(items: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    """Tags as most of AWS gives them, as a mapping; AWS's own ``aws:`` tags are left out."""
    tag_pairs = ((item.get("Key", item.get("key")), item.get("Value", item.get("value", ""))) for item in items or ())
    return {str(key): str(value) for key, value in tag_pairs if not str(key).startswith("aws:")}
