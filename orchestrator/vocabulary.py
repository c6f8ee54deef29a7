"""Define the data types that the stages pass to each other.  Frozen data, no behaviour beyond naming.

May know: the standard library, ``problems`` and ``values``.  May not: do I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator.problems import Position
from orchestrator.values import Value

TAG_PROJECT = "orchestrator:project"
TAG_ENVIRONMENT = "orchestrator:environment"
TAG_COMPONENT = "orchestrator:component"
TAG_DELETION_POLICY = "orchestrator:deletion-policy"
TAG_SHARED = "orchestrator:shared"
"""Tag of a resource that other environments may mark as used and keep; it outlives the one that created it."""
TAG_USED_BY_PREFIX = "orchestrator:used-by:"
"""Prefix of tag keys on shared resources; ``PROJECT/ENVIRONMENT`` follows."""

TAG_HIBERNATION = "orchestrator:hibernation"
"""Tag of a resource that was hibernated or woken: what was last done on purpose."""

POWER_ON = "on"
POWER_HIBERNATED = "hibernated"
POWER_RESTARTED = "restarted"
"""It was hibernated and runs again, because AWS or somebody started it, or a run stopped half-way."""
POWER_STOPPED = "stopped"
"""It does not run, and no run of the orchestrator has stopped it."""
SCHEDULED_WAKE = "scheduled_wake"
"""Field of a spec, never read back: the schedule wakes the resource, so it may hibernate it again."""
POWER_HELD = "held awake"
"""It was woken by hand or by a deploy, and stays awake until its schedule has woken it once."""


class Scope(Struct, frozen=True):
    """One environment of one project in one account and region: the owner of the resources of a run."""

    project: str
    environment: str
    account: str
    region: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def name_prefix(self) -> str:
        """The prefix of this environment's physical names."""
        return f"{self.project}-{self.environment}"

    def name_of(self, component: Component) -> str:
        """Return the name in AWS of a component's resources, and the beginning of it if it has several of a type."""
        return f"{self.name_prefix}-{component.aws_name}"

    @property
    def iam_path(self) -> str:
        """The IAM path of this environment's roles."""
        return f"/orchestrator/{self.project}/{self.environment}/"

    @property
    def github_scope(self) -> Scope:
        """The scope of the GitHub roles, separate so that no deploy touches them; no environment can have this name."""
        return replace(self, environment=f"{self.environment}.github", tags={})

    @property
    def is_github_scope(self) -> bool:
        return self.environment.endswith(".github")

    @property
    def permissions_boundary_arn(self) -> str:
        """ARN of the permissions boundary of this environment's roles; ``bootstrap github`` creates the policy."""
        return f"arn:aws:iam::{self.account}:policy{self.github_scope.iam_path}{self.name_prefix}-boundary"

    @property
    def owner(self) -> str:
        """``project/environment``, as ownership tags and comments state it."""
        return f"{self.project}/{self.environment}"

    def owns(self, tags: Mapping[str, str]) -> bool:
        """Return whether ``tags`` of a live resource name this environment as the owner."""
        return parse_owner(tags) == self.owner


def parse_owner(tags: Mapping[str, str]) -> str | None:
    """Return ``project/environment`` from ownership tags, or None if there are none."""
    if TAG_PROJECT not in tags:
        return None
    return f"{tags[TAG_PROJECT]}/{tags.get(TAG_ENVIRONMENT, '')}"


class Component(Struct, frozen=True):
    """One checked manifest: ``spec`` has the environment's overrides and the schema's defaults merged in.

    ``renamed_from`` is the name with which its resources were created, if it was renamed since.
    """

    kind: str
    name: str
    spec: Mapping[str, Value]
    where: Position
    adopt: bool = False
    renamed_from: str = ""

    @property
    def handle(self) -> str:
        """The name by which manifests refer to it: ``bucket.files``."""
        return f"{self.kind.lower()}.{self.name}"

    @property
    def aws_name(self) -> str:
        """The name that its resources have in AWS, which a renamed component keeps."""
        return self.renamed_from or self.name

    @property
    def aws_handle(self) -> str:
        """The handle that its resources have in what AWS does not let one change."""
        return f"{self.kind.lower()}.{self.aws_name}"


class Resource(Struct, frozen=True):
    """One desired AWS resource.  ``spec`` may hold Ref and TemplateString; ``physical`` is its name in AWS."""

    type: str
    name: str
    physical: str
    spec: Mapping[str, Value]
    component: str
    where: Position
    depends_on: frozenset[str] = frozenset()
    adopt: bool = False

    @property
    def address(self) -> str:
        return f"{self.type}.{self.name}"


class Waiver(Struct, frozen=True):
    """An ignored difference: a ``field`` (dotted, with all fields below it) of ``addresses``.

    ``until`` is its last day, as YYYY-MM-DD in UTC.
    """

    component: str
    addresses: frozenset[str]
    field: str
    until: str
    owner: str
    reason: str


