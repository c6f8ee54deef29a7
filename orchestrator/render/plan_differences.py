"""Why a plan made now is not the plan that was reviewed: which change or field moved.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.problems import Problem, Problems
from orchestrator.redaction.redact import redact, safe
from orchestrator.render.field_values import shorten, show
from orchestrator.vocabulary import Change, Plan

_LONGEST_LIST = 20


def refuse(fresh: Plan, *, reviewed: Plan | None = None, expected: str = "") -> None:
    """Raise Problems unless ``fresh`` does what was reviewed (a plan, or only its digest)."""
    wanted = {digest for digest in (expected, reviewed.digest if reviewed else "") if digest}
    if wanted <= {fresh.digest}:
        return
    hint = "look at the plan made now, and apply that"
    lead = f"the plan is stale: {' and '.join(sorted(map(safe, wanted)))} was reviewed, {fresh.digest} is due now"
    problems = [Problem(lead, hint=hint)]
    if reviewed is not None:
        moves = list(moved(reviewed, fresh))
        problems += [Problem(f"the plan is stale: {move}") for move in moves[:_LONGEST_LIST]]
    raise Problems(problems)


def moved(reviewed: Plan, fresh: Plan) -> Iterator[str]:
    """One sentence for each difference that counts, in the order of the fresh plan."""
    for what in ("project", "environment", "account", "region"):
        then, now = getattr(reviewed, what), getattr(fresh, what)
        if then != now:
            yield f"{what} was {safe(then)}, is {safe(now)}"
    old = {change.address: change for change in reviewed.pending}
    new = {change.address: change for change in fresh.pending}
    for address, change in new.items():
        if address not in old:
            yield f"{safe(address)}: {change.action} was not in the reviewed plan{_fields(change)}"
        else:
            yield from _differences(old[address], change)
    for address, change in old.items():
        if address not in new:
            yield f"{safe(address)}: {change.action} is no longer needed{_fields(change)}"


def _fields(change: Change) -> str:
    names = [".".join(field.path) for field in change.fields]
    return f" ({safe(shorten(', '.join(names), 200))})" if names else ""


def _differences(then: Change, now: Change) -> Iterator[str]:
    address = safe(now.address)
    if then.action is not now.action:
        yield f"{address}: the action was {then.action}, is {now.action}"
    if then.physical != now.physical:
        yield f"{address}: the name was {safe(then.physical)}, is {safe(now.physical)}"
    old = {field.path: field for field in then.fields}
    new = {field.path: field for field in now.fields}
    for path in dict.fromkeys([*new, *old]):
        was, is_ = old.get(path), new.get(path)
        name = safe(".".join(path))
        if was is None and is_ is not None:
            yield f"{address}: {name} is {_value(path, is_.before)} in AWS now; the reviewed plan did not change it"
        elif is_ is None:
            yield f"{address}: {name} needs no change any more"
        elif was is not None and was.before != is_.before:
            yield f"{address}: {name} was {_value(path, was.before)} in AWS, is {_value(path, is_.before)}"
        elif was is not None and was.after != is_.after:
            yield f"{address}: {name} was to become {_value(path, was.after)}, now {_value(path, is_.after)}"
    if then.fields == now.fields and then.action is now.action and then.steps != now.steps:
        yield f"{address}: the API calls differ"


def _value(path: tuple[str, ...], value: object) -> str:
    return "not there" if value is None else shorten(show(redact(value, path[-1] if path else "")))
