"""Copies that are disturbed: each ends with an error that says what to do, or with a difference by name.

The next undisturbed run finishes each, and PostgreSQL's own dump of both sides is the judge.
"""

from __future__ import annotations

import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace

from orchestrator.emulator.database_engine import find_binaries
from orchestrator.postgresql.comparison import Difference, compare
from orchestrator.postgresql.connection import ConnectionTarget, parse_url
from orchestrator.postgresql.inventory import read_both
from orchestrator.postgresql.transfer import check_before, copy_database
from orchestrator.problems import Problems
from tests.postgresql.hostile_proxy import break_off_after, replace_text, run_proxy
from tests.postgresql.rich_database import CONTENTS, SUPERUSER_CONTENTS, fill
from tests.state.postgres import Cluster, run_cluster

pytestmark = [
    pytest.mark.real_parts,
    pytest.mark.skipif(find_binaries() is None, reason="needs PostgreSQL's server programs"),
]
SHOP = """
CREATE TABLE product (id int PRIMARY KEY, name text);
CREATE TABLE sale (id int PRIMARY KEY, product int REFERENCES product, at timestamptz DEFAULT now());
INSERT INTO product SELECT n, 'ring ' || n FROM generate_series(1, 2000) n;
INSERT INTO sale SELECT n, n FROM generate_series(1, 2000) n;
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    binaries = find_binaries()
    assert binaries is not None
    with run_cluster(binaries) as running:
        yield running


class Copy:
    """A source, an empty target, and copies of one to the other."""

    def __init__(self, cluster: Cluster, work: Path, contents: str = SHOP) -> None:
        self.urls = (cluster.create_database(), cluster.create_database())
        self.source, self.target = (parse_url(url) for url in self.urls)
        self.work = work
        fill(self.urls[0], contents)

    def run(
        self,
        source: ConnectionTarget | None = None,
        target: ConnectionTarget | None = None,
        on_progress: Callable[[str], None] = lambda text: None,
    ) -> tuple[Difference, ...]:
        """Copy what differs and return the differences that remain."""
        source, target = source or self.source, target or self.target
        copy_database(source, target, read_both(source, target), self.work, 2, on_progress)
        return compare(*read_both(source, target))

    def execute(self, statement: str, *, in_target: bool = False) -> None:
        fill(self.urls[in_target], statement)

    def assert_finished(self) -> None:
        """The next run finishes, and pg_dump sees no difference."""
        assert self.run() == ()
        assert dump(self.urls[0]) == dump(self.urls[1])
        assert list(self.work.iterdir()) == []


@pytest.fixture
def copy(cluster: Cluster, tmp_path: Path) -> Copy:
    return Copy(cluster, tmp_path)


def dump(url: str) -> list[str]:
    command = ["pg_dump", "--no-owner", "--exclude-schema=orchestrator_migration", url]
    environment = {"PATH": os.environ["PATH"]}
    text = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return sorted(line for line in text.splitlines() if not line.startswith("\\"))


@pytest.mark.parametrize(("side", "sent"), [("source", 60_000), ("target", 5_000)])
def test_a_connection_that_breaks_off(copy: Copy, side: str, sent: int) -> None:
    """Whatever was under way, the error names the server, and the next run copies the rest."""
    login = {"source": copy.source, "target": copy.target}[side]
    with run_proxy(login.port, break_off_after(sent)) as port:
        with pytest.raises(Problems) as caught:
            copy.run(**{side: replace(login, port=port)})  # type: ignore[arg-type]
        assert f":{port}/" in str(caught.value)
    copy.assert_finished()


def test_a_network_that_changes_rows_is_found_out(copy: Copy) -> None:
    """Without TLS nobody notices on the way; the servers' own checksums do, and say which table."""
    with run_proxy(copy.source.port, replace_text(b"ring 777", b"ring 778")) as port:
        lying = replace(copy.source, port=port, ssl_mode="disable")
        copy_database(lying, copy.target, read_both(copy.source, copy.target), copy.work, 2, lambda text: None)

    found = compare(*read_both(copy.source, copy.target))
    assert [str(item) for item in found] == ["table public.product: 2000 rows on both sides, but their contents differ"]
    copy.assert_finished()


