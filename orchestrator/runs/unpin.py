"""Let go of what a rollback pinned, so that the next deploy ships what the manifests say."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from orchestrator.problems import Problem, Problems
from orchestrator.runs.settings import Settings


def unpin(settings: Settings, parts: Collection[str]) -> None:
    """Remove the pins of ``parts`` with everything else that the same rollback pinned, or all pins without parts.

    Prints what was unpinned.  Raises Problems if a part is not pinned.
    """
    from orchestrator.aws import Reader
    from orchestrator.release import pins
    from orchestrator.runs import reporter
    from orchestrator.runs.release_session import open_session

    session = open_session(settings)
    ledger_store = session.store
    ledger = ledger_store.read()
    pinned_parts = {pin.part for pin in ledger.pins}
    if unknown_parts := sorted(set(parts) - pinned_parts):
        hint = f"pinned parts: {', '.join(sorted(pinned_parts)) or 'none'}"
        raise Problems([Problem(f"{part} is not pinned", hint=hint) for part in unknown_parts])
    if not pinned_parts:
        settings.terminal.print_out("Nothing is pinned.")
        return
    unpinned = pins.expand_parts(ledger.pins, set(parts) or pinned_parts)
    written = ledger_store.write(
        lambda current_ledger: replace(
            current_ledger, pins=tuple(pin for pin in current_ledger.pins if pin not in unpinned)
        )
    )
    environment = f"{session.manifest.scope.project}/{session.manifest.scope.environment}"
    reporter.record_releases(settings, written, ledger_store, Reader(session.clients), environment)
    settings.terminal.print_out(
        f"Unpinned {', '.join(sorted({pin.part for pin in unpinned}))}. The next deploy follows the manifests again."
    )
