"""Tell what an adoption keeps, changes and loses of a resource that somebody else made.  Pure.

Settings that no manifest field describes stay as they are: a plan compares only what the manifests set.  A loss is what
AWS has and the plan removes: a setting, an item of a list, a member of an object.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from msgspec import Struct

from orchestrator import resources
from orchestrator.redaction.redact import redact
from orchestrator.vocabulary import Action, Change, FieldChange, LiveResource, Resource

MAX_VALUE_CHARACTERS = 160
_EMPTY_VALUES: tuple[Any, ...] = (None, "", [], {})


class Task(Protocol):
    """The part of a change's task that an adoption depends on."""

    @property
    def resource(self) -> Resource | None: ...

    @property
    def live(self) -> LiveResource | None: ...


class Adoption(Struct, frozen=True):
    """What becomes of one resource: names of the fields that stay, the fields that change, and what is lost."""

    address: str
    physical: str
    unchanged: tuple[str, ...]
    changed: tuple[FieldChange, ...]
    lost: tuple[str, ...]


def is_adoption(task: Task) -> bool:
    """Return whether a change takes over a resource that has no owner."""
    return task.resource is not None and task.resource.adopt and task.live is not None and task.live.owner is None


def describe(change: Change, task: Task) -> Adoption:
    """Return what becomes of the resource that a change adopts."""
    resource, live = task.resource, task.live
    if resource is None or live is None:
        raise ValueError(change.address)
    fields = tuple(field for field in change.fields if not is_mark(field))
    touched = {field.path[0] for field in fields} | {"tags"}
    overwritten = resources.overwritten_settings(resource.type, change.fields, live)
    unchanged = [name for name in live.spec if name in resource.spec and name not in touched]
    unchanged += [setting.field for setting in live.unmanaged if setting.field not in overwritten]
    unchanged += [f"tags.{key}" for key in live.spec.get("tags", {}) if key not in resource.spec.get("tags", {})]
    return Adoption(
        change.address, change.physical, tuple(dict.fromkeys(unchanged)), fields, tuple(list_losses(change, task))
    )


def list_losses(change: Change, task: Task) -> Iterator[str]:
    """Yield what a change removes from a resource, one phrase for each thing; nothing for a deletion."""
    resource, live = task.resource, task.live
    if resource is None or live is None or change.action not in {Action.UPDATE, Action.REPLACE}:
        return
    for field in change.fields:
        yield from (f"{name} {_format(value)}" for name, value in find_lost_values(field))
    overwritten = resources.overwritten_settings(resource.type, change.fields, live)
    yield from (f"{item.field} {_format(item.live)}" for item in live.unmanaged if item.field in overwritten)
    yield from resources.adoption_losses(resource.type, resource.spec, live)


def find_lost_values(field: FieldChange) -> Iterator[tuple[str, Any]]:
    """Yield what a field has in AWS and loses, each with its path: the value itself, items or members of it.

    An item that gets more members is not lost.
    """
    return _find_lost(field.path, field.before, field.after)


def is_mark(field: FieldChange) -> bool:
    """Return whether a field is one of the tags that say whose a resource is."""
    return field.path[0] == "tags" and field.path[-1].startswith("orchestrator:")


def _find_lost(path: tuple[str, ...], before: Any, after: Any) -> Iterator[tuple[str, Any]]:
    if before in _EMPTY_VALUES:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key, value in before.items():
            yield from _find_lost((*path, str(key)), value, after.get(key))
    elif isinstance(before, list):
        remaining = after if isinstance(after, list) else []
        yield from ((".".join(path), item) for item in before if not any(_covers(other, item) for other in remaining))
    elif after in _EMPTY_VALUES:
        yield ".".join(path), before


def _covers(after: Any, before: Any) -> bool:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return all(key in after and _covers(after[key], value) for key, value in before.items())
    return bool(before == after)


def _format(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = str(redact(text))
    return text if len(text) <= MAX_VALUE_CHARACTERS else f"{text[: MAX_VALUE_CHARACTERS - 1]}…"
