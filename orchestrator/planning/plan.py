"""Build a plan from the desired state and a snapshot: what changes, in which order, with which calls.  Pure: no I/O.

The plan shows final values wherever possible: a reference is resolved from live outputs, or from the traced steps of
the referenced resource.  A value that is known only after apply is shown as the reference itself.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator import canonical_json, resources
from orchestrator.cost import account_offers, declared_usage
from orchestrator.cost.declared_usage import UsageByComponent
from orchestrator.planning import guards, renaming, retention, waivers
from orchestrator.planning.diff import diff
from orchestrator.planning.snapshot import Snapshot
from orchestrator.problems import Problem, Problems
from orchestrator.redaction.redact import redact
from orchestrator.steps import Outputs, Steps, StepTrace, to_planned_step, trace_steps
from orchestrator.values import Ref, Unknown, Value, iter_references, resolve
from orchestrator.vocabulary import (
    Action,
    Change,
    DesiredState,
    DiscoveredResource,
    FieldChange,
    Health,
    LiveResource,
    Plan,
    Resource,
    Scope,
    UnmanagedChange,
    Unread,
    Waived,
    Waiver,
)

_BILLED_TYPE, _FREE_TYPE = "rds_instance", "apprunner_autoscaling"
"""A database is billed from its creation; App Runner, closed to new customers, tells only when something is created."""
TOKEN_DIGITS = 32
"""Hexadecimal digits of a plan's token, 128 bits: nobody can search for two plans with the same token."""
TECHNICAL_TAG_PREFIXES = ("orchestrator:", "aws:", "AmazonECS", "awsApplication")
"""Prefixes of tags that the orchestrator and AWS write."""


class Task(Struct, frozen=True):
    """What apply needs for one change beyond the plan: the desired resource (None: delete) and the live one.

    ``waived`` are differences that waivers ignore.
    """

    resource: Resource | None
    live: LiveResource | None
    discovered: DiscoveredResource | None = None
    waived: tuple[Waived, ...] = ()


class PreparedPlan(Struct, frozen=True):
    """A plan with what apply needs; only the plan itself is shown, stored and compared.

    ``retained`` are the addresses of undeclared resources that are not deleted; ``usage`` is the declared use.
    ``account_created`` is the day on which the account was created, if the Project states it.
    """

    plan: Plan
    scope: Scope
    tasks: Mapping[str, Task]
    live: Mapping[str, LiveResource]
    retained: tuple[str, ...] = ()
    usage: UsageByComponent = field(default_factory=dict)
    account_created: date | None = None


class UnreadableReferenceError(LookupError):
    """A reference to a resource that could not be read."""


def build(
    desired: DesiredState,
    snapshot: Snapshot,
    *,
    targets: frozenset[str] = frozenset(),
    allow: str = "",
    destroying: bool = False,
    configured_region: str | None = None,
    today: str = "",
) -> PreparedPlan:
    """Build the plan.  ``targets``: addresses or component handles to include, with their dependencies.

    ``allow``: the plan's own token, which lifts some vetoes.  ``today`` (YYYY-MM-DD) decides which waivers have
    expired; without it none has.  Raises Problems if a target is unknown.
    """
    builder = _PlanBuilder(desired.scope, snapshot, desired.waivers, today)
    for resource in desired.resources:
        if resource.address in desired.unchanged:
            builder.add_unchanged(resource)
        else:
            builder.add_resource(resource)
    orphan_retention = retention.choose_retention(desired, snapshot, destroying=destroying)
    for address, (discovered, live) in snapshot.orphans.items():
        if address not in orphan_retention:
            builder.add_deletion(address, discovered, live)
    unread = {**snapshot.unread, **builder.unread}
    validate_targets(targets, builder.changes, unread)
    changes = _delay_billed(_select_targets(_order_deletions(builder.changes), targets))
    plan = Plan(
        project=desired.scope.project,
        environment=desired.scope.environment,
        account=snapshot.account,
        region=desired.scope.region,
        changes=changes,
        unread=tuple(_redact_reason(unread[address]) for address in sorted(unread)),
        notes=(*orphan_retention.describe(snapshot.orphans), *desired.notes, *builder.describe_notes()),
        waived=tuple(builder.waived),
    )
    plan = replace(plan, digest=compute_digest(plan))
    plan = replace(plan, token=compute_token(plan))
    day = date.fromisoformat(today) if today else None
    context = guards.GuardContext(desired, snapshot, builder.tasks, destroying, configured_region, day)
    plan = guards.check(plan, context, has_valid_token=bool(allow) and allow == plan.token)
    usage, created = declared_usage.collect(desired.components), account_offers.find_created(desired.components)
    return PreparedPlan(plan, desired.scope, builder.tasks, snapshot.live, orphan_retention.retained, usage, created)


