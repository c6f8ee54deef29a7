"""Measure the move of a database: the copy with its proof, beside pg_dump and pg_restore without one."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psycopg

from orchestrator.emulator.database_engine import find_binaries
from orchestrator.postgresql.comparison import compare
from orchestrator.postgresql.connection import parse_url
from orchestrator.postgresql.inventory import read_both
from orchestrator.postgresql.transfer import copy_and_read
from tests.benchmarks.table import Row, format_seconds, median_ratio
from tests.state.postgres import Cluster, run_cluster

MEGABYTES, QUICK_MEGABYTES = 1024, 64
JOBS = 4
TABLES = 8
BYTES_PER_ROW = 170
FILL_SQL = """
CREATE TABLE t{number} (id bigint PRIMARY KEY, name text NOT NULL, attributes jsonb, made timestamptz, price numeric);
INSERT INTO t{number} SELECT n, md5(n::text) || md5((n + 1)::text),
  jsonb_build_object('size', n % 50, 'note', md5((n + 2)::text)), timestamptz '2026-01-01' + n * interval '1 second',
  n / 100.0 FROM generate_series(1, {rows}) n;
CREATE INDEX ON t{number} (made);
"""
MAX_RATIO, MAX_PROOF_SHARE = 1.2, 0.2


def rows(rounds: int, on_progress: Callable[[str], None]) -> list[Row]:
    """Measure ``rounds`` copies each, in turn; one round uses a smaller database."""
    binaries = find_binaries()
    if binaries is None:
        return [Row("database, copy with proof: wall time", "no PostgreSQL server", "", None, None)]
    megabytes = QUICK_MEGABYTES if rounds == 1 else MEGABYTES
    ours, theirs, proofs = [], [], []
    with run_cluster(binaries, "fsync=off", "max_wal_size=4GB") as cluster, tempfile.TemporaryDirectory() as folder:
        source = cluster.create_database()
        _fill(source, megabytes)
        size = _query_megabytes(source)
        for number in range(rounds):
            on_progress(f"database of {size} MB: pg_dump and pg_restore, {number + 1} of {rounds} ...")
            theirs.append(_measure_peer(cluster, source, Path(folder)))
            on_progress(f"database of {size} MB: copy with proof, {number + 1} of {rounds} ...")
            seconds, proof_seconds = _measure_ours(cluster, source, Path(folder))
            ours.append(seconds)
            proofs.append(proof_seconds)
    title = f"database of {size} MB, {TABLES} tables"
    return [
        Row(
            f"{title}, copy with proof: wall time vs pg_dump -j{JOBS}, pg_restore -j{JOBS}",
            format_seconds(ours),
            format_seconds(theirs),
            median_ratio(ours, theirs),
            MAX_RATIO,
            str(rounds),
        ),
        Row(
            f"{title}, proof alone: wall time vs pg_dump -j{JOBS}, pg_restore -j{JOBS}",
            format_seconds(proofs),
            format_seconds(theirs),
            median(proofs) / median(theirs),
            MAX_PROOF_SHARE,
            str(rounds),
        ),
    ]


def _fill(url: str, megabytes: int) -> None:
    count = megabytes * 2**20 // TABLES // BYTES_PER_ROW
    with psycopg.connect(url, autocommit=True) as connection:
        for number in range(TABLES):
            connection.execute(FILL_SQL.format(number=number, rows=count).encode())


def _query_megabytes(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_database_size(current_database()) / 1000000").fetchone()
        assert row is not None
        return int(row[0])


def _measure_peer(cluster: Cluster, source: str, folder: Path) -> float:
    """A copy with PostgreSQL's own programs, in parallel, and ANALYZE, without which it is not ready."""
    target, dump = cluster.create_database(), folder / "peer"
    commands = (
        ["pg_dump", "-Fd", f"-j{JOBS}", "-f", str(dump), source],
        ["pg_restore", f"-j{JOBS}", "--no-owner", "-d", target, str(dump)],
        ["psql", "-q", "-c", "ANALYZE", target],
        ["rm", "-r", str(dump)],
    )
    began = time.monotonic()
    for command in commands:
        subprocess.run(command, check=True, capture_output=True, env={"PATH": os.environ["PATH"]})
    seconds = time.monotonic() - began
    cluster.drop_database(target)
    return seconds


def _measure_ours(cluster: Cluster, source: str, folder: Path) -> tuple[float, float]:
    """The seconds of the whole command's work, and of its proof alone, which ran again on the finished copy."""
    url = cluster.create_database()
    ends = (parse_url(source), parse_url(url))
    began = time.monotonic()
    before = read_both(*ends, with_checksums=False)
    assert compare(*copy_and_read(*ends, before, folder / "work", JOBS, lambda text: None)) == ()
    seconds = time.monotonic() - began
    began = time.monotonic()
    read_both(*ends)
    proof_seconds = time.monotonic() - began
    cluster.drop_database(url)
    return seconds, proof_seconds
