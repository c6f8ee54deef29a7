"""Add indexes for queries over all environments."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the indexes."""
    op.create_index("runs_by_any_status", "runs", ["status", "started_at", "id"], unique=False)
    op.create_index("runs_by_any_verb", "runs", ["verb", "started_at", "id"], unique=False)
    op.create_index("history_by_any_deed", "history", ["deed", "number"], unique=False)
    op.create_index("models_by_age", "models", ["at"], unique=False)
