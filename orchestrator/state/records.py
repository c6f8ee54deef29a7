"""What the service keeps, as data; the same dataclasses go over the wire.  Pure.

Times are ISO 8601 in UTC with milliseconds (``2026-11-24T10:59:17.123Z``), so they sort as text.  An environment's key
is ``project/environment``.  Nothing here holds a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from orchestrator.model import Action, Outcome, Plan
from orchestrator.release import Release, Written
from orchestrator.state.leases import Holder, Waiter

T = TypeVar("T")
Verb = Literal["apply", "deploy", "rollback", "destroy"]
Status = Literal["queued", "running", "succeeded", "failed", "returned", "interrupted", "superseded", "lost"]
"""``returned``: failed, and what stood before stands again.  ``lost``: its lease went to another, or it died."""
ENDED: frozenset[str] = frozenset({"succeeded", "failed", "returned", "interrupted", "superseded", "lost"})
Wellbeing = Literal["healthy", "progressing", "failed", "unknown"]
Syncing = Literal["in sync", "drifted", "not checked"]
EventKind = Literal["started", "step", "waiting", "progress", "finished"]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a long list; ``cursor`` asks for what comes after it, "" at the end."""

    items: tuple[T, ...]
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One apply, deploy, rollback or destroy.

    ``sequence`` is the number of the last event; ``cause`` the first cause of a failure and ``hint`` the command to
    type next; ``superseded_by`` the run that made this one needless; ``release`` the number of the release it made.
    """

    id: str
    environment: str
    verb: Verb
    by: str
    commit: str
    started_at: str
    status: Status = "running"
    ref: str = ""
    url: str = ""
    reason: str = ""
    plan: str = ""
    pull_request: int | None = None
    committed_at: str = ""
    ended_at: str = ""
    sequence: int = 0
    superseded_by: str = ""
    cause: str = ""
    hint: str = ""
    release: int | None = None
    outcomes: tuple[Outcome, ...] = ()

    @property
    def is_over(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended; the same words as in Run.

    ``events_hash`` is the service's own: over all events that the run had told, so that they too are in the chain.
    """

    status: Status
    ended_at: str
    cause: str = ""
    hint: str = ""
    superseded_by: str = ""
    release: int | None = None
    outcomes: tuple[Outcome, ...] = ()
    events_hash: str = ""


@dataclass(frozen=True, slots=True)
class StepEvent:
    """One event of a run; ``sequence`` counts from 1 without a gap.  ``seconds`` as in ``orchestrator.events``."""

    sequence: int
    at: str
    kind: EventKind
    address: str
    action: Action | None = None
    what: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """A plan, found by its digest; ``monthly_usd`` is the estimate for all that would stand, if there is one."""

    digest: str
    environment: str
    at: str
    by: str
    commit: str
    plan: Plan
    monthly_usd: float | None = None
    monthly_change_usd: float | None = None


@dataclass(frozen=True, slots=True)
class ReleaseRecord:
    """One release of the ledger.  ``obstacle`` says why it cannot come back, when ``restorable`` is False."""

    environment: str
    release: Release
    run: str = ""
    restorable: bool = True
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class ReleaseContent:
    """What a release is made of, for comparing two: its documents, and per site the digest of every file by path."""

    environment: str
    number: int
    documents: tuple[Written, ...] = ()
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DriftField:
    """One field that is not as declared, as text fit to be shown; ``since`` when a report first had it so."""

    path: str
    before: str | None
    after: str | None
    since: str = ""


@dataclass(frozen=True, slots=True)
class DriftedResource:
    """One resource that is drifted or could not be checked."""

    address: str
    sync: Syncing
    reason: str = ""
    action: str = ""
    fields: tuple[DriftField, ...] = ()
    since: str = ""


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What one look at AWS found; ``resources`` has those not in sync, ``total`` counts all."""

    environment: str
    at: str
    by: str
    commit: str
    total: int
    resources: tuple[DriftedResource, ...] = ()
    id: int = 0

    @property
    def drifted(self) -> int:
        return sum(one.sync == "drifted" for one in self.resources)

    @property
    def unchecked(self) -> int:
        return sum(one.sync == "not checked" for one in self.resources)


@dataclass(frozen=True, slots=True)
class DriftDecision:
    """What somebody decided about a drifted resource; ``until`` for ``ignore`` alone."""

    environment: str
    address: str
    deed: Literal["accept", "revert", "ignore"]
    by: str
    at: str
    reason: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True)
class PullRequestPlan:
    """The plan of an open pull request; ``fields`` are ``address:path`` that it touches."""

    environment: str
    number: int
    commit: str
    digest: str
    at: str
    by: str = ""
    title: str = ""
    url: str = ""
    fields: tuple[str, ...] = ()
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another open pull request that touches the same ``fields``."""

    number: int
    title: str
    url: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lease:
    """Who writes to an environment now, and who waits, first come first; ``holder`` None when it is free."""

    environment: str
    fence: int
    holder: Holder | None = None
    waiting: tuple[Waiter, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a model; ``metrics`` by name; ``needs_training`` says why, "" when it does not."""

    environment: str
    name: str
    version: str
    at: str
    by: str
    digest: str = ""
    size: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    current: bool = False
    needs_training: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment at a glance."""

    key: str
    project: str
    name: str
    account: str = ""
    region: str = ""
    health: Wellbeing = "unknown"
    monthly_usd: float | None = None
    release: ReleaseRecord | None = None
    last_run: Run | None = None
    drift: DriftReport | None = None
    lease: Lease | None = None
    open_pull_requests: int = 0


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One link of the history's chain: ``hash`` is over all the rest, ``previous`` is the hash of the one before.

    ``payload`` is the canonical JSON of the record that was written.
    """

    number: int
    at: str
    by: str
    deed: str
    environment: str
    subject: str
    payload: str
    previous: str
    hash: str
