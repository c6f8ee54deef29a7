"""The last chapters of the demo: somebody drops a table of a real database, and a restore brings it back."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.demo import sample
from orchestrator.planning import pipeline
from orchestrator.problems import ExitCode
from orchestrator.runs.apply import ApplyOptions, apply
from orchestrator.runs.approval import Approval
from orchestrator.runs.database_access import find_connection, find_live
from orchestrator.runs.restore import RestoreOptions, restore_database
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.emulator import Emulator
    from orchestrator.postgresql.connection import ConnectionTarget

APPROVAL = Approval(is_automatic=True, shown_detail="head")
DATABASE_NAME = "main"
FILL_SQL = """
CREATE TABLE sale (id serial PRIMARY KEY, item text NOT NULL, sold_at timestamptz NOT NULL DEFAULT now());
INSERT INTO sale (item) SELECT 'ring ' || n FROM generate_series(1, 1000) n;
"""
DROP_SQL = "DROP TABLE sale;"
COUNT_SQL = "SELECT count(*) || ' sales, the last of ' || max(sold_at)::timestamptz(0) FROM public.sale;"
RESTORABLE_TIMEOUT_SECONDS = 30.0
POLL_INTERVAL_SECONDS = 0.1


class LostRowsError(Exception):
    """The restore failed, or not every row came back."""


def unsupported_reason() -> str:
    """Return why this machine cannot run a database, or "" if it can."""
    from orchestrator.emulator.database_engine import find_binaries

    if find_binaries() is None:
        return "PostgreSQL is not installed"
    return "" if shutil.which("psql") else "psql is not installed"


def run_lost_table_demo(settings: Settings, start_chapter: Callable[[str], None], emulator: Emulator) -> None:
    """Create a database, drop a table, and restore the moment before, one chapter each.

    Raises LostRowsError if a chapter has an unexpected result, and Problems.
    """
    with tempfile.TemporaryDirectory(prefix="orchestrator-demo-") as folder:
        database = _DemoDatabase.create(settings, Path(folder), emulator)
        start_chapter("Create a PostgreSQL database and insert 1,000 rows")
        database.apply()
        database.execute(FILL_SQL)
        rows = database.read_rows()
        settings.terminal.print_out(f"A local PostgreSQL server runs in place of RDS. It contains {rows}.")
        start_chapter("Drop the table by mistake")
        moment = database.mark_moment()
        database.execute(DROP_SQL)
        settings.terminal.print_out(f"DROP TABLE sale; at {datetime.now(UTC):%H:%M:%S} UTC. The rows are gone.")
        start_chapter("Restore the database to the time before the drop")
        database.restore(moment)
        if database.read_rows() != rows:
            raise LostRowsError(f"not every row came back: {database.read_rows()} instead of {rows}")
        settings.terminal.print_out(f"The table was restored: {rows}.")


class _DemoDatabase(Struct, frozen=True):
    """The database of a small project, in the emulated AWS."""

    settings: Settings
    clients: Clients
    ca_file: str

    @classmethod
    def create(cls, settings: Settings, folder: Path, emulator: Emulator) -> _DemoDatabase:
        """Write the manifests and the certificate of the database's authority."""
        from orchestrator.aws import Clients

        manifests, ca_file = folder / "manifests", folder / "rds-ca.pem"
        manifests.mkdir()
        template = files("orchestrator.templates").joinpath("sample", "database.yaml")
        (manifests / "database.yaml").write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
        ca_file.write_text(emulator.database_ca_bundle, encoding="utf-8")
        demo_settings = replace(settings, manifests=manifests, environment="prod")
        return cls(demo_settings, Clients(sample.REGION, account=sample.ACCOUNT), str(ca_file))

    def apply(self) -> None:
        """Create what the manifests declare."""
        _require_success(apply(self.settings, ApplyOptions(APPROVAL)), "the database was not created")

    def execute(self, sql: str) -> str:
        """Run SQL as the application does, and return its rows."""
        from orchestrator.postgresql.connection import execute

        return execute(self._connect(), f"SET search_path = public;\n{sql}")

    def read_rows(self) -> str:
        """Return how many rows the table has, and the time of the newest."""
        return self.execute(COUNT_SQL).strip()

    def mark_moment(self) -> datetime:
        """Return a moment after everything so far, once RDS can restore it; RDS's times have whole seconds."""
        time.sleep(1.0 - time.time() % 1.0 + 0.05)
        moment = datetime.now(UTC).replace(microsecond=0)
        deadline = time.monotonic() + RESTORABLE_TIMEOUT_SECONDS
        while self._latest_restorable() < moment:
            if time.monotonic() > deadline:
                raise LostRowsError(f"{moment:%H:%M:%S} cannot be restored after {RESTORABLE_TIMEOUT_SECONDS:g}s")
            time.sleep(POLL_INTERVAL_SECONDS)
        return moment

    def restore(self, moment: datetime) -> None:
        """Restore the database as ``orchestrator restore database`` does."""
        options = RestoreOptions(to=moment.isoformat(), ca_file=self.ca_file, approval=APPROVAL)
        _require_success(restore_database(self.settings, DATABASE_NAME, options), "the restore failed")

    def _latest_restorable(self) -> datetime:
        response = self.clients.call("rds", "describe_db_instances", {})
        latest: datetime = response["DBInstances"][0]["LatestRestorableTime"]
        return latest

    def _connect(self) -> ConnectionTarget:
        desired = pipeline.load_desired(self.settings.manifests, "prod", include_artefacts=False)
        return find_connection(find_live(desired, self.clients, DATABASE_NAME), self.clients, self.ca_file)


def _require_success(exit_code: int, message: str) -> None:
    if exit_code == ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if exit_code != ExitCode.OK:
        raise LostRowsError(f"{message}: exit code {exit_code}")
