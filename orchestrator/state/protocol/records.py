"""Define the records that the state service stores and sends.  Pure.

Times are ISO 8601 in UTC with milliseconds (``2026-11-24T10:59:17.123Z``), so they sort as text.  The key of an
environment is ``project/environment``.  Records contain no secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Literal, TypeVar

from msgspec import Struct, field

from orchestrator.cost.stack_cost import StackCost
from orchestrator.release import ManifestDocument, Pin, Release
from orchestrator.release.shipped_commits import ShippedCommits
from orchestrator.state.protocol.lease_queue import Holder, Waiter
from orchestrator.vocabulary import Action, Outcome, Plan

T = TypeVar("T")
RunVerb = Literal["apply", "deploy", "rollback", "destroy", "restore", "migrate", "hibernate", "wake"]
RunStatus = Literal["queued", "running", "succeeded", "failed", "returned", "interrupted", "superseded", "lost"]
"""``returned``: failed and rolled back.  ``lost``: lost its lease or stopped responding."""
TERMINAL_STATUSES: frozenset[str] = frozenset({"succeeded", "failed", "returned", "interrupted", "superseded", "lost"})
EnvironmentHealth = Literal["healthy", "progressing", "failed", "unknown"]
SyncState = Literal["in sync", "drifted", "unhealthy", "pending", "not checked"]
EventKind = Literal["started", "step", "waiting", "progress", "finished"]


class Page(Struct, Generic[T], frozen=True):
    """One page of a list; ``cursor`` requests the next page, "" on the last page."""

    items: tuple[T, ...]
    cursor: str = ""


class Run(Struct, frozen=True):
    """One apply, deploy, rollback or destroy.

    ``sequence`` is the number of the last event; ``cause`` the root cause of a failure; ``hint`` the next command to
    run; ``superseded_by`` the ID of the newer run that replaced this one; ``release`` the number of the release made.
    ``commit_title`` is the title of the commit, or of the pull request that it merged, ``commit_author`` who wrote it.
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
    commit_title: str = ""
    commit_author: str = ""

    @property
    def is_over(self) -> bool:
        return self.status in TERMINAL_STATUSES


class RunResult(Struct, frozen=True):
    """The result of a run; fields as in Run.

    ``cost`` is what the stack costs after a run that succeeded.  It is not that of the run's plan, because all plans
    without changes have one digest.  ``events_hash`` is set by the service: a hash over all events of the run, so that
    the audit log covers them too.
    """

    status: RunStatus
    ended_at: str
    cause: str = ""
    hint: str = ""
    superseded_by: str = ""
    release: int | None = None
    outcomes: tuple[Outcome, ...] = ()
    events_hash: str = ""
    cost: StackCost | None = None


class StepEvent(Struct, frozen=True):
    """One event of a run; ``sequence`` counts from 1 without gaps; ``seconds`` as in ``planning.events``."""

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
    """A plan by its digest; ``monthly_usd`` is the estimated monthly cost after the plan is applied, if known.

    ``cost`` says the same by component.  ``is_proposed`` is set by the service: the plan comes from a job of code that
    is not merged.
    """

    digest: str
    environment: str
    at: str
    by: str
    commit: str
    plan: Plan
    monthly_usd: float | None = None
    monthly_change_usd: float | None = None
    is_proposed: bool = False
    cost: StackCost | None = None


class AppliedCost(Struct, frozen=True):
    """What an environment costs a month since ``at``, the end of a run; ``verb``, ``by`` and ``release`` are the run's.

    ``cost`` says it by component; None if the run did not say, and only the total is known.
    """

    environment: str
    run: str
    at: str
    verb: RunVerb
    by: str
    monthly_usd: float
    release: int | None = None
    cost: StackCost | None = None


class ReleaseRecord(Struct, frozen=True):
    """One release of the ledger; ``obstacle`` says why it cannot be restored if ``restorable`` is False.

    ``commits`` are those since the complete release before it; None if its run did not say.  ``pins`` are those of the
    environment, with its newest complete release only.  ``addresses`` are the URLs at which it was probed.  ``listed``
    are the numbers of all releases in the ledger, with the newest of them only.
    """

    environment: str
    release: Release
    run: str = ""
    restorable: bool = True
    obstacle: str = ""
    commits: ShippedCommits | None = None
    pins: tuple[Pin, ...] = ()
    addresses: tuple[str, ...] = ()
    listed: tuple[int, ...] = ()


