"""Fourteen weeks of a jewellery shop: the real manifests' resources, deployed, failed, gone back from, drifted."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime
from functools import cache

from msgspec.structs import replace

from orchestrator.cost.by_component import ComponentCost
from orchestrator.cost.stack_cost import BudgetLimit, StackCost
from orchestrator.planning import pipeline
from orchestrator.planning.plan import build, compute_digest
from orchestrator.planning.snapshot import Snapshot
from orchestrator.release import ImageReference, ManifestDocument, Pin, Release, Vector
from orchestrator.release.shipped_commits import ShippedCommit, ShippedCommits
from orchestrator.state.protocol.records import (
    DriftDecision,
    DriftedResource,
    DriftField,
    DriftReport,
    ModelVersion,
    PlanRecord,
    PullRequestPlan,
    ReleaseContent,
    ReleaseRecord,
    RestoreDrill,
    ReviewRecord,
    ReviewSection,
    Run,
    RunResult,
    StepEvent,
)
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.store import Store
from orchestrator.vocabulary import Action, Actuation, Health, Outcome, Plan
from tests.proofs.real_stack import MANIFESTS
from tests.render.sample_plans import FULL_PLAN

NOW = datetime(2026, 11, 24, 11, 0, tzinfo=UTC).timestamp()
DAY_SECONDS = 86400.0
REPOSITORY_URL = "https://github.com/joiabagur/joiabagur-pv"
PROD, STAGING, DEMO = "joiabagur/prod", "joiabagur/staging", "joiabagur/demo"
PEOPLE = ("marta", "jordi", "aina")
SITE_FILES = {
    "index.html": "a1",
    "assets/index-4f8a1c.js": "b2",
    "assets/index-77d0.css": "c3",
    "models/product/model.json": "d4",
}
FAILURE_CAUSE = (
    "rds_instance.main: the database did not become available: storage is being optimised, "
    "and AWS refuses a change of class until that ends (InvalidDBInstanceState)"
)
FAILURE_HINT = "orchestrator deploy -e demo"


class FakeClock:
    """A clock that is set by hand."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def fake_sha(word: object) -> str:
    """A commit, or anything else of forty hexadecimal digits."""
    return hashlib.sha256(str(word).encode()).hexdigest()[:40]


@cache
def first_plan(environment: str) -> Plan:
    """The plan of the real manifests against an empty AWS."""
    desired = pipeline.load_desired(MANIFESTS, "prod", include_artefacts=False)
    plan = build(desired, Snapshot("123456789012")).plan
    plan = replace(plan, environment=environment.partition("/")[2], vetoes=())
    return replace(plan, digest=compute_digest(plan))


def routine_plan(environment: str, number: int) -> Plan:
    """What an ordinary deploy changes: the image, the site, a setting."""
    changed_addresses = {
        "apprunner_service.api",
        "secretsmanager_value.app",
        "cloudfront_distribution.web",
        "s3_bucket_cors.files",
    }
    all_changes = first_plan(environment).changes
    changes = tuple(
        replace(
            change,
            action=Action.UPDATE if change.address in changed_addresses else Action.NONE,
            steps=change.steps[:2],
            effects=(),
        )
        for change in all_changes
    )
    plan = replace(first_plan(environment), changes=changes, notes=(f"deploy {number}",))
    return replace(plan, digest=hashlib.sha256(f"{environment} {number}".encode()).hexdigest())


def fill_store(store: Store, clock: FakeClock) -> None:
    """All of it; afterwards the clock says NOW."""
    add_pull_requests(store)
    add_production(store, clock)
    add_failed_deploy(store, clock)
    add_running_deploy(store, clock)
    add_drift(store, clock)
    add_models(store)
    add_review(store)
    clock.now = NOW


