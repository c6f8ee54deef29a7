"""Keep what environments have cost since each run, so that pages show it over time."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from alembic import op
from sqlalchemy import select

from orchestrator.state.protocol.records import Run
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.projection import add_applied_cost

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the table and fill it from the runs that have ended."""
    op.create_table(
        "costs",
        sa.Column("environment", sa.String(length=200), nullable=False),
        sa.Column("run", sa.String(length=64), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("environment", "run"),
    )
    op.create_index("costs_by_time", "costs", ["environment", "at", "run"], unique=False)
    connection = op.get_bind()
    ended_runs = select(t.runs.c.body).where(t.runs.c.status == "succeeded", t.runs.c.ended_at != "")
    for body in connection.execute(ended_runs).scalars().all():
        add_applied_cost(connection, msgspec.json.decode(body, type=Run))
