"""Check a plan for dangers.  Pure: each guard inspects the plan and yields vetoes.

A veto says what would be lost or what is wrong, and what to do.  ``token_lifts`` marks the vetoes that the plan's own
token lifts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import resources
from orchestrator.cost import deadlines, declared_usage
from orchestrator.planning import adoption, planned_cost, renaming
from orchestrator.planning.snapshot import Snapshot
from orchestrator.quantities import format_count
from orchestrator.vocabulary import Action, Change, DesiredState, DiscoveredResource, LiveResource, Plan, Resource, Veto

MAX_DELETIONS_WITHOUT_TOKEN = 3
MAX_DELETED_SHARE = 0.3


class Task(Protocol):
    """The part of a change's task that guards may read."""

    @property
    def resource(self) -> Resource | None: ...

    @property
    def live(self) -> LiveResource | None: ...

    @property
    def discovered(self) -> DiscoveredResource | None: ...


class GuardContext(Struct, frozen=True):
    """The inputs of the plan; ``on`` is its day, which decides what things cost."""

    desired: DesiredState
    snapshot: Snapshot
    tasks: Mapping[str, Task]
    destroying: bool = False
    configured_region: str | None = None
    on: date | None = None


def check(plan: Plan, context: GuardContext, *, has_valid_token: bool) -> Plan:
    """Return the plan with its vetoes; ``has_valid_token``: the user passed the plan's own token."""
    changes = tuple(
        replace(change, vetoes=_collect_vetoes((guard(change, context) for guard in CHANGE_GUARDS), has_valid_token))
        if change.action is not Action.NONE
        else change
        for change in plan.changes
    )
    return replace(
        plan, changes=changes, vetoes=_collect_vetoes((guard(plan, context) for guard in PLAN_GUARDS), has_valid_token)
    )


def _collect_vetoes(groups: Iterable[Iterable[Veto]], has_valid_token: bool) -> tuple[Veto, ...]:
    return tuple(veto for group in groups for veto in group if not (has_valid_token and veto.token_lifts))


def check_ownership(change: Change, context: GuardContext) -> Iterator[Veto]:
    """Veto a change of a live resource that has our name but another owner, or none."""
    task = context.tasks[change.address]
    if task.live is None or task.live.owner == context.desired.scope.owner:
        return
    if task.resource is not None and task.resource.adopt and task.live.owner is None:
        return
    ownership = f"belongs to {task.live.owner}" if task.live.owner else "is not managed by orchestrator"
    remedy = "Choose another name" + ("" if task.live.owner else ", or adopt it with `metadata.adopt: true`")
    yield Veto("NotOurs", f"{change.physical} already exists and {ownership}. {remedy}.")


def check_stateful(change: Change, context: GuardContext) -> Iterator[Veto]:
    """Veto the deletion of data unless the manifest has ``deletionPolicy: delete`` and the plan's token is passed."""
    if change.action not in {Action.DELETE, Action.REPLACE} or not change.stateful:
        return
    live = context.tasks[change.address].live
    verb = "delete" if change.action is Action.DELETE else "delete and recreate"
    if live is None or not live.deletable:
        consequence = f"this would {verb} {change.physical} and all its data"
        yield Veto("Stateful", f"{consequence}. {_describe_remedy(change, context)}")
    else:
        yield Veto("Stateful", f"this will {verb} {change.physical} and all its data.", token_lifts=True)


def _describe_remedy(change: Change, context: GuardContext) -> str:
    """Return how to keep the data, and how to delete it."""
    setting = f"`deletionPolicy: delete` on {change.component}"
    if change.action is Action.REPLACE:
        return (
            f"To keep it, undo the change to {_format_immutable_fields(change)}. "
            f"To replace it, undo that change, set {setting} and apply, then make the change again."
        )
    if context.destroying:
        return f"To delete it, set {setting}, apply the change, then run `orchestrator destroy` again."
    return (
        f"To keep it, restore its manifest. "
        f"To delete it, restore the manifest with {setting}, apply the change, then remove the manifest."
    )


def check_deletion_protection(change: Change, context: GuardContext) -> Iterator[Veto]:
    """Veto the deletion of a protected resource, which AWS would otherwise refuse in the middle of the run."""
    live = context.tasks[change.address].live
    if change.action in {Action.DELETE, Action.REPLACE} and live and live.spec.get("deletion_protection") is True:
        remedy = f"first set `deletionProtection: false` on {change.component} and apply the change"
        yield Veto("Protected", f"{change.physical} has deletion protection enabled. To delete it, {remedy}.")


