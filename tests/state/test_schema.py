"""The schema's history: it ends where the tables are, from wherever a database stands."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import text

from orchestrator.problems import Problems
from orchestrator.state.protocol.records import PlanRecord, Run, RunResult
from orchestrator.state.server.store import Store, database
from orchestrator.state.server.store.tables import metadata
from tests.render.sample_plans import FULL_PLAN


def test_the_migrations_make_the_tables(store: Store) -> None:
    """No column and no index is in one and not in the other."""
    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_an_old_database_is_brought_up_to_date(store: Store) -> None:
    """What was kept before is there afterwards."""
    store.begin_run(Run("r1", "shop/prod", "apply", "ana", "c", "2026-01-01T00:00:00.000Z"), "ana")
    with database.write_transaction(store.engine) as connection:
        for index in ("runs_by_any_status", "runs_by_any_verb", "history_by_any_deed", "models_by_age"):
            connection.execute(text(f"DROP INDEX {index}"))
        connection.execute(text("DROP TABLE costs"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    newer = Store.open(store.engine.url.render_as_string(hide_password=False))

    assert [one.id for one in newer.list_runs().items] == ["r1"]
    with newer.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    newer.engine.dispose()


def test_a_database_of_a_newer_version_is_left_alone(store: Store) -> None:
    with database.write_transaction(store.engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Problems, match="written by a newer version of orchestrator"):
        database.migrate(store.engine)


def test_every_step_follows_the_one_before() -> None:
    """One line from the first to the last, which the service knows by name."""
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "orchestrator.state.server:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [database.HEAD_REVISION]


def test_environments_are_projected_from_runs_afterwards(store: Store) -> None:
    """A database of before has the cost of the last plan that was sent; afterwards that of the last one applied."""
    at = "2026-01-01T00:00:00.000Z"
    for number, cost in enumerate((54.14, 81.85)):
        record = PlanRecord(f"d{number}", "shop/prod", at, "ana", "c", FULL_PLAN, cost)
        store.record_plan(record, "ana")
    fence = store.begin_run(Run("r1", "shop/prod", "apply", "ana", "c", at), "ana").fence
    store.set_run_plan("r1", fence, "d0", "ana")
    store.end_run("r1", fence, RunResult("succeeded", at), "ana")
    expected, costs = store.get_environment("shop/prod"), store.list_applied_costs("shop/prod")
    with database.write_transaction(store.engine) as connection:
        connection.execute(text("UPDATE environments SET monthly_usd = 81.85, health = 'failed', account = '9'"))
        connection.execute(text("DROP TABLE costs"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    newer = Store.open(store.engine.url.render_as_string(hide_password=False))

    assert expected is not None
    assert expected.monthly_usd == 54.14
    assert newer.get_environment("shop/prod") == expected
    assert newer.list_applied_costs("shop/prod") == costs
    assert [(cost.run, cost.monthly_usd) for cost in costs.items] == [("r1", 54.14)]
    newer.engine.dispose()
