"""Define the tables.  Every query has an index; ``tests/state`` verifies that it is used.

``body`` columns hold the canonical JSON of records; the other columns are for filters and sorting.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

metadata = MetaData()
BigSerial = BigInteger().with_variant(Integer(), "sqlite")

environments = Table(
    "environments",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("project", String(100), nullable=False),
    Column("name", String(100), nullable=False),
    Column("account", String(32), nullable=False, default=""),
    Column("region", String(32), nullable=False, default=""),
    Column("health", String(16), nullable=False, default="unknown"),
    Column("monthly_usd", Float),
    Column("release", Integer),
    Column("run", String(64), nullable=False, default=""),
    Column("drift", Integer),
)
runs = Table(
    "runs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("environment", String(200), nullable=False),
    Column("verb", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("by", String(200), nullable=False),
    Column("commit", String(64), nullable=False),
    Column("started_at", String(32), nullable=False),
    Column("ended_at", String(32), nullable=False, default=""),
    Column("committed_at", String(32), nullable=False, default=""),
    Column("sequence", Integer, nullable=False, default=0),
    Column("fence", Integer, nullable=False, default=0),
    Column("events_hash", String(64), nullable=False, default=""),
    Column("body", Text, nullable=False),
    Index("runs_by_time", "started_at", "id"),
    Index("runs_by_environment", "environment", "started_at", "id"),
    Index("runs_by_status", "environment", "status", "started_at", "id"),
    Index("runs_by_verb", "environment", "verb", "started_at", "id"),
    Index("runs_by_any_status", "status", "started_at", "id"),
    Index("runs_by_any_verb", "verb", "started_at", "id"),
    Index("runs_by_person", "by", "started_at", "id"),
    Index("runs_by_commit", "commit", "started_at", "id"),
)
events = Table(
    "events",
    metadata,
    Column("run", String(64), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("run", "sequence"),
)
plans = Table(
    "plans",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("environment", String(200), nullable=False),
    Column("at", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Index("plans_by_environment", "environment", "at"),
)
costs = Table(
    "costs",
    metadata,
    Column("environment", String(200), nullable=False),
    Column("run", String(64), nullable=False),
    Column("at", String(32), nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("environment", "run"),
    Index("costs_by_time", "environment", "at", "run"),
)
releases = Table(
    "releases",
    metadata,
    Column("environment", String(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("content", Text, nullable=False, default=""),
    PrimaryKeyConstraint("environment", "number"),
)
drifts = Table(
    "drifts",
    metadata,
    Column("environment", String(200), nullable=False),
    Column("id", Integer, nullable=False),
    Column("at", String(32), nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("environment", "id"),
)
decisions = Table(
    "decisions",
    metadata,
    Column("environment", String(200), nullable=False),
    Column("address", String(300), nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("environment", "address"),
)
pull_requests = Table(
    "pull_requests",
    metadata,
    Column("environment", String(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("environment", "number"),
    Index("pull_requests_open", "environment", "is_open", "number"),
)
pull_request_fields = Table(
    "touched",
    metadata,
    Column("environment", String(200), nullable=False),
    Column("field", String(500), nullable=False),
    Column("number", Integer, nullable=False),
    PrimaryKeyConstraint("environment", "field", "number"),
    Index("touched_by_number", "environment", "number"),
)
models = Table(
    "models",
    metadata,
    Column("environment", String(200), nullable=False),
    Column("name", String(100), nullable=False),
    Column("version", String(100), nullable=False),
    Column("at", String(32), nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("environment", "name", "version"),
    Index("models_by_time", "environment", "at"),
    Index("models_by_age", "at"),
)
leases = Table(
    "leases",
    metadata,
    Column("environment", String(200), primary_key=True),
    Column("body", Text, nullable=False),
)
history = Table(
    "history",
    metadata,
    Column("number", BigSerial, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),
    Column("by", String(200), nullable=False),
    Column("deed", String(32), nullable=False),
    Column("environment", String(200), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("payload", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("history_by_environment", "environment", "number"),
    Index("history_by_deed", "environment", "deed", "number"),
    Index("history_by_any_deed", "deed", "number"),
    Index("history_by_person", "by", "number"),
    Index("history_by_time", "at", "number"),
)
chain = Table(
    "chain",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigSerial, nullable=False),
    Column("hash", String(64), nullable=False),
)
stored_responses = Table(
    "answers",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("request", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("until", Float, nullable=False),
    Index("answers_by_time", "until"),
)
tokens = Table(
    "tokens",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("scopes", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("until", Float, nullable=False),
    Column("revoked", Boolean, nullable=False, default=False),
)
sessions = Table(
    "sessions",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("login", String(100), nullable=False),
    Column("role", String(16), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("until", Float, nullable=False),
    Index("sessions_by_time", "until"),
)
used_tokens = Table(
    "seen",
    metadata,
    Column("jti", String(64), primary_key=True),
    Column("until", Float, nullable=False),
    Index("seen_by_time", "until"),
)
outbox = Table(
    "outbox",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("target", String(16), nullable=False),
    Column("body", Text, nullable=False),
    Column("tries", Integer, nullable=False, default=0),
    Column("due", Float),
    Index("outbox_by_time", "due"),
)
