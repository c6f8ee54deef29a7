"""Take place, cost and health of environments from what runs have applied, not from the last plan that was sent."""

from __future__ import annotations

import msgspec
from alembic import op
from sqlalchemy import select, update

from orchestrator.state.protocol.records import Run
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.projection import update_from_run

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Project the environments again."""
    connection = op.get_bind()
    connection.execute(update(t.environments).values(account="", region="", health="unknown", monthly_usd=None))
    ended_runs = select(t.runs.c.body).join(t.history, t.history.c.subject == t.runs.c.id)
    query = ended_runs.where(t.history.c.deed == "run.end").order_by(t.history.c.number)
    for body in connection.execute(query).scalars().all():
        update_from_run(connection, msgspec.json.decode(body, type=Run))
