"""Desired and snapshot become a Plan: what will change, in which order, by which calls.  Pure: no I/O.

The plan shows final values wherever they can be known: a reference is resolved from live outputs, or from what the
referred resource's own recording leaves.  What AWS alone can tell is shown as the reference itself.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import canonical_json, resources
from orchestrator.planning import guards, waivers
from orchestrator.planning.diff import diff
from orchestrator.planning.snapshot import Snapshot
from orchestrator.problems import Problem, Problems
from orchestrator.steps import Outputs, Recording, Steps, planned, record
from orchestrator.values import Ref, Unknown, Value, references, resolve
from orchestrator.vocabulary import (
    Action,
    Change,
    Desired,
    FieldChange,
    Found,
    Live,
    Plan,
    Resource,
    Scope,
    Unread,
    Waived,
    Waiver,
)


class Task(Struct, frozen=True):
    """What applying one change needs beyond the plan: the desired resource (None: delete) and the live one.

    ``waived`` are differences that stay as they are.
    """

    resource: Resource | None
    live: Live | None
    found: Found | None = None
    waived: tuple[Waived, ...] = ()


class Planned(Struct, frozen=True):
    """A plan with what it takes to carry it out; the plan alone is what is shown, stored and compared."""

    plan: Plan
    scope: Scope
    tasks: Mapping[str, Task]
    live: Mapping[str, Live]


class UnreadableError(LookupError):
    """A reference leads to a resource that could not be read."""


def build(
    desired: Desired,
    snapshot: Snapshot,
    *,
    targets: frozenset[str] = frozenset(),
    allow: str = "",
    destroying: bool = False,
    configured_region: str | None = None,
    today: str = "",
) -> Planned:
    """Compare and order.  ``targets``: addresses or component handles to keep, with what they need.

    ``allow``: the token of this very plan, which lifts the vetoes that say so.  ``today`` (YEAR-MONTH-DAY) tells which
    waivers are past; without it none is.
    """
    draft = _Draft(desired.scope, snapshot, desired.waivers, today)
    for resource in desired.resources:
        draft.add(resource)
    for address, (found, live) in snapshot.strays.items():
        draft.remove(address, found, live)
    unread = {**snapshot.unread, **draft.unread}
    refuse_unknown(targets, draft.changes, unread)
    changes = tuple(_ordered(_with_delete_order(draft.changes), targets))
    plan = Plan(
        project=desired.scope.project,
        environment=desired.scope.environment,
        account=snapshot.account,
        region=desired.scope.region,
        changes=changes,
        unread=tuple(unread[address] for address in sorted(unread)),
        notes=(*desired.notes, *waivers.notes(draft.waived, desired.waivers, today)),
        waived=tuple(draft.waived),
    )
    plan = replace(plan, digest=digest(plan))
    plan = replace(plan, token=token(plan))
    context = guards.Context(desired, snapshot, draft.tasks, destroying, configured_region)
    plan = guards.check(plan, context, allowed=bool(allow) and allow == plan.token)
    return Planned(plan, desired.scope, draft.tasks, snapshot.live)


def digest(plan: Plan) -> str:
    """What the plan will do, as one hash: no times, no notes, nothing of what stays as it is."""
    identity = (plan.project, plan.environment, plan.account, plan.region)
    deeds = [(change.address, change.action, change.physical, change.fields, change.steps) for change in plan.pending]
    return canonical_json.digest((identity, deeds))


def token(plan: Plan) -> str:
    """The word that lets a destructive plan through; it fits this plan and no other."""
    return hashlib.sha256(f"allow {plan.digest}".encode()).hexdigest()[:8]


class _Draft:
    """Collects the changes of one plan while it walks the desired resources in dependency order."""

    def __init__(self, scope: Scope, snapshot: Snapshot, let_be: tuple[Waiver, ...], today: str) -> None:
        self._scope = scope
        self._snapshot = snapshot
        self._waivers = let_be
        self._today = today
        self.waived: list[Waived] = []
        self._outputs: dict[str, Outputs] = {}
        self.changes: list[Change] = []
        self.tasks: dict[str, Task] = {}
        self.unread: dict[str, Unread] = {}

    def add(self, resource: Resource) -> None:
        address = resource.address
        if address in self._snapshot.unread:
            return
        live = self._snapshot.live.get(address)
        try:
            change, outputs = self._compare(resource, live)
        except UnreadableError as error:
            self.unread[address] = Unread(address, f"it refers to {error}, which could not be read")
            return
        self._outputs[address] = outputs
        self.changes.append(change)
        told = tuple(one for one in self.waived if one.address == address)
        self.tasks[address] = Task(resource, live, waived=told)

    def remove(self, address: str, found: Found, live: Live) -> None:
        module = resources.load(found.type)
        recording = record(address, module.delete(self._scope, found.physical, live))
        self.tasks[address] = Task(None, live, found)
        self.changes.append(
            Change(
                address,
                Action.DELETE,
                found.physical,
                live.component or "",
                steps=tuple(map(planned, recording.steps)),
                effects=resources.losses(found.type, live),
                stateful=module.STATEFUL,
                health=live.health,
                status=live.status,
            )
        )

    def lookup(self, ref: Ref) -> Value:
        if ref.address not in self._outputs:
            raise UnreadableError(ref.address)
        value = self._outputs[ref.address].get(ref.output, Unknown(ref.output))
        return Unknown(f"{ref.address}.{ref.output}") if isinstance(value, Unknown) else value

    def _compare(self, resource: Resource, live: Live | None) -> tuple[Change, Outputs]:
        module = resources.load(resource.type)
        spec = module.normalise(resolve(resource.spec, self.lookup))
        fields = diff(spec, live.spec if live else {})
        if live and self._waivers and fields:
            told = waivers.waived(resource.address, fields, self._waivers, self._today)
            self.waived += told
            spec = waivers.leave(spec, live.spec, told)
            fields = diff(spec, live.spec)
        action = decide(resource.type, live, fields)
        recording = record(resource.address, steps(self._scope, resource, spec, live, action, fields))
        change = Change(
            resource.address,
            action,
            resource.physical,
            resource.component,
            fields=fields,
            steps=tuple(map(planned, recording.steps)),
            depends_on=tuple(sorted(dependencies(resource))),
            effects=resources.effects(resource.type, fields, live) if live and fields else (),
            where=resource.where,
            health=live.health if live else Live({}).health,
            status=live.status if live else "",
            stateful=module.STATEFUL,
        )
        return change, _left_outputs(live, action, recording)


def decide(resource_type: str, live: Live | None, fields: tuple[FieldChange, ...]) -> Action:
    """What kind of change it takes."""
    if live is None:
        return Action.CREATE
    if not fields:
        return Action.NONE
    immutable = resources.load(resource_type).IMMUTABLE
    return Action.REPLACE if any(field.path[0] in immutable for field in fields) else Action.UPDATE


def steps(
    scope: Scope,
    resource: Resource,
    spec: Mapping[str, Value],
    live: Live | None,
    action: Action,
    fields: tuple[FieldChange, ...],
) -> Steps:
    """The generator that carries a change of one desired resource out."""
    module = resources.load(resource.type)
    if live is None:
        return module.create(scope, resource.physical, spec)
    changed = frozenset(field.path[0] for field in fields)
    if action is Action.REPLACE:
        return resources.replace(resource.type, scope, resource.physical, spec, live, changed)
    if action is Action.UPDATE:
        return module.update(scope, resource.physical, spec, live, changed)
    return _nothing()


def _nothing() -> Steps:
    yield from ()
    return {}


def _left_outputs(live: Live | None, action: Action, recording: Recording) -> Outputs:
    if live is None or action is Action.REPLACE:
        return recording.outputs
    return {**live.outputs, **recording.outputs}


def dependencies(resource: Resource) -> frozenset[str]:
    """Addresses a resource must come after."""
    return resource.after | {ref.address for ref in references(dict(resource.spec))}


def _with_delete_order(changes: list[Change]) -> list[Change]:
    """Deletions come after whatever uses them, changed or deleted, has let go, and what takes their place is there."""
    users: dict[str, set[str]] = {}
    for name in resources.types():
        for used in resources.load(name).USES:
            users.setdefault(used, set()).add(name)
    return [
        replace(change, depends_on=tuple(sorted(_lets_go(change, changes, users))))
        if change.action is Action.DELETE
        else change
        for change in changes
    ]


def _lets_go(change: Change, changes: list[Change], users: Mapping[str, set[str]]) -> Iterator[str]:
    using = users.get(kind(change), set())
    for other in changes:
        stays = other.action is not Action.DELETE
        follows = stays and (kind(other) == kind(change) or kind(change) in resources.takes_over(kind(other)))
        if other.action is not Action.NONE and (kind(other) in using or follows):
            yield other.address


def refuse_unknown(targets: frozenset[str], changes: Iterable[Change], unread: Iterable[str]) -> None:
    """Raise Problems for targets that there are not: a slip of the finger must not plan nothing."""
    known = {name for change in changes for name in (change.address, change.component)} | set(unread)
    problems = []
    for target in sorted(targets - known):
        close = difflib.get_close_matches(target, known, 1)
        hint = f"did you mean {close[0]}?" if close else None
        problems.append(Problem(f"there is no resource or component {target}", hint=hint))
    if problems:
        raise Problems(problems)


def kind(change: Change) -> str:
    """The resource type of a change."""
    return change.address.partition(".")[0]


def _ordered(changes: list[Change], targets: frozenset[str]) -> Iterator[Change]:
    """The targeted changes with all they need, in the order they were drafted (dependencies first)."""
    if not targets:
        yield from changes
        return
    wanted = {change.address for change in changes if change.address in targets or change.component in targets}
    for change in reversed(changes):
        if change.address in wanted:
            wanted.update(change.depends_on)
    yield from (change for change in changes if change.address in wanted)
