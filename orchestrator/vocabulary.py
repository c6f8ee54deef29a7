"""The vocabulary: what the stages hand to each other.  Frozen data, no behaviour beyond naming.

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


class Scope(Struct, frozen=True):
    """Whose resources a run is about: one environment of one project in one account and region."""

    project: str
    environment: str
    account: str
    region: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def name_prefix(self) -> str:
        """What the physical names of this environment begin with."""
        return f"{self.project}-{self.environment}"

    @property
    def iam_path(self) -> str:
        """The IAM path under which this environment's roles live."""
        return f"/orchestrator/{self.project}/{self.environment}/"

    @property
    def github_scope(self) -> Scope:
        """The scope of what lets workflows in: apart, so that no deploy touches it.  No environment can be so named."""
        return replace(self, environment=f"{self.environment}.github", tags={})

    @property
    def is_github_scope(self) -> bool:
        return self.environment.endswith(".github")

    @property
    def permissions_boundary_arn(self) -> str:
        """ARN of the policy that no role of this environment may exceed, once ``bootstrap github`` has made it."""
        return f"arn:aws:iam::{self.account}:policy{self.github_scope.iam_path}{self.name_prefix}-boundary"

    @property
    def owner(self) -> str:
        """The mark that says whose a thing is."""
        return f"{self.project}/{self.environment}"

    def owns(self, tags: Mapping[str, str]) -> bool:
        """Whether ``tags`` (of one live resource) carry this environment's mark."""
        return parse_owner(tags) == self.owner


def parse_owner(tags: Mapping[str, str]) -> str | None:
    """``project/environment`` as written in ``tags``, or None where no orchestrator wrote its mark."""
    if TAG_PROJECT not in tags:
        return None
    return f"{tags[TAG_PROJECT]}/{tags.get(TAG_ENVIRONMENT, '')}"


class Component(Struct, frozen=True):
    """One checked manifest: ``spec`` has the environment merged in and the schema's defaults filled."""

    kind: str
    name: str
    spec: Mapping[str, Value]
    where: Position
    adopt: bool = False

    @property
    def handle(self) -> str:
        """How manifests refer to it: ``bucket.files``."""
        return f"{self.kind.lower()}.{self.name}"


class Resource(Struct, frozen=True):
    """One desired AWS resource.  ``spec`` may hold Ref and Text; ``physical`` is AWS's name for it."""

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
    """A difference that a manifest lets be: a ``field`` (dotted, with all below it) of ``addresses``.

    ``until`` is its last day, as YEAR-MONTH-DAY in UTC.
    """

    component: str
    addresses: frozenset[str]
    field: str
    until: str
    owner: str
    reason: str


class DesiredState(Struct, frozen=True):
    """What the manifests of one environment ask for: resources in dependency order."""

    scope: Scope
    resources: tuple[Resource, ...]
    notes: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    waivers: tuple[Waiver, ...] = ()


class Health(StrEnum):
    """What AWS says of a resource that exists."""

    HEALTHY = "healthy"
    PROGRESSING = "progressing"
    FAILED = "failed"


class LiveResource(Struct, frozen=True):
    """One resource as AWS has it, normalised to the shape of a desired spec.

    ``outputs`` are what others may refer to; ``private`` is what update and delete need (ETags, ids) and nobody
    shows.  ``owner`` is ``project/environment`` from the thing's own mark, or None when it bears none.
    """

    spec: Mapping[str, Value]
    outputs: Mapping[str, Value] = field(default_factory=dict)
    private: Mapping[str, Any] = field(default_factory=dict)
    owner: str | None = None
    component: str | None = None
    deletable: bool = False
    health: Health = Health.HEALTHY
    status: str = ""


class DiscoveredResource(Struct, frozen=True):
    """A live resource that bears our mark: its type and AWS's name for it."""

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
    """One field that differs; ``before`` and ``after`` are plain JSON, fit to be shown (null: not there)."""

    path: tuple[str, ...]
    before: Any
    after: Any


class PlannedStep(Struct, frozen=True):
    """One API call a change will make: ``rds:CreateDBInstance`` with parameters fit to be shown."""

    action: str
    parameters: Any = None
    note: str = ""


class Veto(Struct, frozen=True):
    """A named reason why a change may not be applied, and the way out."""

    name: str
    sentence: str
    token_lifts: bool = False


class Change(Struct, frozen=True):
    """What becomes of one resource.  ``depends_on`` holds addresses; ``where`` is the manifest's place."""

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


class Unread(Struct, frozen=True):
    """A resource that could not be read: why, in one sentence, and the denied or failed action."""

    address: str
    reason: str
    action: str = ""


class Waived(Struct, frozen=True):
    """One difference that a manifest lets be ``until`` a day; when that day is ``past``, the plan changes it."""

    address: str
    field: FieldChange
    until: str
    owner: str
    reason: str
    past: bool = False


class Plan(Struct, frozen=True):
    """The changes from live to desired, in order.  Equal after a JSON round trip; ``digest`` holds no times."""

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
        """The changes that do something."""
        return tuple(change for change in self.changes if change.action is not Action.NONE)

    @property
    def is_vetoed(self) -> bool:
        return bool(self.vetoes) or any(change.vetoes for change in self.changes)


class Actuation(StrEnum):
    """Did our calls work?"""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNCHANGED = "unchanged"


class Outcome(Struct, frozen=True):
    """What became of one change: whether our calls worked and whether the thing became well, apart."""

    address: str
    action: Action
    actuation: Actuation
    health: Health = Health.HEALTHY
    reason: str = ""
    seconds: float = 0.0
    request_id: str = ""
    steps_done: int = 0