def make_events(
    plan: Plan, started_at: float, *, max_resources: int = 10_000, failing_address: str = ""
) -> tuple[StepEvent, ...]:
    """What an apply of ``plan`` tells, until resource number ``upto``; ``failing`` and all after it fail."""
    collected: list[StepEvent] = []

    def add_event(kind: str, address: str, **more: object) -> None:
        at = format_timestamp(started_at + len(collected) * 1.1)
        collected.append(StepEvent(len(collected) + 1, at, kind, address, **more))  # type: ignore[arg-type]

    for position, change in enumerate(plan.pending_changes):
        if position >= max_resources:
            break
        add_event("started", change.address, action=change.action)
        for step in change.steps[:3]:
            add_event("step", change.address, what=step.action or step.note)
        if change.address == failing_address:
            failed_outcome = Outcome(
                change.address, change.action, Actuation.FAILED, Health.FAILED, FAILURE_CAUSE, 61.0
            )
            add_event("finished", change.address, action=change.action, outcome=failed_outcome)
            break
        succeeded_outcome = Outcome(
            change.address, change.action, Actuation.SUCCEEDED, seconds=2.0 + position % 7 * 3.3
        )
        add_event("finished", change.address, action=change.action, outcome=succeeded_outcome)
    return tuple(collected)


def final_outcomes(events: tuple[StepEvent, ...], plan: Plan) -> tuple[Outcome, ...]:
    """How it ended, by its events; what never began was skipped."""
    outcome_by_address = {event.address: event.outcome for event in events if event.outcome}
    skip_reason = "depends on rds_instance.main, which failed"
    return tuple(
        outcome_by_address.get(change.address)
        or Outcome(change.address, change.action, Actuation.SKIPPED, reason=skip_reason)
        for change in plan.pending_changes
    )


def sample_cost(environment: str, at: float) -> StackCost:
    """What the shop costs: a larger database since seven weeks, a second bucket since three."""
    sizes = {
        "database.main": 17.14 if at < NOW - 49 * DAY_SECONDS else 28.4,
        "containerservice.api": 6.2,
        "bucket.files": 0.24,
        "secret.app": 0.4,
        **({"bucket.archive": 2.3} if at > NOW - 21 * DAY_SECONDS else {}),
    }
    components = tuple(ComponentCost(name, usd, usd, usd * 1.5) for name, usd in sizes.items())
    budgets = (BudgetLimit("budget.monthly", 40, (20, 40)),) if environment == PROD else ()
    return StackCost(components, budgets, () if environment == PROD else ("cdn.web",), "2026-11-22")


def store_run(
    store: Store, clock: FakeClock, run: Run, plan: Plan | None, end: RunResult | None, failing_address: str = ""
) -> None:
    """A run as it was, with its plan and its events."""
    started_at = datetime.fromisoformat(run.started_at).timestamp()
    clock.now = started_at
    if plan is not None:
        record = PlanRecord(plan.digest, run.environment, run.started_at, run.by, run.commit, plan, 31.4, 0.0)
        store.record_plan(record, run.by)
        run = replace(run, plan=plan.digest)
    store.begin_run(run, run.by, from_journal=True)
    step_events = make_events(plan, started_at, failing_address=failing_address) if plan else ()
    if step_events:
        store.append_events(run.id, None, step_events)
    if end is not None:
        clock.now = datetime.fromisoformat(end.ended_at).timestamp()
        final_end = replace(end, outcomes=final_outcomes(step_events, plan)) if plan and step_events else end
        if plan is not None and end.status == "succeeded":
            final_end = replace(final_end, cost=sample_cost(run.environment, started_at))
        store.end_run(run.id, None, final_end, run.by)


TITLES: tuple[tuple[str, int | None], ...] = (
    ("Show the stock of each shop on the product page", 187),
    ("Round prices with tax to five cents", 186),
    ("Tidy up the imports of the catalogue", None),
    ("Recognise rings with two stones, and tell them apart from those with three by the shape of their setting", 184),
    ("Print receipts on paper of 58 mm", 183),
    ("Update dependencies", 182),
)
"""Titles of commits, and the pull requests that they merged."""


