"""Fourteen weeks of a jewellery shop: the real manifests' resources, deployed, failed, gone back from, drifted."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime
from functools import cache

from msgspec.structs import replace

from orchestrator.planning import pipeline
from orchestrator.planning.plan import build, digest
from orchestrator.planning.snapshot import Snapshot
from orchestrator.release import Built, Release, Vector, Written
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
    Run,
    RunEnd,
    StepEvent,
)
from orchestrator.state.protocol.timestamps import stamp
from orchestrator.state.server.store import Store
from orchestrator.vocabulary import Action, Actuation, Health, Outcome, Plan
from tests.proofs.world import MANIFESTS
from tests.render.plans import RICH

NOW = datetime(2026, 11, 24, 11, 0, tzinfo=UTC).timestamp()
DAY = 86400.0
GITHUB = "https://github.com/joiabagur/joiabagur-pv"
PROD, STAGING, DEMO = "joiabagur/prod", "joiabagur/staging", "joiabagur/demo"
PEOPLE = ("marta", "jordi", "aina")
SITE = {
    "index.html": "a1",
    "assets/index-4f8a1c.js": "b2",
    "assets/index-77d0.css": "c3",
    "models/product/model.json": "d4",
}
CAUSE = (
    "rds_instance.main: the database did not become available: storage is being optimised, "
    "and AWS refuses a change of class until that ends (InvalidDBInstanceState)"
)
HINT = "orchestrator deploy -e demo"


class Clock:
    """A clock that is set by hand."""

    def __init__(self, at: float) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def sha(word: object) -> str:
    """A commit, or anything else of forty hexadecimal digits."""
    return hashlib.sha256(str(word).encode()).hexdigest()[:40]


@cache
def first_plan(environment: str) -> Plan:
    """The plan of the real manifests against an empty AWS."""
    desired = pipeline.desired(MANIFESTS, "prod", shipping=False)
    plan = build(desired, Snapshot("123456789012")).plan
    plan = replace(plan, environment=environment.partition("/")[2], vetoes=())
    return replace(plan, digest=digest(plan))


def usual_plan(environment: str, number: int) -> Plan:
    """What an ordinary deploy changes: the image, the site, a setting."""
    wanted = {
        "apprunner_service.api",
        "secretsmanager_value.app",
        "cloudfront_distribution.web",
        "s3_bucket_cors.files",
    }
    all_ = first_plan(environment).changes
    changes = tuple(
        replace(one, action=Action.UPDATE if one.address in wanted else Action.NONE, steps=one.steps[:2], effects=())
        for one in all_
    )
    plan = replace(first_plan(environment), changes=changes, notes=(f"deploy {number}",))
    return replace(plan, digest=hashlib.sha256(f"{environment} {number}".encode()).hexdigest())


def fill(store: Store, clock: Clock) -> None:
    """All of it; afterwards the clock says NOW."""
    pulls(store)
    production(store, clock)
    broken(store, clock)
    live(store, clock)
    drift(store, clock)
    models(store)
    clock.at = NOW


def events(plan: Plan, began: float, *, upto: int = 10_000, failing: str = "") -> tuple[StepEvent, ...]:
    """What an apply of ``plan`` tells, until resource number ``upto``; ``failing`` and all after it fail."""
    found: list[StepEvent] = []

    def tell(kind: str, address: str, **more: object) -> None:
        at = stamp(began + len(found) * 1.1)
        found.append(StepEvent(len(found) + 1, at, kind, address, **more))  # type: ignore[arg-type]

    for place, change in enumerate(plan.pending):
        if place >= upto:
            break
        tell("started", change.address, action=change.action)
        for step in change.steps[:3]:
            tell("step", change.address, what=step.action or step.note)
        if change.address == failing:
            bad = Outcome(change.address, change.action, Actuation.FAILED, Health.FAILED, CAUSE, 61.0)
            tell("finished", change.address, action=change.action, outcome=bad)
            break
        good = Outcome(change.address, change.action, Actuation.SUCCEEDED, seconds=2.0 + place % 7 * 3.3)
        tell("finished", change.address, action=change.action, outcome=good)
    return tuple(found)


def outcomes(told: tuple[StepEvent, ...], plan: Plan) -> tuple[Outcome, ...]:
    """How it ended, by its events; what never began was skipped."""
    ended = {event.address: event.outcome for event in told if event.outcome}
    skipped = "what it needs has failed"
    return tuple(
        ended.get(one.address) or Outcome(one.address, one.action, Actuation.SKIPPED, reason=skipped)
        for one in plan.pending
    )


def run(store: Store, clock: Clock, one: Run, plan: Plan | None, end: RunEnd | None, failing: str = "") -> None:
    """A run as it was, with its plan and its events."""
    began = datetime.fromisoformat(one.started_at).timestamp()
    clock.at = began
    if plan is not None:
        record = PlanRecord(plan.digest, one.environment, one.started_at, one.by, one.commit, plan, 31.4, 0.0)
        store.record_plan(record, one.by)
        one = replace(one, plan=plan.digest)
    store.begin(one, one.by, past=True)
    told = events(plan, began, failing=failing) if plan else ()
    if told:
        store.append(one.id, None, told)
    if end is not None:
        clock.at = datetime.fromisoformat(end.ended_at).timestamp()
        ends = replace(end, outcomes=outcomes(told, plan)) if plan and told else end
        store.end(one.id, None, ends, one.by)


def production(store: Store, clock: Clock) -> None:
    """Deploys of fourteen weeks; every ninth fails, after some somebody goes back."""
    lot = random.Random(7)
    at, number = NOW - 98 * DAY, 0
    deploys = 0
    while at < NOW - 0.2 * DAY:
        deploys += 1
        commit, by = sha(deploys), PEOPLE[deploys % 3]
        plan = first_plan(PROD) if deploys == 1 else usual_plan(PROD, deploys)
        lasted = 480.0 if deploys == 1 else 90 + lot.random() * 80
        lead = lot.uniform(0.4, 6) * 3600 * (2 if at < NOW - 56 * DAY else 1)
        fails = deploys % 9 == 5
        number += not fails
        began = Run(
            f"prod-{deploys:03d}", PROD, "deploy", by, commit, stamp(at), ref="refs/heads/main",
            pull_request=100 + deploys,
            committed_at=stamp(at - lead), url=f"{GITHUB}/actions/runs/{9000 + deploys}",
        )  # fmt: skip
        if fails:
            cause = (
                "apprunner_service.api: the new version answers /api/health with 500: relation products does not exist"
            )
            end = RunEnd("returned", stamp(at + lasted), cause, "orchestrator releases -e prod")
        else:
            end = RunEnd("succeeded", stamp(at + lasted), release=number)
        run(store, clock, began, plan, end)
        if not fails:
            release(store, number, at + lasted, by, commit, began.id)
        if deploys % 13 == 0:
            at += 1800
            number += 1
            back(store, clock, at, number, deploys)
        at += lot.uniform(0.5, 3.4) * DAY
    for one in (1, 2):
        beat = Run(f"merge-{one}", PROD, "deploy", "jordi", sha(f"m{one}"), stamp(NOW - 9 * DAY + one))
        run(store, clock, beat, None, RunEnd("superseded", stamp(NOW - 9 * DAY + one + 5), superseded_by="prod-040"))
    last = Run(
        "prod-last", PROD, "deploy", "marta", sha("last"), stamp(NOW - 3 * 3600), committed_at=stamp(NOW - 3.6 * 3600)
    )
    run(store, clock, last, usual_plan(PROD, 999), RunEnd("succeeded", stamp(NOW - 3 * 3600 + 118), release=number + 1))
    release(store, number + 1, NOW - 3 * 3600 + 118, "marta", sha("last"), last.id)


def back(store: Store, clock: Clock, at: float, number: int, deploys: int) -> None:
    """Somebody goes back."""
    why = "the price list shows prices without tax"
    gone = Run(f"back-{deploys}", PROD, "rollback", "aina", sha(deploys - 1), stamp(at), reason=why)
    run(store, clock, gone, usual_plan(PROD, 500 + deploys), RunEnd("succeeded", stamp(at + 52), release=number))
    release(store, number, at + 52, "aina", sha(deploys - 1), gone.id, of=number - 2, reason=why)


def release(
    store: Store, number: int, at: float, by: str, commit: str, run: str, of: int | None = None, reason: str = ""
) -> None:
    """A release with what it is made of."""
    tag = sha(of or number)[:16]
    edition = (of or number) // 4
    vector = Vector(
        manifests=sha(f"manifests {edition}"),
        images={"containerservice.api": Built(tag, f"sha256:{sha(tag)}{sha(tag)[:24]}")},
        sites={"staticsite.web": sha(f"site {(of or number) // 2}")},
        secrets={"secret.app": "v3" if number > 20 else "v2"},
        models={"bucket.files": f"2026-{9 + number // 18:02d}"},
        schemas={"database.main": 11 + number // 10},
    )
    made = Release(
        number, stamp(at), by, commit, vector, "unproved" if number == 1 else "healthy", of=of, reason=reason
    )
    obstacle = "" if number > 4 else "its image was removed by the registry's retention"
    files = {**SITE, f"assets/index-{sha(number // 2)[:6]}.js": "x"}
    spec = {"cpu": "0.25", "memory": "0.5", "scaling": {"min": 1, "max": 2 + edition}, "alarms": {"http5xx": 5}}
    value = {"kind": "ContainerService", "metadata": {"name": "api"}, "spec": spec}
    content = ReleaseContent(PROD, number, (Written("manifests/api.yaml", value),), {"staticsite.web": files})
    store.record_release(ReleaseRecord(PROD, made, run, not obstacle, obstacle), content, by)


def broken(store: Store, clock: Clock) -> None:
    """The demo's environment, whose last deploy failed."""
    at = NOW - 26 * 3600
    failed = Run(
        "demo-1", DEMO, "deploy", "jordi", sha("demo"), stamp(at), pull_request=188, reason="try a larger database"
    )
    end = RunEnd("failed", stamp(at + 401), CAUSE, HINT)
    run(store, clock, failed, first_plan(DEMO), end, failing="rds_instance.main")


