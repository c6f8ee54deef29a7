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
from orchestrator.vocabulary import Action, Change, Desired, Live, Plan, Resource, Veto

REMOVALS_WITHOUT_TOKEN = 3
REMOVED_SHARE = 0.3


class Task(Protocol):
    """What a guard may know of how a change is carried out."""

    @property
    def resource(self) -> Resource | None: ...

    @property
    def live(self) -> Live | None: ...


class Context(Struct, frozen=True):
    """What the plan was made from."""

    desired: Desired
    snapshot: Snapshot
    tasks: Mapping[str, Task]
    destroying: bool = False
    configured_region: str | None = None


def check(plan: Plan, context: Context, *, allowed: bool) -> Plan:
    """The plan with every veto that holds; ``allowed``: its own token was given."""
    changes = tuple(
        replace(change, vetoes=_kept((guard(change, context) for guard in CHANGE_GUARDS), allowed))
        if change.action is not Action.NONE
        else change
        for change in plan.changes
    )
    return replace(plan, changes=changes, vetoes=_kept((guard(plan, context) for guard in PLAN_GUARDS), allowed))


def _kept(groups: Iterable[Iterable[Veto]], allowed: bool) -> tuple[Veto, ...]:
    return tuple(veto for group in groups for veto in group if not (allowed and veto.token_lifts))


def not_ours(change: Change, context: Context) -> Iterator[Veto]:
    """A thing with our name but without our mark belongs to somebody."""
    task = context.tasks[change.address]
    if task.live is None or task.live.owner == context.desired.scope.owner:
        return
    if task.resource is not None and task.resource.adopt and task.live.owner is None:
        return
    whose = f"belongs to {task.live.owner}" if task.live.owner else "bears no mark of any orchestrator"
    way = "Choose another name" + ("" if task.live.owner else ", or take it over with `metadata.adopt: true`")
    yield Veto("NotOurs", f"{change.physical} exists already and {whose}. {way}.")


def stateful(change: Change, context: Context) -> Iterator[Veto]:
    """What holds data goes only with two keys: the manifest's word, and the token of this plan."""
    if change.action not in {Action.DELETE, Action.REPLACE} or not change.stateful:
        return
    live = context.tasks[change.address].live
    verb = "delete" if change.action is Action.DELETE else "delete and make again"
    if live is None or not live.deletable:
        loss = f"this would {verb} {change.physical} with all its data"
        yield Veto("Stateful", f"{loss}. {_ways(change, context)}")
    else:
        yield Veto("Stateful", f"this will {verb} {change.physical} with all its data.", token_lifts=True)


def _ways(change: Change, context: Context) -> str:
    """How to keep what holds data, and how to let it go."""
    word = f"`deletionPolicy: delete` on {change.component}"
    if change.action is Action.REPLACE:
        return f"To keep it, undo the change of {_fields(change)}. To let it go, set {word} and apply that first."
    if context.destroying:
        return f"To let it go, set {word}, apply that, and then destroy."
    return f"To keep it, put it back. To let it go, put it back with {word}, apply that, and then remove it."


def protected(change: Change, context: Context) -> Iterator[Veto]:
    """AWS would refuse it half-way through the run; better now."""
    live = context.tasks[change.address].live
    if change.action in {Action.DELETE, Action.REPLACE} and live and live.spec.get("deletion_protection") is True:
        way = f"set `deletionProtection: false` on {change.component} and apply that first"
        yield Veto("Protected", f"{change.physical} has its deletion protection on. To let it go, {way}.")


def replacement(change: Change, context: Context) -> Iterator[Veto]:
    """A replacement is never a surprise."""
    if change.action is Action.REPLACE and not change.stateful:
        sentence = f"a change of {_fields(change)} deletes {change.physical} and makes it again."
        yield Veto("Replacement", sentence, token_lifts=True)


def empty(plan: Plan, context: Context) -> Iterator[Veto]:
    """Manifests that ask for nothing, while there is something, are an accident."""
    deletions = [change for change in plan.changes if change.action is Action.DELETE]
    if not context.desired.resources and deletions and not context.destroying:
        sentence = f"the manifests ask for nothing and {len(deletions)} resources of {plan.project}/{plan.environment}"
        yield Veto("EmptyManifests", f"{sentence} would be deleted. To remove it all: `orchestrator destroy`.")


def mass_removal(plan: Plan, context: Context) -> Iterator[Veto]:
    """Many deletions at once are an accident more often than a wish."""
    deletions = sum(change.action is Action.DELETE for change in plan.changes)
    share = deletions / max(1, len(plan.changes))
    accident = deletions > REMOVALS_WITHOUT_TOKEN and share > REMOVED_SHARE
    if accident and not context.destroying and context.desired.resources:
        sentence = f"{deletions} of {len(plan.changes)} resources would be deleted ({share:.0%})."
        yield Veto("MassRemoval", sentence, token_lifts=True)


def account(plan: Plan, context: Context) -> Iterator[Veto]:
    """The manifests name their account; credentials of another one must not touch it."""
    wanted = context.desired.scope.account
    if plan.account != wanted:
        sentence = f"the credentials are of account {plan.account}, the manifests are for {wanted}."
        yield Veto("WrongAccount", f"{sentence} Use the right profile, or correct `account` in the Project.")


def region(plan: Plan, context: Context) -> Iterator[Veto]:
    """A surrounding that names another region expects something else to happen."""
    configured = context.configured_region
    if configured is not None and configured != plan.region:
        sentence = f"AWS_REGION or the profile names region {configured}, the manifests are for {plan.region}."
        yield Veto("WrongRegion", f"{sentence} Unset it or correct `region` in the Project.")


def elsewhere(change: Change, context: Context) -> Iterator[Veto]:
    """A bucket's name is global: one of ours may stand in another region."""
    live = context.tasks[change.address].live
    place = live.private.get("region") if live else None
    if place is not None and place != context.desired.scope.region:
        wanted = context.desired.scope.region
        yield Veto("WrongRegion", f"{change.physical} exists in {place}, the manifests are for {wanted}.")


def unread(plan: Plan, context: Context) -> Iterator[Veto]:
    """What could not be read cannot be planned."""
    if plan.unread:
        names = ", ".join(item.address for item in plan.unread)
        yield Veto("NotRead", f"could not be read: {names}. Allow the reads, or wait, and plan again.")


def _fields(change: Change) -> str:
    immutable = resources.load(change.address.partition(".")[0]).IMMUTABLE
    return ", ".join(dict.fromkeys(field.path[0] for field in change.fields if field.path[0] in immutable))


CHANGE_GUARDS: tuple[Callable[[Change, Context], Iterator[Veto]], ...] = (
    not_ours,
    elsewhere,
    stateful,
    protected,
    replacement,
)
PLAN_GUARDS: tuple[Callable[[Plan, Context], Iterator[Veto]], ...] = (account, region, empty, mass_removal, unread)
