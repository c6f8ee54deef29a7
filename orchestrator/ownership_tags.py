"""Write and read ownership tags and comments, which say which environment a live resource belongs to.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from orchestrator.vocabulary import (
    TAG_COMPONENT,
    TAG_DELETION_POLICY,
    TAG_ENVIRONMENT,
    TAG_PROJECT,
    TAG_USED_BY_PREFIX,
    Scope,
    parse_owner,
)


class Ownership(TypedDict):
    """The fields of a LiveResource that come from its ownership tags; use as ``LiveResource(**ownership)``."""

    owner: str | None
    component: str | None
    deletable: bool


def build_ownership_tags(scope: Scope, component: str, *, deletable: bool = False) -> dict[str, str]:
    """Return the ownership tags of a resource, together with the project's own tags.

    ``deletable`` is the manifest's ``deletionPolicy: delete``.  It is stored as a tag because it must outlive the
    manifest.
    """
    ownership = {TAG_PROJECT: scope.project, TAG_ENVIRONMENT: scope.environment, TAG_COMPONENT: component}
    return {**scope.tags, **ownership, TAG_DELETION_POLICY: "delete" if deletable else "retain"}


def parse_ownership(tags: Mapping[str, str]) -> Ownership:
    """Return the ownership that the tags of a live resource state."""
    return Ownership(
        owner=parse_owner(tags), component=tags.get(TAG_COMPONENT), deletable=tags.get(TAG_DELETION_POLICY) == "delete"
    )


def build_usage_tag(scope: Scope) -> str:
    """Return the key of the tag that marks a shared resource as used by an environment that does not own it."""
    return f"{TAG_USED_BY_PREFIX}{scope.owner}"


def list_owners(tags: Mapping[str, str]) -> tuple[str, ...]:
    """Return every environment that the tags of a shared resource name, sorted: its owner, and those that use it."""
    users = {key.removeprefix(TAG_USED_BY_PREFIX) for key in tags if key.startswith(TAG_USED_BY_PREFIX)}
    return tuple(sorted(users | {owner for owner in (parse_owner(tags),) if owner}))


def format_ownership_comment(scope: Scope, component: str) -> str:
    """Return the ownership comment of a resource that supports a comment but no tags."""
    return f"orchestrator {scope.owner} {component}"


def parse_ownership_comment(text: str) -> Ownership:
    """Return the ownership in a comment from ``format_ownership_comment``; no owner for any other comment."""
    match text.split():
        case ["orchestrator", owner, component, *_] if "/" in owner:
            return Ownership(owner=owner, component=component, deletable=False)
        case _:
            return Ownership(owner=None, component=None, deletable=False)


def to_aws_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags in the form of most AWS APIs: ``[{"Key": ..., "Value": ...}]``."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def from_aws_tags(items: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    """Return tags in the form of most AWS APIs as a mapping, without AWS's own ``aws:`` tags."""
    tag_pairs = ((item.get("Key", item.get("key")), item.get("Value", item.get("value", ""))) for item in items or ())
    return {str(key): str(value) for key, value in tag_pairs if not str(key).startswith("aws:")}
