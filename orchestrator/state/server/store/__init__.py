"""The store: SQLAlchemy Core on SQLite or PostgreSQL, behind methods that speak in records."""

from orchestrator.state.server.store.store import Store

__all__ = ["Store"]