class DesiredState(Struct, frozen=True):
    """What the manifests of one environment define: resources in dependency order.

    ``retained`` are addresses of undeclared resources that are not deleted; with ``retains_data``, no data is.
    ``promotion_source`` is that of the environment whose releases are promoted to this one; only roles ask for it.
    ``unchanged`` are addresses of declared resources that a plan shows as they are in AWS.  ``environments`` are all
    that the manifests declare.
    """

    scope: Scope
    resources: tuple[Resource, ...]
    notes: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    retained: frozenset[str] = frozenset()
    retains_data: bool = False
    promotion_source: DesiredState | None = None
    unchanged: frozenset[str] = frozenset()
    environments: frozenset[str] = frozenset()


class Health(StrEnum):
    """The health of an existing resource, according to AWS."""

    HEALTHY = "healthy"
    PROGRESSING = "progressing"
    FAILED = "failed"


class PendingChange(Struct, frozen=True):
    """A change of one field that AWS has accepted and makes later; ``when`` follows "takes effect" in a sentence."""

    field: str
    before: Any
    after: Any
    when: str


class UnmanagedChange(Struct, frozen=True):
    """A setting in AWS that was changed outside the manifests and that apply does not change.

    ``expected`` and ``live`` are plain JSON (null: absent); ``remedy`` says how to remove or accept the change.
    """

    field: str
    expected: Any
    live: Any
    remedy: str


class LiveResource(Struct, frozen=True):
    """One resource as it exists in AWS, normalised to the form of a desired spec.

    ``outputs`` are the values that references may use; ``private`` is what update and delete need (ETags, ids) and is
    never shown.  ``owner`` is ``project/environment`` from the resource's ownership tags, or None.  ``unwatched`` names
    settings that could not be read, with the reason.
    """

    spec: Mapping[str, Value]
    outputs: Mapping[str, Value] = field(default_factory=dict)
    private: Mapping[str, Any] = field(default_factory=dict)
    owner: str | None = None
    component: str | None = None
    deletable: bool = False
    health: Health = Health.HEALTHY
    status: str = ""
    pending: tuple[PendingChange, ...] = ()
    unmanaged: tuple[UnmanagedChange, ...] = ()
    unwatched: tuple[str, ...] = ()


class DiscoveredResource(Struct, frozen=True):
    """A live resource with our ownership tags: its type and its name in AWS."""

    type: str
    physical: str
    component: str | None = None


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    NONE = "none"


class FieldChange(Struct, frozen=True):
    """One field that differs; ``before`` and ``after`` are plain JSON without secrets (null: absent)."""

    path: tuple[str, ...]
    before: Any
    after: Any


class PlannedStep(Struct, frozen=True):
    """One API call of a change: ``rds:CreateDBInstance`` with parameters, without secrets."""

    action: str
    parameters: Any = None
    note: str = ""


class Veto(Struct, frozen=True):
    """A named reason why a change must not be applied, and what to do about it."""

    name: str
    sentence: str
    token_lifts: bool = False


class Change(Struct, frozen=True):
    """The planned change of one resource.  ``depends_on`` holds addresses; ``where`` is the manifest's position."""

    address: str
    action: Action
    physical: str
    component: str
    fields: tuple[FieldChange, ...] = ()
    steps: tuple[PlannedStep, ...] = ()
    depends_on: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    vetoes: tuple[Veto, ...] = ()
    where: Position | None = None
    health: Health = Health.HEALTHY
    status: str = ""
    stateful: bool = False
    pending: tuple[PendingChange, ...] = ()
    unmanaged: tuple[UnmanagedChange, ...] = ()
    unwatched: tuple[str, ...] = ()


class Unread(Struct, frozen=True):
    """A resource that could not be read: the reason, and the denied or failed action."""

    address: str
    reason: str
    action: str = ""


class Waived(Struct, frozen=True):
    """One difference that a waiver ignores ``until`` a day; once that day is ``past``, the plan changes it."""

    address: str
    field: FieldChange
    until: str
    owner: str
    reason: str
    past: bool = False


class Plan(Struct, frozen=True):
    """The changes from live to desired, in order.  Equal after a JSON round trip; ``digest`` covers no times."""

    project: str
    environment: str
    account: str
    region: str
    changes: tuple[Change, ...]
    unread: tuple[Unread, ...] = ()
    vetoes: tuple[Veto, ...] = ()
    notes: tuple[str, ...] = ()
    digest: str = ""
    token: str = ""
    version: int = 1
    waived: tuple[Waived, ...] = ()

    @property
    def pending_changes(self) -> tuple[Change, ...]:
        """The changes whose action is not ``none``."""
        return tuple(change for change in self.changes if change.action is not Action.NONE)

    @property
    def all_vetoes(self) -> tuple[Veto, ...]:
        """The vetoes of the plan itself, then those of its changes."""
        return (*self.vetoes, *(veto for change in self.changes for veto in change.vetoes))

    @property
    def is_vetoed(self) -> bool:
        return bool(self.all_vetoes)


class Actuation(StrEnum):
    """Whether the API calls of a change succeeded."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNCHANGED = "unchanged"


class Outcome(Struct, frozen=True):
    """The result of one change: whether its API calls succeeded and, separately, whether the resource is healthy."""

    address: str
    action: Action
    actuation: Actuation
    health: Health = Health.HEALTHY
    reason: str = ""
    seconds: float = 0.0
    request_id: str = ""
    steps_done: int = 0