def test_a_dump_that_is_terminated(copy: Copy) -> None:
    """An operator, or a fail-over of the source, ends the session that is read."""

    def terminate(text: str) -> None:
        if text.startswith("copy the rows"):
            threading.Thread(target=end_dumps, args=[copy]).start()

    copy.execute("INSERT INTO product SELECT n, repeat(md5(n::text), 30) FROM generate_series(3000, 40000) n")
    with pytest.raises(Problems, match="terminat") as caught:
        copy.run(on_progress=terminate)
    assert copy.source.label in str(caught.value)
    copy.assert_finished()


def end_dumps(copy: Copy) -> None:
    """End the next session of pg_dump that copies rows."""
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND query LIKE 'COPY%' AND state = 'active'"
    )
    with psycopg.connect(copy.urls[0], autocommit=True) as connection:
        while not connection.execute(kill.encode()).fetchall():
            pass


def test_a_disk_without_space_on_this_machine(copy: Copy) -> None:
    """The kernel's own ENOSPC, from a dump that is written to a full device."""

    copy.execute("DO $$ BEGIN FOR n IN 1..60 LOOP EXECUTE format('CREATE TABLE t%s (id int)', n); END LOOP; END $$")

    def fill_disk(text: str) -> None:
        if text == "copy definitions":
            (copy.work / "dump" / "schema.dump").symlink_to("/dev/full")

    with pytest.raises(Problems) as caught:
        copy.run(on_progress=fill_disk)
    assert "No space left on device" in str(caught.value)
    assert "free some disk space" in str(caught.value)
    copy.assert_finished()


def test_a_target_without_space(copy: Copy) -> None:
    """PostgreSQL's disk_full (53100): the remedy is the Database's storage, and other tables arrive meanwhile."""
    copy.execute(
        """CREATE FUNCTION full_disk(text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'could not extend file "base/1": No space left on device' USING ERRCODE = '53100'; END $$;
        CREATE TABLE product (id int, name text CHECK (full_disk(name)));""",
        in_target=True,
    )
    with pytest.raises(Problems, match="No space left on device") as caught:
        copy.run()
    assert "raise `storage.sizeGb` of the Database" in str(caught.value)
    copy.execute("DROP TABLE product; DROP FUNCTION full_disk", in_target=True)
    copy.assert_finished()


def test_tables_that_change_during_the_copy(copy: Copy) -> None:
    """Rows, a new table and a dropped one: each is named, and the next run brings the rest."""
    copy.execute("CREATE TABLE gone (id int)")

    def write(text: str) -> None:
        if text.startswith("build indexes"):
            copy.execute("INSERT INTO sale SELECT 9999, 1; CREATE TABLE new (id int); DROP TABLE gone")

    found = copy.run(on_progress=write)

    assert {(item.kind, item.name) for item in found} >= {
        ("table", "public.sale"), ("table", "public.new"), ("table", "public.gone")
    }  # fmt: skip
    assert "table public.sale: 2001 rows in the source, 2000 in the target" in map(str, found)
    copy.execute("DROP TABLE gone", in_target=True)
    copy.assert_finished()


