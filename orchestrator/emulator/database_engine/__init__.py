"""Run the databases of RDS as PostgreSQL servers on loopback, with TLS, snapshots and point-in-time recovery."""

from orchestrator.emulator.database_engine.postgres_engine import PostgresEngine
from orchestrator.emulator.database_engine.postgres_server import find_binaries

__all__ = ["PostgresEngine", "find_binaries"]