def add_production(store: Store, clock: FakeClock) -> None:
    """Deploys of fourteen weeks; every ninth fails, after some somebody goes back."""
    rng = random.Random(7)
    at, number = NOW - 98 * DAY_SECONDS, 0
    deploys = 0
    while at < NOW - 0.2 * DAY_SECONDS:
        deploys += 1
        commit, by = fake_sha(deploys), PEOPLE[deploys % 3]
        plan = first_plan(PROD) if deploys == 1 else routine_plan(PROD, deploys)
        duration = 480.0 if deploys == 1 else 90 + rng.random() * 80
        lead = rng.uniform(0.4, 6) * 3600 * (2 if at < NOW - 56 * DAY_SECONDS else 1)
        is_failing = deploys % 9 == 5
        number += not is_failing
        deploy_run = Run(
            f"prod-{deploys:03d}", PROD, "deploy", by, commit, format_timestamp(at), ref="refs/heads/main",
            pull_request=100 + deploys,
            committed_at=format_timestamp(at - lead), url=f"{REPOSITORY_URL}/actions/runs/{9000 + deploys}",
            commit_title=TITLES[deploys % len(TITLES)][0], commit_author=PEOPLE[(deploys + 1) % 3],
        )  # fmt: skip
        if is_failing:
            cause = (
                "apprunner_service.api: the new version answers /api/health with 500: relation products does not exist"
            )
            end = RunResult("returned", format_timestamp(at + duration), cause, "orchestrator releases -e prod")
        else:
            end = RunResult("succeeded", format_timestamp(at + duration), release=number)
        store_run(store, clock, deploy_run, plan, end)
        if not is_failing:
            add_release(store, number, at + duration, by, commit, deploy_run.id)
        if deploys % 13 == 0:
            at += 1800
            number += 1
            add_rollback(store, clock, at, number, deploys)
        at += rng.uniform(0.5, 3.4) * DAY_SECONDS
    for merge_number in (1, 2):
        superseded_run = Run(
            f"merge-{merge_number}",
            PROD,
            "deploy",
            "jordi",
            fake_sha(f"m{merge_number}"),
            format_timestamp(NOW - 9 * DAY_SECONDS + merge_number),
        )
        store_run(
            store,
            clock,
            superseded_run,
            None,
            RunResult(
                "superseded", format_timestamp(NOW - 9 * DAY_SECONDS + merge_number + 5), superseded_by="prod-040"
            ),
        )
    last_run = Run(
        "prod-last",
        PROD,
        "deploy",
        "marta",
        fake_sha("last"),
        format_timestamp(NOW - 3 * 3600),
        committed_at=format_timestamp(NOW - 3.6 * 3600),
    )
    store_run(
        store,
        clock,
        last_run,
        routine_plan(PROD, 999),
        RunResult("succeeded", format_timestamp(NOW - 3 * 3600 + 118), release=number + 1),
    )
    add_release(store, number + 1, NOW - 3 * 3600 + 118, "marta", fake_sha("last"), last_run.id)


def add_rollback(store: Store, clock: FakeClock, at: float, number: int, deploys: int) -> None:
    """Somebody goes back."""
    reason = "the price list shows prices without tax"
    rollback_run = Run(
        f"back-{deploys}", PROD, "rollback", "aina", fake_sha(deploys - 1), format_timestamp(at), reason=reason
    )
    store_run(
        store,
        clock,
        rollback_run,
        routine_plan(PROD, 500 + deploys),
        RunResult("succeeded", format_timestamp(at + 52), release=number),
    )
    add_release(
        store,
        number,
        at + 52,
        "aina",
        fake_sha(deploys - 1),
        rollback_run.id,
        restored_number=number - 2,
        reason=reason,
    )


