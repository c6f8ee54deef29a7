"""A long past, written straight into the tables: thousands of runs, each with events, and what else a year leaves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, Table, insert, select, update

from orchestrator.release import Built, Release, Vector
from orchestrator.state.protocol.records import (
    AuditEntry,
    DriftedResource,
    DriftField,
    DriftReport,
    ModelVersion,
    ReleaseRecord,
    Run,
    RunEnd,
    StepEvent,
)
from orchestrator.state.protocol.timestamps import stamp
from orchestrator.state.server.store import Store, history_chain
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import writing
from orchestrator.state.server.store.event_hash import woven
from orchestrator.state.server.store.projection import text
from orchestrator.vocabulary import Action, Actuation, Outcome
from tests.state.pages.past import GITHUB, NOW, PEOPLE, sha

ENVIRONMENTS = tuple(f"shop/e{number}" for number in range(10))
ADDRESSES = tuple(f"s3_bucket.b{number}" for number in range(30))
A_YEAR = 365 * 86400.0
SOME = 2000
VERBS = ("deploy",) * 8 + ("apply", "rollback")
STATUSES = ("succeeded",) * 8 + ("failed", "returned")
Rows = Iterator[dict[str, Any]]


class Crowd:
    """``runs`` runs over a year in ten environments, ``each`` events a run."""

    def __init__(self, runs: int, each: int) -> None:
        self.runs = runs
        self.each = each
        self.outcomes = tuple(Outcome(one, Action.UPDATE, Actuation.SUCCEEDED, seconds=2.5) for one in ADDRESSES)
        self.bodies = self._bodies()
        self.woven = ""
        for body in self.bodies:
            self.woven = woven(self.woven, body)

    def id(self, number: int) -> str:
        """The run of this number; the last is the newest."""
        return f"run-{number:06d}"

    @property
    def newest(self) -> str:
        return self.id(self.runs - 1)

    def run(self, number: int) -> Run:
        at = NOW - A_YEAR * (1 - (number + 1) / (self.runs + 1))
        status: Any = STATUSES[number // 10 % 10]
        return Run(
            self.id(number), ENVIRONMENTS[number % 10], VERBS[number // 7 % 10], PEOPLE[number % 3],  # type: ignore[arg-type]
            sha(number), stamp(at), status, ref="refs/heads/main", url=f"{GITHUB}/actions/runs/{number}",
            pull_request=number, committed_at=stamp(at - 3000), ended_at=stamp(at + 120), sequence=self.each,
            cause="" if status == "succeeded" else "apprunner_service.api: it answers 500",
            release=number // 10 + 1, outcomes=self.outcomes,
        )  # fmt: skip

    def run_rows(self) -> Rows:
        for number in range(self.runs):
            run = self.run(number)
            names = ("id", "environment", "verb", "status", "by", "commit", "started_at", "ended_at", "committed_at",
                     "sequence")  # fmt: skip
            yield {
                **{name: getattr(run, name) for name in names},
                "fence": 0,
                "events_hash": self.woven,
                "body": text(run),
            }

    def _bodies(self) -> tuple[str, ...]:
        """The events of every run, as they are kept: each tells the same."""
        kinds: tuple[Any, ...] = ("started", "step", "step", "finished")
        return tuple(
            text(StepEvent(number + 1, stamp(NOW), kinds[number % 4], ADDRESSES[number // 4 % 30], Action.UPDATE, "PUT",
                           outcome=self.outcomes[number // 4 % 30] if number % 4 == 3 else None))
            for number in range(self.each)
        )  # fmt: skip

    def event_rows(self) -> Rows:
        for number in range(self.runs):
            for sequence, body in enumerate(self.bodies, 1):
                yield {"run": self.id(number), "sequence": sequence, "body": body}

    def release_rows(self) -> Rows:
        for number in range(self.runs):
            run, count = self.run(number), number // 10 + 1
            images = {"containerservice.api": Built(sha(count)[:16], f"sha256:{sha(count)}")}
            made = Release(count, run.ended_at, run.by, run.commit, Vector(manifests=sha(count // 3), images=images),
                           "healthy")  # fmt: skip
            body = text(ReleaseRecord(run.environment, made, run.id))
            yield {"environment": run.environment, "number": count, "body": body, "content": ""}

    def drift_rows(self) -> Rows:
        found = (
            DriftedResource("rds_instance.main", "drifted", fields=(DriftField("allocated_storage", "40", "20"),)),
        )
        for number in range(self.runs):
            report = DriftReport(ENVIRONMENTS[number % 10], self.run(number).started_at, "ci", sha(number), 32, found)
            report = replace(report, id=number // 10 + 1)
            yield {"environment": report.environment, "id": report.id, "at": report.at, "body": text(report)}

    def history_rows(self) -> Rows:
        previous = history_chain.BEGINNING
        for number in range(1, 2 * self.runs + 1):
            run, ends = self.run((number - 1) // 2), number % 2 == 0
            end = RunEnd(run.status, run.ended_at, run.cause, release=run.release, outcomes=run.outcomes,
                         events_hash=self.woven)  # fmt: skip
            told: Any = end if ends else run
            deed, at = ("run.end", run.ended_at) if ends else ("run.begin", run.started_at)
            entry = AuditEntry(number, at, run.by, deed, run.environment, run.id, text(told), previous, "")
            previous = history_chain.link(entry)
            yield {name: getattr(entry, name) for name in entry.__struct_fields__} | {"hash": previous}

    def environment_rows(self) -> Rows:
        last = self.runs // 10
        for place, key in enumerate(ENVIRONMENTS):
            name = key.partition("/")[2]
            newest = self.id(self.runs - 10 + place)
            yield {"key": key, "project": "shop", "name": name, "account": "123456789012", "region": "eu-west-3",
                   "health": "healthy", "monthly_usd": 31.4, "release": last, "run": newest, "drift": last}  # fmt: skip

    def model_rows(self) -> Rows:
        for number in range(60):
            key, version = ENVIRONMENTS[number % 10], f"v{number}"
            model = ModelVersion(key, "product", version, stamp(NOW - number * 86400), "ana", sha(number), 9_000_000,
                                 {"accuracy": 0.9}, current=number < 10)  # fmt: skip
            yield {"environment": key, "name": "product", "version": version, "at": model.at, "body": text(model)}


def fill(store: Store, crowd: Crowd) -> None:
    """Write all of it into an empty store."""
    with writing(store.engine) as connection:
        for table, rows in (
            (t.environments, crowd.environment_rows()), (t.runs, crowd.run_rows()), (t.releases, crowd.release_rows()),
            (t.drifts, crowd.drift_rows()), (t.models, crowd.model_rows()), (t.history, crowd.history_rows()),
        ):  # fmt: skip
            _put(connection, table, rows)
        _put_events(connection, crowd)
        newest = select(t.history.c.hash).order_by(t.history.c.number.desc()).limit(1)
        last = connection.execute(newest).scalar_one()
        connection.execute(update(t.chain).values(number=2 * crowd.runs, hash=last))
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


def _put_events(connection: Connection, crowd: Crowd) -> None:
    """A million rows: where the database takes text as it is, they are never rows of Python's."""
    if connection.dialect.name != "postgresql":
        _put(connection, t.events, crowd.event_rows())
        return
    lines = [f"\t{sequence}\t{_copied(body)}\n" for sequence, body in enumerate(crowd.bodies, 1)]
    cursor: Any = connection.connection.cursor()
    with cursor.copy("COPY events (run, sequence, body) FROM STDIN") as copy:
        for number in range(crowd.runs):
            id_ = crowd.id(number)
            copy.write("".join([id_ + line for line in lines]))


def _copied(text: str) -> str:
    """A text as COPY reads it; JSON has no tab and no line end."""
    return text.replace("\\", "\\\\")


def _put(connection: Connection, table: Table, rows: Rows) -> None:
    if connection.dialect.name != "postgresql":
        for some in _some(rows):
            connection.execute(insert(table), some)
        return
    names = [column.name for column in table.columns]
    quoted = ", ".join(f'"{name}"' for name in names)
    cursor: Any = connection.connection.cursor()
    with cursor.copy(f"COPY {table.name} ({quoted}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([row[name] for name in names])


def _some(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    each = iter(rows)
    while some := list(islice(each, SOME)):
        yield some
