"""Keep what databases are restored from: full copies, and the archived write-ahead log since them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestrator.emulator.database_engine.postgres_server import EngineError, PostgresServer, copy_folder

_HEARTBEAT_SQL = """
CREATE TABLE IF NOT EXISTS public.rds_heartbeat (id int PRIMARY KEY, value timestamptz NOT NULL);
INSERT INTO public.rds_heartbeat VALUES (1, clock_timestamp())
  ON CONFLICT (id) DO UPDATE SET value = excluded.value;
"""
HEARTBEAT_DATABASE = "rdsadmin"
"""RDS has a database of this name too, and writes to it every few minutes: recovery to a time needs a later commit."""
ARCHIVE_TIMEOUT_SECONDS = 30.0
POLL_INTERVAL_SECONDS = 0.02


@dataclass(frozen=True)
class ContinuousBackup:
    """One instance's automated backup: a full copy, and the archive of the log since it began.

    ``earliest`` is the first moment that it can be restored to.
    """

    folder: Path
    earliest: datetime

    @property
    def archive(self) -> Path:
        """Return the folder of the archived log."""
        return self.folder / "wal"

    @property
    def full_copy(self) -> Path:
        """Return the folder of the full copy."""
        return self.folder / "full"


def archive_settings(folder: Path) -> dict[str, str]:
    """Return the settings that archive the log to a backup's folder."""
    target = f"{folder}/wal/%f"
    return {"archive_command": f'test ! -f "{target}" && cp "%p" "{target}.part" && mv "{target}.part" "{target}"'}


def begin(server: PostgresServer, folder: Path) -> ContinuousBackup:
    """Take the full copy of a server that already archives to ``folder``, or will once it runs."""
    if server.is_running:
        server.copy_to(folder / "full")
    else:
        copy_folder(server.data, folder / "full")
    # RDS's times have whole seconds: the first whole second after the copy is complete.
    earliest = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    return ContinuousBackup(folder, earliest)


def flush(server: PostgresServer) -> None:
    """Archive the log up to now, with a commit at its end. Raises EngineError if the archive does not get it."""
    server.execute(_HEARTBEAT_SQL, HEARTBEAT_DATABASE)
    segment = server.execute("SELECT pg_walfile_name(pg_switch_wal())")
    deadline = time.monotonic() + ARCHIVE_TIMEOUT_SECONDS
    while server.execute("SELECT last_archived_wal FROM pg_stat_archiver") < segment:
        if time.monotonic() > deadline:
            raise EngineError(f"the log segment {segment} was not archived")
        time.sleep(POLL_INTERVAL_SECONDS)


def recovery_settings(backup: ContinuousBackup, target: datetime | None) -> dict[str, str]:
    """Return the settings with which a server replays the archive up to ``target``, or to its end."""
    settings = {"restore_command": f'cp "{backup.archive}/%f" "%p"', "recovery_target_action": "promote"}
    if target is not None:
        settings["recovery_target_time"] = target.isoformat(sep=" ")
    return settings