def check_replacement(change: Change, context: GuardContext) -> Iterator[Veto]:
    """Veto the replacement of a resource without data unless the plan's token is passed."""
    if change.action is Action.REPLACE and not change.stateful:
        message = f"changing {_format_immutable_fields(change)} deletes and recreates {change.physical}."
        yield Veto("Replacement", message, token_lifts=True)


def check_refusals(change: Change, context: GuardContext) -> Iterator[Veto]:
    """Veto an update that AWS would refuse, such as a downgrade, or any change of a stopped database."""
    live = context.tasks[change.address].live
    if change.action is Action.UPDATE and live is not None:
        for sentence in resources.refusals(change.address.partition(".")[0], change.fields, live):
            yield Veto("Refused", sentence)


def check_missing_values(change: Change, context: GuardContext) -> Iterator[Veto]:
    """Veto a change whose external values nobody has set: it would fail after other changes were made."""
    task = context.tasks[change.address]
    if task.resource is None:
        return
    resource_type, _, name = change.address.partition(".")
    for key in resources.missing_values(resource_type, task.resource.spec, task.live):
        command = f"orchestrator secret set {name} {key} -e {context.desired.scope.environment}"
        yield Veto("MissingValue", f"the value {key} of {change.component} is not set. Set it with `{command}`.")


def check_empty_manifests(plan: Plan, context: GuardContext) -> Iterator[Veto]:
    """Veto a plan that deletes everything because the manifests define no resources."""
    deletions = [change for change in plan.changes if change.action is Action.DELETE]
    if not context.desired.resources and deletions and not context.destroying:
        count = format_count(len(deletions), "resource")
        message = f"the manifests define no resources: {count} of {plan.project}/{plan.environment}"
        yield Veto("EmptyManifests", f"{message} would be deleted. To delete them all, run `orchestrator destroy`.")


def check_mass_deletion(plan: Plan, context: GuardContext) -> Iterator[Veto]:
    """Veto many deletions at once, which are usually a mistake."""
    deletions = sum(change.action is Action.DELETE for change in plan.changes)
    share = deletions / max(1, len(plan.changes))
    is_suspicious = deletions > MAX_DELETIONS_WITHOUT_TOKEN and share > MAX_DELETED_SHARE
    if is_suspicious and context.desired.resources:  # without any, all deletions are meant, or EmptyManifests
        message = f"{deletions} of {len(plan.changes)} resources would be deleted ({share:.0%})."
        yield Veto("MassRemoval", message, token_lifts=True)


def check_adoption(plan: Plan, context: GuardContext) -> Iterator[Veto]:
    """Veto a component that is to be adopted if AWS has nothing of it: a new, empty one would be created instead.

    Once a part of it exists, a run that was stopped goes on.
    """
    adopted = [change for change in plan.changes if _is_adopted(context.tasks[change.address])]
    existing = {change.component for change in adopted if change.action is not Action.CREATE}
    missing: dict[str, Change] = {}
    for change in sorted(adopted, key=lambda item: not item.stateful):
        if change.component not in existing:
            missing.setdefault(change.component, change)
    for component, change in missing.items():
        message = f"{component} sets `adopt: true`, but {change.physical} does not exist in AWS"
        remedy = "Correct the name, the account or the region, or remove `adopt` to create a new, empty resource"
        yield Veto("NothingToAdopt", f"{message}. {remedy}.", token_lifts=True)


def check_adoption_losses(change: Change, context: GuardContext) -> Iterator[Veto]:
    """Veto an adoption that removes something: what a team has set by hand is not lost without its consent."""
    task = context.tasks[change.address]
    if not adoption.is_adoption(task):
        return
    losses = list(adoption.list_losses(change, task))
    if losses:
        message = f"adopting {change.physical} removes {'; '.join(losses)}"
        remedy = f"To declare those that a manifest can express, run `orchestrator adopt {change.component}`"
        yield Veto("AdoptionLoses", f"{message}. {remedy}.", token_lifts=True)


def check_renames(plan: Plan, context: GuardContext) -> Iterator[Veto]:
    """Veto a renaming that changes more than the marks of the component: it has to be applied by itself."""
    others = renaming.find_other_changes(plan, context.desired.components, context.tasks)
    former_names = {component.handle: component.renamed_from for component in context.desired.components}
    for handle, changes in others.items():
        message = f"renaming {former_names[handle]} to {handle} would also change {'; '.join(changes)}"
        yield Veto("RenameOnly", f"{message}. Undo these changes, apply the renaming, then make them again.")


