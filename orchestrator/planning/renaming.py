"""Tell a renamed component from a removed one and a new one.  Pure.

The resources of a renamed component keep their names in AWS; only the marks that name the component change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from orchestrator.vocabulary import Action, Change, Component, FieldChange, LiveResource, Plan, Resource


class Task(Protocol):
    """The part of a change's task that a renaming depends on."""

    @property
    def resource(self) -> Resource | None: ...

    @property
    def live(self) -> LiveResource | None: ...


def find_other_changes(plan: Plan, components: Iterable[Component], tasks: Mapping[str, Task]) -> dict[str, list[str]]:
    """Return what a plan changes besides the marks of components whose renaming is still to be applied, by handle."""
    others: dict[str, list[str]] = {}
    for component in (item for item in components if item.renamed_from):
        changes = [change for change in plan.changes if change.component == component.handle]
        if any(_has_former_mark(tasks[change.address], component) for change in changes):
            texts = [text for change in changes for text in _list_other_changes(change, component)]
            others |= {component.handle: texts} if texts else {}
    return others


def is_former_mark(field: FieldChange, former: str, handle: str) -> bool:
    """Return whether a field differs only in the component's handle: a tag, a comment, or part of a description."""
    are_texts = isinstance(field.before, str) and isinstance(field.after, str)
    return are_texts and field.before != field.after and field.before.replace(former, handle) == field.after


def suggest_renames(changes: Iterable[Change]) -> Iterator[str]:
    """Yield a note for each deleted component of whose kind another one is created: it may only have another name."""
    actions: dict[str, set[Action]] = {}
    for change in changes:
        actions.setdefault(change.component, set()).add(change.action)
    deleted = sorted(handle for handle, kinds in actions.items() if handle and kinds == {Action.DELETE})
    created = sorted(handle for handle, kinds in actions.items() if handle and kinds == {Action.CREATE})
    for former in deleted:
        kind, _, name = former.partition(".")
        for handle in (item for item in created if item.partition(".")[0] == kind):
            yield (
                f"{handle} is new, and {former} is deleted. If you renamed the component, set `metadata.renamedFrom: "
                f"{name}` on {handle} to keep its resources."
            )


def _has_former_mark(task: Task, component: Component) -> bool:
    return task.live is not None and task.live.component == component.aws_handle


def _list_other_changes(change: Change, component: Component) -> Iterator[str]:
    if change.action in {Action.CREATE, Action.DELETE, Action.REPLACE}:
        yield f"{change.address} ({change.action.value})"
    elif fields := _list_other_fields(change.fields, component):
        yield f"{change.address} ({', '.join(fields)})"


def _list_other_fields(fields: tuple[FieldChange, ...], component: Component) -> list[Any]:
    marks = component.aws_handle, component.handle
    return [".".join(field.path) for field in fields if not is_former_mark(field, *marks)]
