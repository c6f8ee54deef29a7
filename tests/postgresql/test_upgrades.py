"""What a major upgrade meets, as PostgreSQL's own pg_upgrade 17.10 judged it on a 15.18 cluster on 2026-11-30.

Two majors are seldom on one machine, so what pg_upgrade and both servers said is recorded here.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from orchestrator.emulator.database_engine import find_binaries
from orchestrator.postgresql.comparison import compare
from orchestrator.postgresql.connection import parse_url
from orchestrator.postgresql.inventory import Inventory, read_inventory
from orchestrator.postgresql.upgrade_checks import judge, list_unsupported_types, read_findings
from orchestrator.recovery.drill_verdict import judge as judge_drill
from tests.postgresql.rich_database import fill
from tests.state.postgres import Cluster, run_cluster

pytestmark = [
    pytest.mark.real_parts,
    pytest.mark.skipif(find_binaries() is None, reason="needs PostgreSQL's server programs"),
]
REFUSED_TYPES = (
    "regcollation", "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator", "regproc", "regprocedure",
    "aclitem",
)  # fmt: skip
CARRIED_TYPES = ("regclass", "regtype", "regrole", "oid", "xid", "name", "pg_lsn", "tid")
VIEW = "SELECT name FROM product WHERE kind = 'gold'"
VIEW_OF_15 = " SELECT product.name\n   FROM public.product\n  WHERE (product.kind = 'gold'::text);"
VIEW_OF_17 = " SELECT name\n   FROM public.product\n  WHERE (kind = 'gold'::text);"
"""pg_get_viewdef of the same view, before and after pg_upgrade."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    binaries = find_binaries()
    assert binaries is not None
    with run_cluster(binaries) as running:
        yield running


def test_the_columns_that_pg_upgrade_refuses_are_named(cluster: Cluster) -> None:
    """No type less, none more; also inside of domains, arrays, composite types and ranges."""
    url = cluster.create_database()
    tables = "".join(f"CREATE TABLE t_{name} (x {name});" for name in (*REFUSED_TYPES, *CARRIED_TYPES))
    fill(
        url,
        f"{tables} CREATE DOMAIN hook AS regproc; CREATE TYPE pair AS (a int, b hook); CREATE TABLE fine (x int);"
        "CREATE TABLE nested (a hook, b regproc[], c pair, d pair[])",
    )

    columns = dict(read_findings(parse_url(url), list_unsupported_types("15.18", "17.10")).columns)

    nested = {f"public.nested.{name}" for name in "abcd"}
    assert columns.keys() == {f"public.t_{name}.x" for name in REFUSED_TYPES} | nested
    assert "aclitem" not in list_unsupported_types("16.10", "17.10")
    assert list(judge(read_findings(parse_url(cluster.create_database())))) == []


def inventory(version: str, view: str) -> Inventory:
    return Inventory(version, 0, {}, {}, {("view", "public.golden"): view}, {}, {})


def test_a_view_is_the_same_whatever_qualifiers_a_version_prints() -> None:
    """PostgreSQL 16 and newer leave out what is not ambiguous; a real difference is one in every version."""
    before, after = inventory("15.18", VIEW_OF_15), inventory("17.10", VIEW_OF_17)

    assert compare(before, after) == ()
    assert judge_drill(before, after).problems == ()
    changed = inventory("17.10", VIEW_OF_17.replace("gold", "silver"))
    assert [item.name for item in compare(before, changed)] == ["public.golden"]
    assert [item.name for item in compare(before, replace(after, version="15.18"))] == ["public.golden"]


def test_this_server_prints_a_view_as_recorded(cluster: Cluster) -> None:
    """So that what is recorded is what servers print."""
    url = cluster.create_database()
    fill(url, f"CREATE TABLE product (name text, kind text); CREATE VIEW golden AS {VIEW}")
    found = read_inventory(parse_url(url), with_checksums=False)

    assert compare(inventory("1", VIEW_OF_15), inventory("2", found.objects["view", "public.golden"])) == ()
