"""Being the only one who writes to an environment, for the length of a run: two leases, one inside the other.

The state service's is taken first, where there is a service: it has the queue, and its fence stops whoever was
overtaken.  The release bucket's is taken inside of it, and keeps out whoever writes without the service.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from orchestrator.problems import Problems
from orchestrator.runs import reporter
from orchestrator.runs.settings import Settings
from orchestrator.state.client.run_reporter import Record

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.release.bucket_lease import Held
    from orchestrator.release.ledger_store import Store
    from orchestrator.state.protocol.records import Verb
    from orchestrator.vocabulary import Scope

LOOK_AGAIN = 1.0
"""Seconds between two looks at a lease that somebody else holds."""
OUTLASTS = 150.0
"""Seconds after which the bucket's lease of a run that died has ended: longer than it lasts."""


class Turn(Struct, frozen=True):
    """What a run works with while it is its turn: the ``clients`` ask before each call whether it still is."""

    record: Record
    clients: Clients


@contextmanager
def taken(
    settings: Settings,
    scope: Scope,
    verb: Verb,
    how: reporter.How,
    clients: Clients,
    store: Store | None,
    *,
    clock: Callable[[], float] = time.time,
) -> Iterator[Turn]:
    """Hold both leases for the length of a ``with`` block; waits as ``how`` says.

    ``store`` is None where the project keeps no releases: then there is no bucket that others would look at.

    Raises Problems when somebody else writes or the state service is needed and away, and Superseded when a newer run
    makes this one needless.
    """
    with ExitStack() as stack:
        record = stack.enter_context(reporter.run(settings, f"{scope.project}/{scope.environment}", verb, how))
        patience = max(how.patience, OUTLASTS if record.is_live else 0.0)
        with reporter.agreeing(record):  # somebody else's turn is no failure of ours
            held = stack.enter_context(_bucket(settings, store, verb, patience, clock))
        record.guarded = held is not None

        def admit() -> None:
            record.admit()
            if held is not None and not held.is_ours():
                raise Problems.one("the lease in the release bucket is another's now: this run stops")

        yield Turn(record, clients.guarded(admit))


@contextmanager
def _bucket(
    settings: Settings,
    store: Store | None,
    verb: Verb,
    patience: float,
    clock: Callable[[], float],
) -> Iterator[Held | None]:
    """Hold the release bucket's lease.  Where there is no such bucket yet, nobody else can be writing.

    Waits ``patience`` seconds for somebody else who is, then raises Problems.
    """
    from orchestrator.release import bucket_lease, ledger_entry

    if store is None:
        yield None
        return
    if not store.exists():
        yield None
        return
    by = ledger_entry.origin(settings.manifests).by
    with ExitStack() as stack:

        def take() -> Held:
            return stack.enter_context(bucket_lease.hold(store, by, verb, clock, goes=verb == "destroy"))

        yield _waiting(take, patience, settings.terminal.tell)


def _waiting(take: Callable[[], Held], patience: float, tell: Callable[[str], None]) -> Held:
    """What ``take`` gives, once nobody else has it."""
    from orchestrator.release.bucket_lease import LeaseTakenError

    until, told = time.monotonic() + patience, False
    while True:
        try:
            return take()
        except LeaseTakenError as taken_:
            if time.monotonic() > until:
                raise
            if not told:
                tell(f"Waiting: {taken_.problems[0].message.partition(';')[0]}, by the lease in the release bucket.")
            told = True
            time.sleep(LOOK_AGAIN)
