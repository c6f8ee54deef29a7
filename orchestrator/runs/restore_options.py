"""Options that a restore of a database and its rehearsal share."""

from __future__ import annotations

from msgspec import Struct, field

from orchestrator.runs.approval import Approval
from orchestrator.runs.database_tunnel import VIA_DIRECT
from orchestrator.runs.reporter import RunOptions


class DatabaseRestoreOptions(Struct, frozen=True, kw_only=True):
    """What to restore, ``to`` a moment or a ``snapshot``, and how to verify it.

    ``ca_file``: the certificate authority of the database's server, "" for the system's. ``via``: how its network is
    reached (``database_tunnel.open_route``).
    """

    to: str = ""
    snapshot: str = ""
    should_verify: bool = True
    ca_file: str = ""
    via: str = VIA_DIRECT
    plan_only: bool = False
    approval: Approval = field(default_factory=Approval)
    run: RunOptions = field(default_factory=RunOptions)
