"""What in a migration may lose data or break the build that runs.

Judges: the rules of squawk (https://squawkhq.com/docs/rules) and strong_migrations for SQL, the operations that EF Core
(``dotnet ef migrations add``: "may result in the loss of data") and Alembic generate.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.artefacts.migrations.changed_scripts import list_changed_scripts
from orchestrator.artefacts.migrations.destructive_statements import find_statements
from orchestrator.cli.main import main
from orchestrator.emulator import Emulator
from tests.proofs.real_stack import emulated_aws
from tests.release.service_project import ServiceProject

DROPS, RENAMES, NARROWS = "drops a column", "renames", "changes the type of a column"
NOT_NULL, ADDED = "makes a column NOT NULL", "adds a NOT NULL column without a default"

SQL = [
    ("DROP TABLE orders", ["drops a table"]),
    ("drop table if exists public.orders cascade", ["drops a table"]),
    ("ALTER TABLE orders DROP COLUMN note", [DROPS]),
    ('ALTER TABLE "Orders" DROP "Note"', [DROPS]),
    ("ALTER TABLE orders\n  ADD COLUMN a int,\n  DROP COLUMN IF EXISTS note", [DROPS]),
    ("ALTER TABLE orders RENAME COLUMN note TO remark", [RENAMES]),
    ("ALTER TABLE orders RENAME TO purchases", [RENAMES]),
    ("EXEC sp_rename 'orders.note', 'remark', 'COLUMN'", [RENAMES]),
    ("RENAME TABLE a TO b", [RENAMES]),
    ("ALTER TABLE orders ALTER COLUMN total TYPE integer", [NARROWS]),
    ("ALTER TABLE orders ALTER total SET DATA TYPE int", [NARROWS]),
    ("ALTER TABLE orders ALTER COLUMN note SET NOT NULL", [NOT_NULL]),
    ("ALTER TABLE orders ADD COLUMN paid boolean NOT NULL", [ADDED]),
    ('ALTER TABLE "Order" ADD COLUMN "paid" BOOLEAN NOT NULL, ADD COLUMN "b" INT DEFAULT 1', [ADDED]),
    ("ALTER TABLE orders MODIFY note varchar(10)", ["renames or changes a column"]),
    ("TRUNCATE orders", ["deletes all rows"]),
    ("DELETE FROM orders", ["deletes all rows"]),
    ("DROP SCHEMA audit CASCADE", ["drops a schema or database"]),
    ("DROP TYPE mood", ["drops a type"]),
    ("CREATE TABLE orders (id int NOT NULL, note text NOT NULL)", []),
    ("ALTER TABLE orders ADD COLUMN paid boolean NOT NULL DEFAULT false", []),
    ("ALTER TABLE orders ADD COLUMN paid boolean DEFAULT false NOT NULL", []),
    ("ALTER TABLE orders ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY NOT NULL", []),
    ("ALTER TABLE orders ADD COLUMN note text", []),
    ("ALTER TABLE orders ADD CONSTRAINT positive CHECK (total IS NOT NULL)", []),
    ("ALTER TABLE orders DROP CONSTRAINT positive", []),
    ("ALTER TABLE orders ALTER COLUMN note DROP NOT NULL", []),
    ("ALTER TABLE orders ALTER COLUMN note DROP DEFAULT", []),
    ("ALTER TABLE orders RENAME CONSTRAINT a TO b", []),
    ("DROP INDEX orders_note", []),
    ("DELETE FROM orders WHERE id = 1", []),
    ("UPDATE orders SET note = 'DROP TABLE orders'", []),
    ("-- DROP TABLE orders\nSELECT 1", []),
    ("/* ALTER TABLE orders DROP COLUMN note; */ SELECT 1", []),
    ("CREATE FUNCTION f() RETURNS void AS $$ DELETE FROM orders; $$ LANGUAGE sql", []),
    ("DO $$ BEGIN ALTER TABLE orders DROP COLUMN note END $$", [DROPS]),
    ("DO LANGUAGE plpgsql $x$ BEGIN PERFORM 'DROP TABLE orders' END $x$", []),
    ("INSERT INTO dropped_table VALUES (1)", []),
]
EF_CORE = """
public partial class Trim : Migration
{
    protected override void Up(MigrationBuilder migrationBuilder)
    {
        migrationBuilder.DropColumn(name: "Note", table: "Orders"); // migrationBuilder.DropTable("http://x");
        migrationBuilder.AddColumn<bool>(name: "Paid", table: "Orders", type: "boolean", nullable: false);
        migrationBuilder.AddColumn<bool>(name: "Sent", table: "Orders", nullable: false, defaultValue: false);
        migrationBuilder.RenameColumn(name: "A", table: "Orders", newName: "B");
        migrationBuilder.CreateTable(name: "Extras", columns: table => new { Id = table.Column<int>(nullable: false) });
        migrationBuilder.Sql("DELETE FROM \\"Old\\"");
    }
    protected override void Down(MigrationBuilder migrationBuilder)
    {
        migrationBuilder.DropTable(name: "Extras");
    }
}
"""
ALEMBIC = '''
from alembic import op
import sqlalchemy as sa

def upgrade():  # op.drop_table("orders")
    op.add_column("orders", sa.Column("paid", sa.Boolean(), nullable=False))
    op.add_column("orders", sa.Column("sent", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    with op.batch_alter_table("orders") as batch_op:
        batch_op.drop_column("note")
        batch_op.alter_column("a", new_column_name="b")
    op.execute("""
        TRUNCATE logs
    """)

def downgrade():
    op.drop_table("extras")
'''


@pytest.mark.parametrize(("statement", "effects"), SQL)
def test_sql_is_read_as_the_database_reads_it(statement: str, effects: list[str]) -> None:
    text = f"SELECT 1;\n{statement};\nSELECT 2;\n"
    found = find_statements("migrations/1.sql", text)
    assert [item.effect for item in found] == effects
    assert [item.line for item in found] == [2] * len(effects)


def test_migrations_in_code_are_read_without_what_undoes_them() -> None:
    ef_core = [(item.line, item.effect) for item in find_statements("Migrations/1_Trim.cs", EF_CORE)]
    alembic = [(item.line, item.effect) for item in find_statements("alembic/versions/1.py", ALEMBIC)]

    assert ef_core == [(6, DROPS), (7, ADDED), (9, RENAMES), (11, "deletes all rows")]
    assert alembic == [(6, ADDED), (9, DROPS), (10, RENAMES), (11, "deletes all rows")]


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=ana", "-c", "user.email=ana@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits; the second adds migrations of every tool."""
    git(tmp_path, "init", "-q")
    first, second = ("db/migration/V1__start.sql",), (
        "db/migration/V2__trim.sql", "prisma/migrations/2_trim/migration.sql", "Migrations/2_Trim.cs",
        "alembic/versions/2_trim.py", "queries/report.sql", "src/Startup.cs",
    )  # fmt: skip
    for paths in (first, second):
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text("DROP TABLE orders;\n")
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-qm", "change")
    return tmp_path