def live(store: Store, clock: Clock) -> None:
    """Staging is being deployed to, and somebody waits."""
    clock.at = NOW - 70
    plan = first_plan(STAGING)
    record = PlanRecord(plan.digest, STAGING, stamp(NOW - 80), "marta", sha("live"), plan, 18.9, 18.9)
    store.record_plan(record, "marta")
    begun = Run(
        "staging-live",
        STAGING,
        "deploy",
        "marta",
        sha("live"),
        stamp(NOW - 70),
        plan=plan.digest,
        reason="merge of #191",
    )
    fence = store.begin(begun, "marta").fence
    store.append(begun.id, fence, events(plan, NOW - 68, upto=14)[:-2])
    clock.at = NOW - 12
    store.beat("staging-live", fence or 0)
    store.begin(
        replace(begun, id="staging-next", by="aina", started_at=stamp(NOW - 12), plan="", reason="merge of #192"),
        "aina",
        waits=True,
    )


def drift(store: Store, clock: Clock) -> None:
    """Somebody changed two things by hand; one could not be looked at."""
    total = len(first_plan(PROD).changes)
    storage = DriftedResource("rds_instance.main", "drifted", "differs", fields=(
        DriftField("allocated_storage", "40", "20"), DriftField("backup_retention_days", "1", "7"),
    ))  # fmt: skip
    alarm = DriftedResource(
        "cloudwatch_alarm.api-5xx", "drifted", "differs", fields=(DriftField("threshold", "50", "5"),)
    )
    dark = DriftedResource(
        "secretsmanager_value.app", "not checked", "this role may not read it", "secretsmanager:GetSecretValue"
    )
    for days, found in (
        (6, ()),
        (5, ()),
        (4, (alarm,)),
        (3, (alarm,)),
        (2, (alarm, dark)),
        (0.2, (storage, alarm, dark)),
    ):
        clock.at = NOW - days * DAY
        store.record_drift(DriftReport(PROD, stamp(clock.at), "drift workflow", sha("last"), total, found), "github")
    decision = DriftDecision(
        PROD, "cloudwatch_alarm.api-5xx", "ignore", "aina", stamp(NOW - DAY), "fair this week", stamp(NOW + 5 * DAY)
    )
    store.decide(decision, "aina")
    store.record_drift(DriftReport(STAGING, stamp(NOW - 0.4 * DAY), "drift workflow", sha("x"), total), "github")