def _is_adopted(task: Task) -> bool:
    return task.resource is not None and task.resource.adopt


def check_account(plan: Plan, context: GuardContext) -> Iterator[Veto]:
    """Veto a plan made with credentials of another account than the manifests name."""
    expected_account = context.desired.scope.account
    if plan.account != expected_account:
        message = f"the credentials belong to account {plan.account}, but the manifests are for {expected_account}."
        yield Veto(
            "WrongAccount",
            f"{message} Set AWS_PROFILE to a profile of that account, or correct `account` in the Project.",
        )


def check_configured_region(plan: Plan, context: GuardContext) -> Iterator[Veto]:
    """Veto a plan if the environment variables or the profile name another region than the manifests."""
    configured = context.configured_region
    if configured is not None and configured != plan.region:
        message = f"AWS_REGION or the profile sets region {configured}, but the manifests are for {plan.region}."
        yield Veto("WrongRegion", f"{message} Set AWS_REGION to {plan.region}, or correct `region` in the Project.")


def check_resource_region(change: Change, context: GuardContext) -> Iterator[Veto]:
    """Veto a change of a resource in another region: bucket names are global."""
    live = context.tasks[change.address].live
    live_region = live.private.get("region") if live else None
    if live_region is not None and live_region != context.desired.scope.region:
        expected_region = context.desired.scope.region
        yield Veto(
            "WrongRegion",
            f"{change.physical} exists in {live_region}, but the manifests are for {expected_region}. "
            "Choose another name, or correct `region` in the Project.",
        )


def check_budget(plan: Plan, context: GuardContext) -> Iterator[Veto]:
    """Veto a plan that raises the estimated cost above the limit of a Budget with `enforce: true`."""
    budgets = [
        component
        for component in context.desired.components
        if component.kind == "Budget" and component.spec.get("enforce")
    ]
    if not budgets or context.on is None:
        return
    changed_addresses = {change.address for change in plan.pending_changes}
    usage = declared_usage.collect(context.desired.components)
    before, after = planned_cost.estimate_change(
        context.tasks, changed_addresses, plan.region, context.on, usage, as_awake=True
    )
    for budget in budgets:
        if after.expected > float(budget.spec["limit"]) and after.expected > before.expected:
            message = (
                f"the stack would cost about {after.expected:.2f} USD a month, above the limit of "
                f"{budget.spec['limit']:g} USD in {budget.handle} (currently {before.expected:.2f} USD)."
            )
            yield Veto("OverBudget", f"{message} Choose smaller sizes, or increase `limit`.", token_lifts=True)


def check_support(change: Change, context: GuardContext) -> Iterator[Veto]:
    """Veto a new database of a version that AWS no longer creates."""
    resource = context.tasks[change.address].resource
    if resource is None or resource.type != "rds_instance" or context.on is None or resource.spec.get("restored_from"):
        return
    if change.action in {Action.CREATE, Action.REPLACE} and (reason := deadlines.explain_refusal(resource, context.on)):
        yield Veto("NotSupported", f"{reason}.")


def check_unreadable(plan: Plan, context: GuardContext) -> Iterator[Veto]:
    """Veto a plan with resources that could not be read."""
    if plan.unread:
        names = ", ".join(item.address for item in plan.unread)
        yield Veto("NotRead", f"could not read {names}. Grant read access or wait, then plan again.")


def _format_immutable_fields(change: Change) -> str:
    immutable = resources.load(change.address.partition(".")[0]).IMMUTABLE
    return ", ".join(dict.fromkeys(field.path[0] for field in change.fields if field.path[0] in immutable))


CHANGE_GUARDS: tuple[Callable[[Change, GuardContext], Iterator[Veto]], ...] = (
    check_ownership,
    check_resource_region,
    check_stateful,
    check_deletion_protection,
    check_replacement,
    check_refusals,
    check_missing_values,
    check_adoption_losses,
    check_support,
)
PLAN_GUARDS: tuple[Callable[[Plan, GuardContext], Iterator[Veto]], ...] = (
    check_account,
    check_configured_region,
    check_empty_manifests,
    check_mass_deletion,
    check_adoption,
    check_renames,
    check_budget,
    check_unreadable,
)