def add_release(
    store: Store,
    number: int,
    at: float,
    by: str,
    commit: str,
    run: str,
    restored_number: int | None = None,
    reason: str = "",
) -> None:
    """A release with what it is made of."""
    tag = fake_sha(restored_number or number)[:16]
    settings_version = (restored_number or number) // 4
    vector = Vector(
        manifests=fake_sha(f"manifests {settings_version}"),
        images={"containerservice.api": ImageReference(tag, f"sha256:{fake_sha(tag)}{fake_sha(tag)[:24]}")},
        sites={"staticsite.web": fake_sha(f"site {(restored_number or number) // 2}")},
        secrets={"secret.app": "v3" if number > 20 else "v2"},
        models={"bucket.files": f"2026-{9 + number // 18:02d}"},
        schemas={"database.main": 11 + number // 10},
    )
    new_release = Release(
        number,
        format_timestamp(at),
        by,
        commit,
        vector,
        "unproved" if number == 1 else "healthy",
        of=restored_number,
        reason=reason,
    )
    obstacle = "" if number > 4 else "its image was removed by the registry's retention"
    files = {**SITE_FILES, f"assets/index-{fake_sha(number // 2)[:6]}.js": "x"}
    spec = {
        "cpu": "0.25",
        "memory": "0.5",
        "scaling": {"min": 1, "max": 2 + settings_version},
        "alarms": {"http5xx": 5},
    }
    value = {"kind": "ContainerService", "metadata": {"name": "api"}, "spec": spec}
    content = ReleaseContent(PROD, number, (ManifestDocument("manifests/api.yaml", value),), {"staticsite.web": files})
    commits = ShippedCommits(
        tuple(
            ShippedCommit(fake_sha(f"{number} {index}"), format_timestamp(at), PEOPLE[index % 3], title, pull_request)
            for index, (title, pull_request) in enumerate(TITLES[number % 4 :][:3])
        )
    )
    pins = (
        (Pin("site:staticsite.web", "d1", number - 1, number, format_timestamp(at), "aina", "prices without tax"),)
        if reason or number > 40
        else ()
    )
    shipped, addresses = None if restored_number else commits, ("https://shop.joiabagur.example/",)
    record = ReleaseRecord(PROD, new_release, run, not obstacle, obstacle, shipped, pins, addresses)
    store.record_release(record, content, by)


def add_failed_deploy(store: Store, clock: FakeClock) -> None:
    """The demo's environment, whose last deploy failed."""
    at = NOW - 26 * 3600
    failed = Run(
        "demo-1",
        DEMO,
        "deploy",
        "jordi",
        fake_sha("demo"),
        format_timestamp(at),
        pull_request=188,
        reason="try a larger database",
    )
    end = RunResult("failed", format_timestamp(at + 401), FAILURE_CAUSE, FAILURE_HINT)
    store_run(store, clock, failed, first_plan(DEMO), end, failing_address="rds_instance.main")


def add_running_deploy(store: Store, clock: FakeClock) -> None:
    """Staging is being deployed to, and somebody waits."""
    clock.now = NOW - 70
    plan = first_plan(STAGING)
    record = PlanRecord(plan.digest, STAGING, format_timestamp(NOW - 80), "marta", fake_sha("live"), plan, 18.9, 18.9)
    store.record_plan(record, "marta")
    running_deploy = Run(
        "staging-live",
        STAGING,
        "deploy",
        "marta",
        fake_sha("live"),
        format_timestamp(NOW - 70),
        plan=plan.digest,
        reason="merge of #191",
    )
    fence = store.begin_run(running_deploy, "marta").fence
    store.append_events(running_deploy.id, fence, make_events(plan, NOW - 68, max_resources=14)[:-2])
    clock.now = NOW - 12
    store.renew_lease("staging-live", fence or 0)
    store.begin_run(
        replace(
            running_deploy,
            id="staging-next",
            by="aina",
            started_at=format_timestamp(NOW - 12),
            plan="",
            reason="merge of #192",
        ),
        "aina",
        can_wait=True,
    )


def add_review(store: Store) -> None:
    """What somebody found on the first of the month."""
    sections = (
        ReviewSection(
            "Possible savings", ("database.main: db.t4g.small instead of db.t3.small saves 1.46 USD a month",)
        ),
        ReviewSection("Leftovers", ("Snapshot before-the-import of joiabagur-prod-main, 20 GB, is 91 days old.",)),
        ReviewSection("Access keys", ("aina, key ...3F2A: 214 days old: replace it, or use roles.",)),
        ReviewSection("Drift", ("2 drifted, 31 in sync. Details: `orchestrator drift`",)),
        ReviewSection("Restore drills", ("No restore drill is due.",)),
        ReviewSection("Dates", ("2027-02-28  rds_instance.main: standard support of PostgreSQL 13 ends",)),
        ReviewSection("Not checked", ("All data was read.",)),
    )
    store.record_review(ReviewRecord(PROD, format_timestamp(NOW - 20 * DAY_SECONDS), "aina", sections), "aina")


def add_drift(store: Store, clock: FakeClock) -> None:
    """Somebody changed two things by hand; one could not be looked at."""
    total = len(first_plan(PROD).changes)
    storage = DriftedResource("rds_instance.main", "drifted", "differs", fields=(
        DriftField("allocated_storage", "40", "20"), DriftField("backup_retention_days", "1", "7"),
    ))  # fmt: skip
    alarm = DriftedResource(
        "cloudwatch_alarm.api-5xx", "drifted", "differs", fields=(DriftField("threshold", "50", "5"),)
    )
    unchecked = DriftedResource(
        "secretsmanager_value.app", "not checked", "this role may not read it", "secretsmanager:GetSecretValue"
    )
    # Reports of deploys do not read it, so the first report's stays.
    drill = RestoreDrill("main", "passed", format_timestamp(NOW - 40 * DAY_SECONDS), 754, 30)
    for days, resources in (
        (6, ()),
        (5, ()),
        (4, (alarm,)),
        (3, (alarm,)),
        (2, (alarm, unchecked)),
        (0.2, (storage, alarm, unchecked)),
    ):
        clock.now = NOW - days * DAY_SECONDS
        store.record_drift_report(
            DriftReport(
                *(PROD, format_timestamp(clock.now), "drift workflow", fake_sha("last"), total, resources),
                drills=(drill,) if days == 6 else None,
            ),
            "github",
        )
    decision = DriftDecision(
        PROD,
        "cloudwatch_alarm.api-5xx",
        "ignore",
        "aina",
        format_timestamp(NOW - DAY_SECONDS),
        "fair this week",
        format_timestamp(NOW + 5 * DAY_SECONDS),
    )
    store.record_drift_decision(decision, "aina")
    store.record_drift_report(
        DriftReport(STAGING, format_timestamp(NOW - 0.4 * DAY_SECONDS), "drift workflow", fake_sha("x"), total),
        "github",
    )


def add_pull_requests(store: Store) -> None:
    """Two open pull requests that meet in one field."""
    plan = replace(FULL_PLAN, digest=hashlib.sha256(b"rich").hexdigest())
    store.record_plan(
        PlanRecord(plan.digest, PROD, format_timestamp(NOW - 5000), "jordi", fake_sha("pr"), plan, 43.7, 12.3), "jordi"
    )
    base = f"{REPOSITORY_URL}/pull"
    for number, by, title in ((193, "jordi", "Encrypt the database"), (195, "aina", "PostgreSQL 16 and a larger disk")):
        touched = ("rds_instance.main:engine_version", *(("rds_instance.main:encrypted",) if number == 193 else ()))
        pull = PullRequestPlan(
            PROD,
            number,
            fake_sha(number),
            plan.digest,
            format_timestamp(NOW - 4000),
            by,
            title,
            f"{base}/{number}",
            touched,
        )
        store.record_pull_request(pull, by)


def add_models(store: Store) -> None:
    """Three trainings; the shop has new rings since."""
    training_reason = "14 of 96 products were added or have new photos (15 %; threshold 10 %)"
    versions = (
        ("2026-09-02", 0.874, 71.0, ""),
        ("2026-10-08", 0.902, 83.0, ""),
        ("2026-11-03", 0.931, 96.0, training_reason),
    )
    for version, accuracy, products, reason in versions:
        metrics = {"accuracy": accuracy, "top_3_accuracy": min(0.99, accuracy + 0.05), "products": products}
        store.record_model_version(
            ModelVersion(PROD, "product", version, f"{version}T07:30:00.000Z", "jordi", fake_sha(version), 9_412_334,
                         metrics, current=version == "2026-11-03", needs_training=reason),
            "jordi",
        )  # fmt: skip
