"""List the differences between the current plan and the reviewed plan.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.problems import Problem, Problems
from orchestrator.redaction.redact import redact, sanitise
from orchestrator.render.field_values import format_value, shorten
from orchestrator.vocabulary import Change, Plan

_MAX_DIFFERENCES = 20


def raise_if_stale(current: Plan, *, reviewed: Plan | None = None, reviewed_digest: str = "") -> None:
    """Raise Problems if ``current`` differs from what was reviewed: a plan, or only its digest."""
    reviewed_digests = {digest for digest in (reviewed_digest, reviewed.digest if reviewed else "") if digest}
    if reviewed_digests <= {current.digest}:
        return
    hint = "review the current plan, then apply it"
    summary = (
        f"the plan is stale: reviewed digest {' and '.join(sorted(map(sanitise, reviewed_digests)))}, "
        f"current digest {current.digest}"
    )
    problems = [Problem(summary, hint=hint)]
    if reviewed is not None:
        differences = list(list_differences(reviewed, current))
        problems += [Problem(f"the plan is stale: {difference}") for difference in differences[:_MAX_DIFFERENCES]]
    raise Problems(problems)


def list_differences(reviewed: Plan, current: Plan) -> Iterator[str]:
    """Yield one sentence per relevant difference, in the order of the current plan."""
    for attribute in ("project", "environment", "account", "region"):
        reviewed_value, current_value = getattr(reviewed, attribute), getattr(current, attribute)
        if reviewed_value != current_value:
            yield f"{attribute} was {sanitise(reviewed_value)}, is now {sanitise(current_value)}"
    reviewed_changes = {change.address: change for change in reviewed.pending_changes}
    current_changes = {change.address: change for change in current.pending_changes}
    for address, change in current_changes.items():
        if address not in reviewed_changes:
            yield f"{sanitise(address)}: {change.action} was not in the reviewed plan{_format_fields(change)}"
        else:
            yield from _compare_changes(reviewed_changes[address], change)
    for address, change in reviewed_changes.items():
        if address not in current_changes:
            yield f"{sanitise(address)}: {change.action} is no longer needed{_format_fields(change)}"


def _format_fields(change: Change) -> str:
    names = [".".join(field.path) for field in change.fields]
    return f" ({sanitise(shorten(', '.join(names), 200))})" if names else ""


def _compare_changes(reviewed_change: Change, current_change: Change) -> Iterator[str]:
    address = sanitise(current_change.address)
    if reviewed_change.action is not current_change.action:
        yield f"{address}: the action was {reviewed_change.action}, is now {current_change.action}"
    if reviewed_change.physical != current_change.physical:
        old_name, new_name = sanitise(reviewed_change.physical), sanitise(current_change.physical)
        yield f"{address}: the name was {old_name}, is now {new_name}"
    reviewed_fields = {field.path: field for field in reviewed_change.fields}
    current_fields = {field.path: field for field in current_change.fields}
    for path in dict.fromkeys([*current_fields, *reviewed_fields]):
        reviewed_field, current_field = reviewed_fields.get(path), current_fields.get(path)
        field_name = sanitise(".".join(path))
        if reviewed_field is None and current_field is not None:
            yield (
                f"{address}: {field_name} is now {_format_value(path, current_field.before)} "
                "in AWS; the reviewed plan did not change it"
            )
        elif current_field is None:
            yield f"{address}: {field_name} no longer needs a change"
        elif reviewed_field is not None and reviewed_field.before != current_field.before:
            yield (
                f"{address}: {field_name} was {_format_value(path, reviewed_field.before)} "
                f"in AWS, is now {_format_value(path, current_field.before)}"
            )
        elif reviewed_field is not None and reviewed_field.after != current_field.after:
            yield (
                f"{address}: the new value of {field_name} was {_format_value(path, reviewed_field.after)}, "
                f"is now {_format_value(path, current_field.after)}"
            )
    if (
        reviewed_change.fields == current_change.fields
        and reviewed_change.action is current_change.action
        and reviewed_change.steps != current_change.steps
    ):
        yield f"{address}: the API calls differ"


def _format_value(path: tuple[str, ...], value: object) -> str:
    return "absent" if value is None else shorten(format_value(redact(value, path[-1] if path else "")))
