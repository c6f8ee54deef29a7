"""A long past, written straight into the tables: thousands of runs, each with events, and what else a year leaves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, Table, insert, select, update

from orchestrator.release import ImageReference, Release, Vector
from orchestrator.state.protocol.records import (
    AuditEntry,
    DriftedResource,
    DriftField,
    DriftReport,
    ModelVersion,
    ReleaseRecord,
    Run,
    RunResult,
    StepEvent,
)
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.store import Store, history_chain
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import write_transaction
from orchestrator.state.server.store.event_hash import extend_hash
from orchestrator.state.server.store.projection import to_json
from orchestrator.vocabulary import Action, Actuation, Outcome
from tests.state.pages.sample_history import NOW, PEOPLE, REPOSITORY_URL, fake_sha

ENVIRONMENTS = tuple(f"shop/e{number}" for number in range(10))
ADDRESSES = tuple(f"s3_bucket.b{number}" for number in range(30))
YEAR_SECONDS = 365 * 86400.0
BATCH_SIZE = 2000
VERBS = ("deploy",) * 8 + ("apply", "rollback")
STATUSES = ("succeeded",) * 8 + ("failed", "returned")
Rows = Iterator[dict[str, Any]]


class LargeHistory:
    """``runs`` runs over a year in ten environments, ``each`` events a run."""

    def __init__(self, run_count: int, events_per_run: int) -> None:
        self.run_count = run_count
        self.events_per_run = events_per_run
        self.outcomes = tuple(
            Outcome(address, Action.UPDATE, Actuation.SUCCEEDED, seconds=2.5) for address in ADDRESSES
        )
        self.event_bodies = self._make_event_bodies()
        self.events_hash = ""
        for body in self.event_bodies:
            self.events_hash = extend_hash(self.events_hash, body)

    def run_id(self, number: int) -> str:
        """The run of this number; the last is the newest."""
        return f"run-{number:06d}"

    @property
    def newest_run_id(self) -> str:
        return self.run_id(self.run_count - 1)

    def make_run(self, number: int) -> Run:
        at = NOW - YEAR_SECONDS * (1 - (number + 1) / (self.run_count + 1))
        status: Any = STATUSES[number // 10 % 10]
        return Run(
            self.run_id(number),
            ENVIRONMENTS[number % 10],
            VERBS[number // 7 % 10],  # type: ignore[arg-type]
            PEOPLE[number % 3],
            fake_sha(number),
            format_timestamp(at),
            status,
            ref="refs/heads/main",
            url=f"{REPOSITORY_URL}/actions/runs/{number}",
            pull_request=number,
            committed_at=format_timestamp(at - 3000),
            ended_at=format_timestamp(at + 120),
            sequence=self.events_per_run,
            cause="" if status == "succeeded" else "apprunner_service.api: it answers 500",
            release=number // 10 + 1,
            outcomes=self.outcomes,
        )

    def run_rows(self) -> Rows:
        for number in range(self.run_count):
            run = self.make_run(number)
            names = ("id", "environment", "verb", "status", "by", "commit", "started_at", "ended_at", "committed_at",
                     "sequence")  # fmt: skip
            yield {
                **{name: getattr(run, name) for name in names},
                "fence": 0,
                "events_hash": self.events_hash,
                "body": to_json(run),
            }

    def _make_event_bodies(self) -> tuple[str, ...]:
        """The events of every run, as they are kept: each tells the same."""
        kinds: tuple[Any, ...] = ("started", "step", "step", "finished")
        return tuple(
            to_json(
                StepEvent(
                    number + 1,
                    format_timestamp(NOW),
                    kinds[number % 4],
                    ADDRESSES[number // 4 % 30],
                    Action.UPDATE,
                    "PUT",
                    outcome=self.outcomes[number // 4 % 30] if number % 4 == 3 else None,
                )
            )
            for number in range(self.events_per_run)
        )

    def event_rows(self) -> Rows:
        for number in range(self.run_count):
            for sequence, body in enumerate(self.event_bodies, 1):
                yield {"run": self.run_id(number), "sequence": sequence, "body": body}

    def release_rows(self) -> Rows:
        for number in range(self.run_count):
            run, release_number = self.make_run(number), number // 10 + 1
            images = {
                "containerservice.api": ImageReference(
                    fake_sha(release_number)[:16], f"sha256:{fake_sha(release_number)}"
                )
            }
            release = Release(
                release_number,
                run.ended_at,
                run.by,
                run.commit,
                Vector(manifests=fake_sha(release_number // 3), images=images),
                "healthy",
            )
            body = to_json(ReleaseRecord(run.environment, release, run.id))
            yield {"environment": run.environment, "number": release_number, "body": body, "content": ""}

    def drift_rows(self) -> Rows:
        drifted = (
            DriftedResource("rds_instance.main", "drifted", fields=(DriftField("allocated_storage", "40", "20"),)),
        )
        for number in range(self.run_count):
            report = DriftReport(
                ENVIRONMENTS[number % 10], self.make_run(number).started_at, "ci", fake_sha(number), 32, drifted
            )
            report = replace(report, id=number // 10 + 1)
            yield {"environment": report.environment, "id": report.id, "at": report.at, "body": to_json(report)}

    def history_rows(self) -> Rows:
        previous = history_chain.GENESIS_HASH
        for number, (at, actor, deed, environment, subject, payload) in enumerate(self._iter_deeds(), 1):
            entry = AuditEntry(number, at, actor, deed, environment, subject, payload, previous, "")
            previous = history_chain.hash_entry(entry)
            yield {name: getattr(entry, name) for name in entry.__struct_fields__} | {"hash": previous}

    def _iter_deeds(self) -> Iterator[tuple[str, str, str, str, str, str]]:
        """Time, actor, deed, environment, subject and payload of everything that the other tables hold."""
        for number, release, drift in zip(range(self.run_count), self.release_rows(), self.drift_rows(), strict=True):
            run = self.make_run(number)
            end = RunResult(run.status, run.ended_at, run.cause, release=run.release, outcomes=run.outcomes,
                            events_hash=self.events_hash)  # fmt: skip
            yield run.started_at, run.by, "run.begin", run.environment, run.id, to_json(run)
            yield run.ended_at, run.by, "run.end", run.environment, run.id, to_json(end)
            yield run.ended_at, run.by, "release", run.environment, str(release["number"]), release["body"]
            yield drift["at"], "ci", "drift", run.environment, str(drift["id"]), drift["body"]
        for model in self.model_rows():
            subject = f"{model['name']} {model['version']}"
            yield model["at"], "ana", "model", model["environment"], subject, model["body"]

    def environment_rows(self) -> Rows:
        last = self.run_count // 10
        for position, key in enumerate(ENVIRONMENTS):
            name = key.partition("/")[2]
            newest = self.run_id(self.run_count - 10 + position)
            yield {"key": key, "project": "shop", "name": name, "account": "", "region": "",
                   "health": "healthy", "monthly_usd": None, "release": last, "run": newest, "drift": last}  # fmt: skip

    def model_rows(self) -> Rows:
        for number in range(60):
            key, version = ENVIRONMENTS[number % 10], f"v{number}"
            model = ModelVersion(
                key,
                "product",
                version,
                format_timestamp(NOW - number * 86400),
                "ana",
                fake_sha(number),
                9_000_000,
                {"accuracy": 0.9},
                current=number < 10,
            )
            yield {"environment": key, "name": "product", "version": version, "at": model.at, "body": to_json(model)}


def fill_store(store: Store, history: LargeHistory) -> None:
    """Write all of it into an empty store."""
    with write_transaction(store.engine) as connection:
        for table, rows in (
            (t.environments, history.environment_rows()),
            (t.runs, history.run_rows()),
            (t.releases, history.release_rows()),
            (t.drifts, history.drift_rows()),
            (t.models, history.model_rows()),
            (t.history, history.history_rows()),
        ):
            _insert_rows(connection, table, rows)
        _insert_events(connection, history)
        newest = select(t.history.c.number, t.history.c.hash).order_by(t.history.c.number.desc()).limit(1)
        last = connection.execute(newest).one()
        connection.execute(update(t.chain).values(number=last.number, hash=last.hash))
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


def _insert_events(connection: Connection, history: LargeHistory) -> None:
    """A million rows: where the database takes text as it is, they are never rows of Python's."""
    if connection.dialect.name != "postgresql":
        _insert_rows(connection, t.events, history.event_rows())
        return
    lines = [f"\t{sequence}\t{_escape_copy(body)}\n" for sequence, body in enumerate(history.event_bodies, 1)]
    cursor: Any = connection.connection.cursor()
    with cursor.copy("COPY events (run, sequence, body) FROM STDIN") as copy:
        for number in range(history.run_count):
            run_id = history.run_id(number)
            copy.write("".join([run_id + line for line in lines]))


def _escape_copy(text: str) -> str:
    """A text as COPY reads it; JSON has no tab and no line end."""
    return text.replace("\\", "\\\\")


def _insert_rows(connection: Connection, table: Table, rows: Rows) -> None:
    if connection.dialect.name != "postgresql":
        for batch in _iter_batches(rows):
            connection.execute(insert(table), batch)
        return
    names = [column.name for column in table.columns]
    quoted = ", ".join(f'"{name}"' for name in names)
    cursor: Any = connection.connection.cursor()
    with cursor.copy(f"COPY {table.name} ({quoted}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([row[name] for name in names])


def _iter_batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH_SIZE)):
        yield batch
