"""Store records in SQLite or PostgreSQL with SQLAlchemy Core."""

from orchestrator.state.server.store.store import Store

__all__ = ["Store"]