@pytest.mark.parametrize("is_release_known", [True, False])
def test_only_new_scripts_are_read(repository: Path, is_release_known: bool) -> None:
    """Against the released commit; a shallow checkout of a pull request has its parent only."""
    released = git(repository, "rev-parse", "HEAD^") if is_release_known else "0" * 40
    (repository / "db/migration/V3__untracked.sql").write_text("SELECT 1;")

    assert list_changed_scripts(repository, released) == [
        "Migrations/2_Trim.cs", "alembic/versions/2_trim.py", "db/migration/V2__trim.sql",
        "db/migration/V3__untracked.sql", "prisma/migrations/2_trim/migration.sql",
    ]  # fmt: skip
    assert list_changed_scripts(repository / "nowhere", released) == []


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with emulated_aws() as running:
        yield running


def test_a_plan_names_them(tmp_path: Path, emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    shop = ServiceProject(tmp_path, emulator)
    shop.set_schema(1)
    git(tmp_path, "init", "-q")
    shop.write()
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "start")
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "2.sql").write_text("SELECT 1;\nALTER TABLE orders DROP COLUMN note;\n")

    main(["plan", "-f", str(tmp_path), "-e", "prod"])
    first = " ".join(capsys.readouterr().out.split())
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "trim")
    main(["plan", "-f", str(tmp_path), "-e", "prod"])
    second = " ".join(capsys.readouterr().out.split())

    assert "migrations/2.sql" not in first, "one commit alone says nothing about what is new"
    assert "containerservice.api: migrations/2.sql:2 drops a column: ALTER TABLE orders DROP COLUMN note." in second
    assert "Set `migrate.destructive: true` to create a snapshot first" in second