class ReleaseContent(Struct, frozen=True):
    """The content of a release: its manifest documents, and the digest of every site file by site and path."""

    environment: str
    number: int
    documents: tuple[ManifestDocument, ...] = ()
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class ReviewSection(Struct, frozen=True):
    """One section of a review: its heading, and one sentence a line."""

    heading: str
    lines: tuple[str, ...] = ()


class ReviewRecord(Struct, frozen=True):
    """A monthly review of an environment, without its costs, which the service has itself."""

    environment: str
    at: str
    by: str
    sections: tuple[ReviewSection, ...] = ()

    def section(self, heading: str) -> tuple[str, ...]:
        """Return the lines of a section, empty if there is none."""
        return next((section.lines for section in self.sections if section.heading == heading), ())


class DriftField(Struct, frozen=True):
    """One field that differs from the manifests, as redacted text; ``since`` is when a report first contained it."""

    path: str
    before: str | None
    after: str | None
    since: str = ""


class DriftedResource(Struct, frozen=True):
    """One resource that has drifted, is unhealthy or pending, or could not be checked."""

    address: str
    sync: SyncState
    reason: str = ""
    action: str = ""
    fields: tuple[DriftField, ...] = ()
    since: str = ""


class RestoreDrill(Struct, frozen=True):
    """The last restore drill of a database.

    ``verdict``: ``passed``, ``failed``, ``unverified`` (restored, its rows not read), or "" if there was none yet.
    ``seconds``: from the restoring call until the database could be used.  ``limit_days``: the age from which the
    manifest wants a new drill, 0 for never.
    """

    database: str
    verdict: str = ""
    at: str = ""
    seconds: int = 0
    limit_days: int = 0


class DriftReport(Struct, frozen=True):
    """The result of a drift check; ``resources`` are those not in sync, ``total`` is the number of all resources.

    ``drills``: the last restore drill of every database; None if the check did not read them, and the service keeps
    those of the report before.
    """

    environment: str
    at: str
    by: str
    commit: str
    total: int
    resources: tuple[DriftedResource, ...] = ()
    id: int = 0
    drills: tuple[RestoreDrill, ...] | None = None

    @property
    def drifted(self) -> int:
        return sum(item.sync == "drifted" for item in self.resources)

    @property
    def unhealthy(self) -> int:
        return sum(item.sync == "unhealthy" for item in self.resources)

    @property
    def pending(self) -> int:
        return sum(item.sync == "pending" for item in self.resources)

    @property
    def status(self) -> SyncState:
        """The worst state of the checked resources."""
        states: tuple[SyncState, ...] = ("drifted", "unhealthy", "pending")
        return next((state for state in states if any(item.sync == state for item in self.resources)), "in sync")

    @property
    def unchecked(self) -> int:
        return sum(item.sync == "not checked" for item in self.resources)


class DriftDecision(Struct, frozen=True):
    """A person's decision about a drifted resource; ``until`` is set for ``ignore`` only."""

    environment: str
    address: str
    deed: Literal["accept", "revert", "ignore"]
    by: str
    at: str
    reason: str = ""
    until: str = ""


class PullRequestPlan(Struct, frozen=True):
    """The plan of a pull request; ``fields`` are the fields that it changes, as ``address:path``."""

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
    """Another open pull request that changes the same ``fields``."""

    number: int
    title: str
    url: str
    fields: tuple[str, ...]


class Lease(Struct, frozen=True):
    """The lease of an environment and its queue in order of arrival; ``holder`` is None if the lease is free."""

    environment: str
    fence: int
    holder: Holder | None = None
    waiting: tuple[Waiter, ...] = ()


class ModelVersion(Struct, frozen=True):
    """One version of a model; ``metrics`` by name; ``needs_training`` says why training is needed, "" if not."""

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
    """One environment with its current status."""

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
    """One entry of the audit log: ``hash`` covers all other fields, ``previous`` is the hash of the previous entry.

    ``payload`` is the canonical JSON of the stored record.
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