def describe_undeclared_tags(tasks: Mapping[str, Task]) -> tuple[str, ...]:
    """Return a note with the tags that no manifest declares: somebody else's, or removed from a manifest."""
    by_address: dict[str, list[str]] = {}
    for address, task in tasks.items():
        declared = task.resource.spec.get("tags") if task.resource else None
        live_tags = task.live.spec.get("tags") if task.live else None
        if isinstance(declared, Mapping) and isinstance(live_tags, Mapping):
            undeclared = [key for key in live_tags if key not in declared and not _is_technical_tag(str(key))]
            by_address |= {address: sorted(undeclared)} if undeclared else {}
    if not by_address:
        return ()
    names = "; ".join(f"{address} ({', '.join(keys)})" for address, keys in sorted(by_address.items()))
    return (
        f"Tags that no manifest declares are not changed: {names}. To remove them, use Tag Editor in the AWS console.",
    )


def _is_technical_tag(key: str) -> bool:
    return key == "Name" or key.startswith(TECHNICAL_TAG_PREFIXES)


def _redact_reason(item: Unread) -> Unread:
    """Return ``item`` without secrets in the error of AWS: the plan is uploaded and recorded as it is."""
    return replace(item, reason=str(redact(item.reason)))


def compute_digest(plan: Plan) -> str:
    """Return a hash of what the plan will do: no times, no notes, nothing about unchanged resources."""
    identity = (plan.project, plan.environment, plan.account, plan.region)
    changes = [
        (change.address, change.action, change.physical, change.fields, change.steps) for change in plan.pending_changes
    ]
    return canonical_json.digest((identity, changes))


def compute_token(plan: Plan) -> str:
    """Return the token that allows a destructive plan; it is valid only for this plan."""
    return hashlib.sha256(f"allow {plan.digest}".encode()).hexdigest()[:TOKEN_DIGITS]


