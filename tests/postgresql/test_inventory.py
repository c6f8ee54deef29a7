"""What the proof of a copy sees, judged by pg_dump: whatever pg_dump writes is a difference if it is gone."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from orchestrator.emulator.database_engine import find_binaries
from orchestrator.postgresql.comparison import compare
from orchestrator.postgresql.connection import parse_url
from orchestrator.postgresql.inventory import Inventory, read_inventory
from tests.postgresql.rich_database import CONTENTS, SUPERUSER_CONTENTS, fill
from tests.state.postgres import Cluster, run_cluster

pytestmark = [
    pytest.mark.real_parts,
    pytest.mark.skipif(find_binaries() is None, reason="needs PostgreSQL's server programs"),
]
UNDROPPABLE = {"EXTENSION", "PROCEDURAL LANGUAGE"}
"""Extensions are compared by their own list."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    binaries = find_binaries()
    assert binaries is not None
    with run_cluster(binaries) as running:
        running.create_database(lambda url: fill(url, CONTENTS + SUPERUSER_CONTENTS))
        yield running


def read(url: str) -> Inventory:
    return read_inventory(parse_url(url), with_checksums=False)


def list_drops(url: str) -> dict[str, list[str]]:
    """The statements with which pg_dump --clean would remove every object, by the kind of the object."""
    command = ["pg_dump", "--schema-only", "--clean", url]
    text = subprocess.run(command, check=True, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}).stdout
    drops: dict[str, list[str]] = {}
    for line in text.splitlines():
        if match := re.match(r"(?:ALTER .* )?DROP ((?:[A-Z]+ )*[A-Z]+) ", line):
            drops.setdefault(match[1], []).append(line)
    return drops


def listed_kinds(url: str) -> set[str]:
    """The kinds of pg_dump's own table of contents."""
    environment = {"PATH": os.environ["PATH"]}
    archive = subprocess.run(["pg_dump", "-Fc", "-s", url], check=True, capture_output=True, env=environment).stdout
    listed = subprocess.run(["pg_restore", "-l"], check=True, input=archive, capture_output=True, env=environment)
    lines = [line for line in listed.stdout.decode().splitlines() if line and not line.startswith(";")]
    return {match[1] for line in lines if (match := re.match(r"\d+; \d+ \d+ ((?:[A-Z]+ )*[A-Z]+) ", line))}


def try_statement(url: str, statement: str) -> bool:
    """Whether the server carried out a statement: it refuses to drop what others depend on."""
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            connection.execute(statement.encode())
        except psycopg.Error:
            return False
    return True


def identify(statement: str) -> str:
    """The name of the object in a DROP statement, without its schema."""
    name = re.sub(r".*DROP (?:[A-Z]+ )*\(?", "", statement).rstrip(";")
    name = name.rpartition(" SERVER ")[2] if " SERVER " in name else re.split(r" ON | USING | AS |\(", name)[0]
    return name.rpartition(".")[2].strip('" ')


def test_whatever_pg_dump_writes_is_missed_when_it_is_gone(cluster: Cluster) -> None:
    """One object of each kind that nothing depends on is dropped."""
    url = cluster.create_database(lambda url: None)
    before, drops = read(url), list_drops(url)
    assert len(drops) > 25, drops.keys()
    dropped = {
        kind: next((text for text in statements if try_statement(url, text)), "")
        for kind, statements in sorted(drops.items())
        if kind not in UNDROPPABLE
    }
    assert [kind for kind, statement in dropped.items() if not statement] == [], "needed by other objects"

    names = [item.name for item in compare(before, read(url))]

    missed = [text for text in dropped.values() if not any(identify(text) in name for name in names)]
    assert missed == []


CHANGES = {
    "ALTER TABLE booking DISABLE ROW LEVEL SECURITY": "table definition public.booking",
    "ALTER TABLE sale FORCE ROW LEVEL SECURITY": "table definition public.sale",
    "ALTER POLICY mine ON booking USING (a > 2)": "policy mine on public.booking",
    "ALTER TABLE cache SET LOGGED": "table definition public.cache",
    "COMMENT ON COLUMN product.name IS NULL": "comment column name of table public.product",
    "ALTER DOMAIN price DROP CONSTRAINT price_check": "constraint price_check on public.price",
    "ALTER SEQUENCE alone INCREMENT 7": "sequence definition public.alone",
    "ALTER TABLE product ALTER name SET STORAGE external": "column public.product.name",
    "ALTER TABLE product ALTER kind SET STATISTICS 500": "column public.product.kind",
    "ALTER TABLE product SET (fillfactor = 70)": "table definition public.product",
    "ALTER TABLE child NO INHERIT parent": "table definition public.child",
    "ALTER TABLE egg REPLICA IDENTITY FULL": "table definition public.egg",
    "ALTER TABLE product DISABLE TRIGGER noted": "trigger noted on public.product",
    "ALTER VIEW golden SET (security_barrier)": "view public.golden",
    "ALTER TYPE pair ADD ATTRIBUTE z int CASCADE": "type public.pair",
    "ALTER SERVER far OPTIONS (SET dbname 'elsewhere')": "foreign server far",
    "ALTER FOREIGN TABLE remote OPTIONS (SET table_name 'other')": "foreign table public.remote",
    "ALTER FOREIGN TABLE remote ALTER b OPTIONS (SET column_name 'd')": "column public.remote.b",
    "CLUSTER product USING product_pkey": "index public.product_pkey",
    "ALTER TABLE types ALTER v SET COMPRESSION pglz": "column public.types.v",
    'ALTER TABLE booking ALTER b TYPE varchar(10) COLLATE "C"': "column public.booking.b",
    "ALTER TABLE booking DISABLE RULE never": "rule never on public.booking",
    "TRUNCATE cache": "table public.cache",
    "CREATE OR REPLACE FUNCTION successor(a int) RETURNS int LANGUAGE sql RETURN a + 2": (
        "function public.successor(integer)"
    ),
}
"""Changes of settings, each with the difference that it is."""


def test_a_setting_of_an_object_that_differs_is_seen(cluster: Cluster) -> None:
    """Each is in a dump of pg_dump, so a copy that lacks it is not the same."""
    url = cluster.create_database(lambda url: None)
    before = read(url)
    for change in CHANGES:
        assert try_statement(url, change), change

    found = {f"{item.kind} {item.name}" for item in compare(before, read(url))}

    assert set(CHANGES.values()) - found == set()


def test_two_equal_databases_do_not_differ(cluster: Cluster) -> None:
    """Restored by pg_dump and psql, everything is there, made in another order."""
    url = cluster.create_database()
    original = cluster.create_database(lambda url: None)
    environment = {"PATH": os.environ["PATH"]}
    text = subprocess.run(["pg_dump", original], check=True, capture_output=True, env=environment).stdout
    subprocess.run(
        ["psql", "-q", "-v", "ON_ERROR_STOP=1", url], check=True, input=text, capture_output=True, env=environment
    )

    assert compare(read_inventory(parse_url(original)), read_inventory(parse_url(url))) == ()
    assert listed_kinds(url) >= {"POLICY", "RULE", "STATISTICS", "FOREIGN TABLE", "EVENT TRIGGER", "COMMENT"}
