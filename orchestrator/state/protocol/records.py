"""What the service keeps, as data; the same structs go over the wire.  Pure.

Times are ISO 8601 in UTC with milliseconds (``2026-11-24T10:59:17.123Z``), so they sort as text.  An environment's key
is ``project/environment``.  Nothing here holds a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Literal, TypeVar

from msgspec import Struct, field

from orchestrator.release import ManifestDocument, Release
from orchestrator.state.protocol.leases import Holder, Waiter
from orchestrator.vocabulary import Action, Outcome, Plan

T = TypeVar("T")
RunVerb = Literal["apply", "deploy", "rollback", "destroy"]
RunStatus = Literal["queued", "running", "succeeded", "failed", "returned", "interrupted", "superseded", "lost"]
"""``returned``: failed, and what stood before stands again.  ``lost``: its lease went to another, or it died."""
TERMINAL_STATUSES: frozenset[str] = frozenset({"succeeded", "failed", "returned", "interrupted", "superseded", "lost"})
EnvironmentHealth = Literal["healthy", "progressing", "failed", "unknown"]
SyncState = Literal["in sync", "drifted", "not checked"]
EventKind = Literal["started", "step", "waiting", "progress", "finished"]


class Page(Struct, Generic[T], frozen=True):
    """Some of a long list; ``cursor`` asks for what comes after it, "" at the end."""

    items: tuple[T, ...]
    cursor: str = ""


class Run(Struct, frozen=True):
    """One apply, deploy, rollback or destroy.

    ``sequence`` is the number of the last event; ``cause`` the first cause of a failure and ``hint`` the command to
    type next; ``superseded_by`` the run that made this one needless; ``release`` the number of the release it made.
    """

    id: str
    environment: str
    verb: RunVerb
    by: str
    commit: str
    started_at: str
    status: RunStatus = "running"
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
        return self.status in TERMINAL_STATUSES


class RunResult(Struct, frozen=True):
    """How a run ended; the same words as in Run.

    ``events_hash`` is the service's own: over all events that the run had told, so that they too are in the chain.
    """

    status: RunStatus
    ended_at: str
    cause: str = ""
    hint: str = ""
    superseded_by: str = ""
    release: int | None = None
    outcomes: tuple[Outcome, ...] = ()
    events_hash: str = ""


class StepEvent(Struct, frozen=True):
    """One event of a run; ``sequence`` counts from 1 without a gap.  ``seconds`` as in ``planning.events``."""

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


class PlanRecord(Struct, frozen=True):
    """A plan, found by its digest; ``monthly_usd`` is the estimate for all that would stand, if there is one."""

    digest: str
    environment: str
    at: str
    by: str
    commit: str
    plan: Plan
    monthly_usd: float | None = None
    monthly_change_usd: float | None = None


class ReleaseRecord(Struct, frozen=True):
    """One release of the ledger.  ``obstacle`` says why it cannot come back, when ``restorable`` is False."""

    environment: str
    release: Release
    run: str = ""
    restorable: bool = True
    obstacle: str = ""


class ReleaseContent(Struct, frozen=True):
    """What a release is made of, for comparing two: its documents, and per site the digest of every file by path."""

    environment: str
    number: int
    documents: tuple[ManifestDocument, ...] = ()
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class DriftField(Struct, frozen=True):
    """One field that is not as declared, as text fit to be shown; ``since`` when a report first had it so."""

    path: str
    before: str | None
    after: str | None
    since: str = ""


class DriftedResource(Struct, frozen=True):
    """One resource that is drifted or could not be checked."""

    address: str
    sync: SyncState
    reason: str = ""
    action: str = ""
    fields: tuple[DriftField, ...] = ()
    since: str = ""


class DriftReport(Struct, frozen=True):
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
        return sum(item.sync == "drifted" for item in self.resources)

    @property
    def unchecked(self) -> int:
        return sum(item.sync == "not checked" for item in self.resources)


class DriftDecision(Struct, frozen=True):
    """What somebody decided about a drifted resource; ``until`` for ``ignore`` alone."""

    environment: str
    address: str
    deed: Literal["accept", "revert", "ignore"]
    by: str
    at: str
    reason: str = ""
    until: str = ""


class PullRequestPlan(Struct, frozen=True):
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


class Conflict(Struct, frozen=True):
    """Another open pull request that touches the same ``fields``."""

    number: int
    title: str
    url: str
    fields: tuple[str, ...]


class Lease(Struct, frozen=True):
    """Who writes to an environment now, and who waits, first come first; ``holder`` None when it is free."""

    environment: str
    fence: int
    holder: Holder | None = None
    waiting: tuple[Waiter, ...] = ()


class ModelVersion(Struct, frozen=True):
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


class Environment(Struct, frozen=True):
    """One environment at a glance."""

    key: str
    project: str
    name: str
    account: str = ""
    region: str = ""
    health: EnvironmentHealth = "unknown"
    monthly_usd: float | None = None
    release: ReleaseRecord | None = None
    last_run: Run | None = None
    drift: DriftReport | None = None
    lease: Lease | None = None
    open_pull_requests: int = 0


class AuditEntry(Struct, frozen=True):
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