def test_a_table_that_somebody_has_locked(copy: Copy) -> None:
    """The copy does not wait for ever; the timeout is the server's, here of milliseconds."""
    with psycopg.connect(copy.urls[0]) as connection:
        connection.execute("LOCK TABLE sale IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Problems, match="lock timeout") as caught:
            read_both(replace(copy.source, lock_timeout_ms=50), copy.target)
    assert "another session has locked a table" in str(caught.value)


ODD_NAMES = (
    "a.b", "x*y", "q?", "back\\slash", "new\nline", "tab\there", "select", "UPPER", "1st", "it's", 'say "hi"', "$1",
    "caf\u00e9", "\u5e97", "r" * 63, " ", "%s", "{}", "a|b", "-- x", "/*", "semi;colon",
)  # fmt: skip


def test_names_that_are_patterns_quotes_or_keywords(cluster: Cluster, tmp_path: Path) -> None:
    """Each alone, so that each is a pattern of pg_dump's --table: no table more is copied, none less."""
    quoted = ['"' + name.replace('"', '""') + '"' for name in ODD_NAMES]
    contents = "".join(
        f"CREATE TABLE {name} (id serial, {name} int);\n  INSERT INTO {name} ({name}) VALUES ({number});"
        for number, name in enumerate(quoted)
    )
    copy = Copy(
        cluster, tmp_path, f"CREATE TABLE ab (id int); CREATE TABLE xy (id int); CREATE TABLE q1 (id int); {contents}"
    )
    copy.assert_finished()
    copy.execute("".join(f"DELETE FROM {name};" for name in quoted), in_target=True)

    copy.execute("INSERT INTO ab VALUES (1); INSERT INTO xy VALUES (1); INSERT INTO q1 VALUES (1)", in_target=True)
    before = read_both(copy.source, copy.target)
    copied = copy_database(copy.source, copy.target, before, copy.work, 2, lambda text: None)
    assert len(copied) == len(ODD_NAMES) + 3
    copy.assert_finished()


def test_a_thousand_tables(cluster: Cluster, tmp_path: Path) -> None:
    """All of them, and then a few that differ."""
    statement = (
        "DO $$ BEGIN FOR n IN 1..1000 LOOP EXECUTE format('CREATE TABLE t%s AS SELECT %s AS a', n, n); END LOOP; END $$"
    )
    copy = Copy(cluster, tmp_path, statement)
    assert copy.run() == ()
    copy.execute("DELETE FROM t7; UPDATE t999 SET a = 0", in_target=True)
    before = read_both(copy.source, copy.target)
    assert copy_database(copy.source, copy.target, before, copy.work, 2, lambda text: None) == (
        "public.t7",
        "public.t999",
    )
    assert compare(*read_both(copy.source, copy.target)) == ()


def test_a_database_of_another_encoding_keeps_its_names(cluster: Cluster, tmp_path: Path) -> None:
    """LATIN1: what the programs print is read as what it is; the difference is refused before anything is written."""
    cluster.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    url = cluster.url("latin")
    fill(url, 'CREATE TABLE "caf\u00e9" (id int)')

    source, target = read_both(parse_url(url), parse_url(cluster.create_database()))

    assert list(source.tables) == ['public."caf\u00e9"']
    problems = check_before(source, target, frozenset(source.extensions), 10**12)
    assert ["the encodings differ" in item.message for item in problems] == [True]


def test_rows_behind_a_policy_are_not_skipped(copy: Copy) -> None:
    """A user who would see some rows only is refused: a count of what he sees would prove nothing."""
    copy.execute(
        "CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader; "
        "ALTER TABLE sale ENABLE ROW LEVEL SECURITY; CREATE POLICY early ON sale USING (id < 10)"
    )
    with pytest.raises(Problems, match="row-level security policy") as caught:
        read_both(replace(copy.source, username="reader"), copy.target)
    assert "as the table owner" in str(caught.value)


def test_the_dump_is_readable_by_nobody_else_and_does_not_stay(copy: Copy) -> None:
    """Every row of the source is in it; a killed run's is replaced."""
    modes = set()
    (copy.work / "dump" / "rows").mkdir(parents=True)
    (copy.work / "dump" / "rows" / "toc.dat").write_text("of a run that was killed")
    (copy.work / "mine.txt").write_text("the user's own")

    def look(text: str) -> None:
        if (copy.work / "dump").exists():
            modes.add(stat.S_IMODE((copy.work / "dump").stat().st_mode))

    assert copy.run(on_progress=look) == ()
    assert modes == {0o700}
    assert [path.name for path in copy.work.iterdir()] == ["mine.txt"]


def test_everything_that_a_database_may_contain(cluster: Cluster, tmp_path: Path) -> None:
    """One of each kind of object and type; a run that continues meets all of them again in the target."""
    copy = Copy(cluster, tmp_path, CONTENTS + SUPERUSER_CONTENTS)
    assert copy.run() == ()
    copy.execute("DELETE FROM sale_2025; DROP POLICY mine ON booking", in_target=True)
    copy.assert_finished()