def _delay_billed(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return the changes, in which a new database waits for the parts of App Runner that are free.

    If AWS refuses those, the service cannot be created, and nothing has been billed yet.
    """
    selected = tuple(changes)
    free = {item.address for item in selected if item.action is Action.CREATE and _is_type(item, _FREE_TYPE)}
    return tuple(
        replace(item, depends_on=tuple(sorted({*item.depends_on, *free})))
        if item.action is Action.CREATE and _is_type(item, _BILLED_TYPE)
        else item
        for item in selected
    )


def _is_type(change: Change, resource_type: str) -> bool:
    return change.address.partition(".")[0] == resource_type


class _PlanBuilder:
    """Collects the changes of one plan; desired resources are added in dependency order."""

    def __init__(self, scope: Scope, snapshot: Snapshot, active_waivers: tuple[Waiver, ...], today: str) -> None:
        self._scope = scope
        self._snapshot = snapshot
        self._waivers = active_waivers
        self._today = today
        self.waived: list[Waived] = []
        self._outputs: dict[str, Outputs] = {}
        self.changes: list[Change] = []
        self.tasks: dict[str, Task] = {}
        self.unread: dict[str, Unread] = {}

    def add_resource(self, resource: Resource) -> None:
        address = resource.address
        if address in self._snapshot.unread:
            return
        live = self._snapshot.live.get(address)
        try:
            change, outputs = self._build_change(resource, live)
        except UnreadableReferenceError as error:
            self.unread[address] = Unread(address, f"references {error}, which could not be read")
            return
        self._outputs[address] = outputs
        self.changes.append(change)
        waived = tuple(item for item in self.waived if item.address == address)
        self.tasks[address] = Task(resource, live, waived=waived)

    def add_unchanged(self, resource: Resource) -> None:
        """Add a declared resource as it is in AWS; nothing if it is not there."""
        live = self._snapshot.live.get(resource.address)
        if live is None:
            return
        self._outputs[resource.address] = live.outputs
        self.tasks[resource.address] = Task(replace(resource, spec=live.spec), live)
        change = Change(resource.address, Action.NONE, resource.physical, resource.component, where=resource.where)
        self.changes.append(replace(change, health=live.health, status=live.status))

    def describe_notes(self) -> tuple[str, ...]:
        """Return the notes about new names, waivers and live resources, and about tags that no manifest declares."""
        waiver_notes = waivers.describe_waivers(self.waived, self._waivers, self._today)
        resource_notes = [
            note
            for task in self.tasks.values()
            if task.resource is not None and task.live is not None
            for note in resources.notes(task.resource.type, task.resource.spec, task.live, self._today)
        ]
        rename_notes = renaming.suggest_renames(self.changes)
        return (*rename_notes, *waiver_notes, *resource_notes, *describe_undeclared_tags(self.tasks))

    def add_deletion(self, address: str, discovered: DiscoveredResource, live: LiveResource) -> None:
        module = resources.load(discovered.type)
        step_trace = trace_steps(address, module.delete(self._scope, discovered.physical, live))
        self.tasks[address] = Task(None, live, discovered)
        self.changes.append(
            Change(
                address,
                Action.DELETE,
                discovered.physical,
                live.component or "",
                steps=tuple(map(to_planned_step, step_trace.steps)),
                effects=resources.deletion_effects(discovered.type, live),
                stateful=module.STATEFUL,
                health=live.health,
                status=live.status,
                pending=live.pending,
            )
        )

    def resolve_ref(self, ref: Ref) -> Value:
        if ref.address not in self._outputs:
            raise UnreadableReferenceError(ref.address)
        value = self._outputs[ref.address].get(ref.output, Unknown(ref.output))
        return Unknown(f"{ref.address}.{ref.output}") if isinstance(value, Unknown) else value

    def _build_change(self, resource: Resource, live: LiveResource | None) -> tuple[Change, Outputs]:
        module = resources.load(resource.type)
        spec = module.normalise(resolve(resource.spec, self.resolve_ref))
        fields = diff(spec, live.spec if live else {})
        if live and self._waivers and fields:
            waived = waivers.match_waivers(resource.address, fields, self._waivers, self._today)
            self.waived += waived
            spec = waivers.apply_waivers(spec, live.spec, waived)
            fields = diff(spec, live.spec)
        unmanaged = self._unwaived_settings(resource.address, live) if live else ()
        action = decide_action(resource.type, live, fields)
        step_trace = trace_steps(resource.address, build_steps(self._scope, resource, spec, live, action, fields))
        change = Change(
            resource.address,
            action,
            resource.physical,
            resource.component,
            fields=fields,
            steps=tuple(map(to_planned_step, step_trace.steps)),
            depends_on=tuple(sorted(collect_dependencies(resource))),
            effects=_list_effects(resource.type, fields, live) if live and fields else (),
            where=resource.where,
            health=live.health if live else LiveResource({}).health,
            status=_describe_status(resource.type, action, live) if live else "",
            stateful=module.STATEFUL,
            pending=live.pending if live else (),
            unmanaged=unmanaged,
            unwatched=live.unwatched if live else (),
        )
        return change, _merge_outputs(live, action, step_trace)

    def _unwaived_settings(self, address: str, live: LiveResource) -> tuple[UnmanagedChange, ...]:
        """Return what somebody else has set on the resource, without what a waiver ignores; note what it ignores."""
        kept = []
        for setting in live.unmanaged:
            difference = FieldChange((setting.field,), setting.live, setting.expected)
            waived = waivers.match_waivers(address, [difference], self._waivers, self._today)
            self.waived += waived
            kept += [] if any(not item.past for item in waived) else [setting]
        return tuple(kept)


def _list_effects(resource_type: str, fields: tuple[FieldChange, ...], live: LiveResource) -> tuple[str, ...]:
    overwritten = sorted(resources.overwritten_settings(resource_type, fields, live))
    removal = (
        (f"Removes settings that were made outside the manifests: {', '.join(overwritten)}.",) if overwritten else ()
    )
    return (*resources.update_effects(resource_type, fields, live), *removal)


def _describe_status(resource_type: str, action: Action, live: LiveResource) -> str:
    """Return the status in AWS's words, with what to do about it if the resource is not well and the plan does not."""
    is_left = action is Action.NONE and live.health is Health.FAILED
    hint = resources.unhealthy_hint(resource_type, live) if is_left else ""
    return f"{live.status}. {hint}" if hint else live.status


def decide_action(resource_type: str, live: LiveResource | None, fields: tuple[FieldChange, ...]) -> Action:
    """Return the action that the changed fields require."""
    if live is None:
        return Action.CREATE
    if not fields:
        return Action.NONE
    immutable = resources.load(resource_type).IMMUTABLE
    return Action.REPLACE if any(field.path[0] in immutable for field in fields) else Action.UPDATE


def build_steps(
    scope: Scope,
    resource: Resource,
    spec: Mapping[str, Value],
    live: LiveResource | None,
    action: Action,
    fields: tuple[FieldChange, ...],
) -> Steps:
    """Return the steps of the change of one desired resource."""
    module = resources.load(resource.type)
    if live is None:
        return module.create(scope, resource.physical, spec)
    changed = frozenset(field.path[0] for field in fields)
    if action is Action.REPLACE:
        return resources.replace(resource.type, scope, resource.physical, spec, live, changed)
    if action is Action.UPDATE:
        return module.update(scope, resource.physical, spec, live, changed)
    return _no_steps()


def _no_steps() -> Steps:
    yield from ()
    return {}


def _merge_outputs(live: LiveResource | None, action: Action, step_trace: StepTrace) -> Outputs:
    if live is None or action is Action.REPLACE:
        return step_trace.outputs
    return {**live.outputs, **step_trace.outputs}


def collect_dependencies(resource: Resource) -> frozenset[str]:
    """Return the addresses that a resource depends on."""
    return resource.depends_on | {ref.address for ref in iter_references(dict(resource.spec))}


def _order_deletions(changes: list[Change]) -> list[Change]:
    """Make deletions depend on the changes of everything that uses the resource, and of its successors."""
    users_by_type: dict[str, set[str]] = {}
    for name in resources.list_types():
        for used_type in resources.load(name).USES:
            users_by_type.setdefault(used_type, set()).add(name)
    return [
        replace(change, depends_on=tuple(sorted(_iter_deletion_dependencies(change, changes, users_by_type))))
        if change.action is Action.DELETE
        else change
        for change in changes
    ]


def _iter_deletion_dependencies(
    change: Change, changes: list[Change], users_by_type: Mapping[str, set[str]]
) -> Iterator[str]:
    user_types = users_by_type.get(resource_type_of(change), set())
    for other in changes:
        is_kept = other.action is not Action.DELETE
        is_successor = is_kept and (
            resource_type_of(other) == resource_type_of(change)
            or resource_type_of(change) in resources.replaceable_types(resource_type_of(other))
        )
        if other.action is not Action.NONE and (resource_type_of(other) in user_types or is_successor):
            yield other.address


def validate_targets(targets: frozenset[str], changes: Iterable[Change], unread: Iterable[str]) -> None:
    """Raise Problems for unknown targets: a typo must not result in an empty plan."""
    valid_targets = {name for change in changes for name in (change.address, change.component)} | set(unread)
    problems = []
    for target in sorted(targets - valid_targets):
        matches = difflib.get_close_matches(target, valid_targets, 1)
        hint = f"did you mean `{matches[0]}`?" if matches else None
        problems.append(Problem(f"unknown target `{target}`: no resource or component has this name", hint=hint))
    if problems:
        raise Problems(problems)


def resource_type_of(change: Change) -> str:
    """Return the resource type of a change."""
    return change.address.partition(".")[0]


def _select_targets(changes: list[Change], targets: frozenset[str]) -> Iterator[Change]:
    """Yield the targeted changes with their dependencies, in plan order (dependencies first)."""
    if not targets:
        yield from changes
        return
    selected = {change.address for change in changes if change.address in targets or change.component in targets}
    for change in reversed(changes):
        if change.address in selected:
            selected.update(change.depends_on)
    yield from (change for change in changes if change.address in selected)