def pulls(store: Store) -> None:
    """Two open pull requests that meet in one field."""
    plan = replace(RICH, digest=hashlib.sha256(b"rich").hexdigest())
    store.record_plan(PlanRecord(plan.digest, PROD, stamp(NOW - 5000), "jordi", sha("pr"), plan, 43.7, 12.3), "jordi")
    base = f"{GITHUB}/pull"
    for number, by, title in ((193, "jordi", "Encrypt the database"), (195, "aina", "PostgreSQL 16 and a larger disk")):
        touched = ("rds_instance.main:engine_version", *(("rds_instance.main:encrypted",) if number == 193 else ()))
        pull = PullRequestPlan(
            PROD, number, sha(number), plan.digest, stamp(NOW - 4000), by, title, f"{base}/{number}", touched
        )
        store.record_pull(pull, by)


def models(store: Store) -> None:
    """Three trainings; the shop has new rings since."""
    why = "14 of 96 products were added or photographed anew since (15 %, the threshold is 10 %)"
    known = (("2026-09-02", 0.874, 71.0, ""), ("2026-10-08", 0.902, 83.0, ""), ("2026-11-03", 0.931, 96.0, why))
    for version, accuracy, products, due in known:
        metrics = {"accuracy": accuracy, "top_3_accuracy": min(0.99, accuracy + 0.05), "products": products}
        store.record_model(
            ModelVersion(PROD, "product", version, f"{version}T07:30:00.000Z", "jordi", sha(version), 9_412_334,
                         metrics, current=version == "2026-11-03", needs_training=due),
            "jordi",
        )  # fmt: skip
