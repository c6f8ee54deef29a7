"""Named reasons why a plan may not be applied.  Pure: each guard looks at the plan and yields vetoes.

A veto says what would be lost or what does not fit, and the way out.  ``token_lifts`` marks the ones that the plan's
own token lets through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import resources
from orchestrator.planning.snapshot import Snapshot
from orchestrator.vocabulary import Action, Change, DesiredState, LiveResource, Plan, Resource, Veto

MAX_DELETIONS_WITHOUT_TOKEN = 3
MAX_DELETED_SHARE = 0.3


class Task(Protocol):
    """What a guard may know of how a change is carried out."""

    @property
    def resource(self) -> Resource | None: ...

    @property
    def live(self) -> LiveResource | None: ...


class GuardContext(Struct, frozen=True):
    """What the plan was made from."""

    desired: DesiredState
    snapshot: Snapshot
    tasks: Mapping[str, Task]
    destroying: bool = False
    configured_region: str | None = None


def check(plan: Plan, context: GuardContext, *, has_valid_token: bool) -> Plan:
    """The plan with every veto that holds; ``allowed``: its own token was given."""
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
    """A thing with our name but without our mark belongs to somebody."""
    task = context.tasks[change.address]
    if task.live is None or task.live.owner == context.desired.scope.owner:
        return
    if task.resource is not None and task.resource.adopt and task.live.owner is None:
        return
    ownership = f"belongs to {task.live.owner}" if task.live.owner else "bears no mark of any orchestrator"
    remedy = "Choose another name" + ("" if task.live.owner else ", or take it over with `metadata.adopt: true`")
    yield Veto("NotOurs", f"{change.physical} exists already and {ownership}. {remedy}.")


def check_stateful(change: Change, context: GuardContext) -> Iterator[Veto]:
    """What holds data goes only with two keys: the manifest's word, and the token of this plan."""
    if change.action not in {Action.DELETE, Action.REPLACE} or not change.stateful:
        return
    live = context.tasks[change.address].live
    verb = "delete" if change.action is Action.DELETE else "delete and make again"
    if live is None or not live.deletable:
        consequence = f"this would {verb} {change.physical} with all its data"
        yield Veto("Stateful", f"{consequence}. {_describe_remedy(change, context)}")
    else:
        yield Veto("Stateful", f"this will {verb} {change.physical} with all its data.", token_lifts=True)


def _describe_remedy(change: Change, context: GuardContext) -> str:
    """How to keep what holds data, and how to let it go."""
    setting = f"`deletionPolicy: delete` on {change.component}"
    if change.action is Action.REPLACE:
        return (
            f"To keep it, undo the change of {_format_immutable_fields(change)}. "
            f"To let it go, set {setting} and apply that first."
        )
    if context.destroying:
        return f"To let it go, set {setting}, apply that, and then destroy."
    return f"To keep it, put it back. To let it go, put it back with {setting}, apply that, and then remove it."


def check_deletion_protection(change: Change, context: GuardContext) -> Iterator[Veto]:
    """AWS would refuse it half-way through the run; better now."""
    live = context.tasks[change.address].live
    if change.action in {Action.DELETE, Action.REPLACE} and live and live.spec.get("deletion_protection") is True:
        remedy = f"set `deletionProtection: false` on {change.component} and apply that first"
        yield Veto("Protected", f"{change.physical} has its deletion protection on. To let it go, {remedy}.")


def check_replacement(change: Change, context: GuardContext) -> Iterator[Veto]:
    """A replacement is never a surprise."""
    if change.action is Action.REPLACE and not change.stateful:
        message = f"a change of {_format_immutable_fields(change)} deletes {change.physical} and makes it again."
        yield Veto("Replacement", message, token_lifts=True)


def check_empty_manifests(plan: Plan, context: GuardContext) -> Iterator[Veto]:
    """Manifests that ask for nothing, while there is something, are an accident."""
    deletions = [change for change in plan.changes if change.action is Action.DELETE]
    if not context.desired.resources and deletions and not context.destroying:
        message = f"the manifests ask for nothing and {len(deletions)} resources of {plan.project}/{plan.environment}"
        yield Veto("EmptyManifests", f"{message} would be deleted. To remove it all: `orchestrator destroy`.")


def check_mass_deletion(plan: Plan, context: GuardContext) -> Iterator[Veto]:
    """Many deletions at once are an accident more often than a wish."""
    deletions = sum(change.action is Action.DELETE for change in plan.changes)
    share = deletions / max(1, len(plan.changes))
    is_suspicious = deletions > MAX_DELETIONS_WITHOUT_TOKEN and share > MAX_DELETED_SHARE
    if is_suspicious and not context.destroying and context.desired.resources:
        message = f"{deletions} of {len(plan.changes)} resources would be deleted ({share:.0%})."
        yield Veto("MassRemoval", message, token_lifts=True)


def check_account(plan: Plan, context: GuardContext) -> Iterator[Veto]:
    """The manifests name their account; credentials of another one must not touch it."""
    expected_account = context.desired.scope.account
    if plan.account != expected_account:
        message = f"the credentials are of account {plan.account}, the manifests are for {expected_account}."
        yield Veto("WrongAccount", f"{message} Use the right profile, or correct `account` in the Project.")


def check_configured_region(plan: Plan, context: GuardContext) -> Iterator[Veto]:
    """A surrounding that names another region expects something else to happen."""
    configured = context.configured_region
    if configured is not None and configured != plan.region:
        message = f"AWS_REGION or the profile names region {configured}, the manifests are for {plan.region}."
        yield Veto("WrongRegion", f"{message} Unset it or correct `region` in the Project.")


def check_resource_region(change: Change, context: GuardContext) -> Iterator[Veto]:
    """A bucket's name is global: one of ours may stand in another region."""
    live = context.tasks[change.address].live
    live_region = live.private.get("region") if live else None
    if live_region is not None and live_region != context.desired.scope.region:
        expected_region = context.desired.scope.region
        yield Veto(
            "WrongRegion", f"{change.physical} exists in {live_region}, the manifests are for {expected_region}."
        )


def check_unreadable(plan: Plan, context: GuardContext) -> Iterator[Veto]:
    """What could not be read cannot be planned."""
    if plan.unread:
        names = ", ".join(item.address for item in plan.unread)
        yield Veto("NotRead", f"could not be read: {names}. Allow the reads, or wait, and plan again.")


def _format_immutable_fields(change: Change) -> str:
    immutable = resources.load(change.address.partition(".")[0]).IMMUTABLE
    return ", ".join(dict.fromkeys(field.path[0] for field in change.fields if field.path[0] in immutable))


CHANGE_GUARDS: tuple[Callable[[Change, GuardContext], Iterator[Veto]], ...] = (
    check_ownership,
    check_resource_region,
    check_stateful,
    check_deletion_protection,
    check_replacement,
)
PLAN_GUARDS: tuple[Callable[[Plan, GuardContext], Iterator[Veto]], ...] = (
    check_account,
    check_configured_region,
    check_empty_manifests,
    check_mass_deletion,
    check_unreadable,
)
