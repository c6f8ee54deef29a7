"""``orchestrator unpin``: let go of what a rollback holds back."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import project_options
from orchestrator.runs.settings import Settings


@cli_command(
    "unpin",
    "orchestrator unpin",
    "orchestrator unpin image:containerservice.api",
)
@click.argument("parts", metavar="[PART]...", nargs=-1)
@project_options
def command(settings: Settings, parts: tuple[str, ...]) -> int:
    """Let the next deploy ship what a rollback pinned.

    Unpins the given PARTs (as `orchestrator releases` lists them) and everything else that the same rollback pinned.
    Without a PART, unpins everything.
    """
    from msgspec.structs import replace

    from orchestrator.aws import Reader
    from orchestrator.problems import ExitCode, Problem, Problems
    from orchestrator.release import pins
    from orchestrator.runs import release, reporter

    session = release.open_session(settings)
    ledger_store = session.store
    ledger = ledger_store.read()
    pinned_parts = {pin.part for pin in ledger.pins}
    if unknown_parts := sorted(set(parts) - pinned_parts):
        hint = f"pinned parts: {', '.join(sorted(pinned_parts)) or 'none'}"
        raise Problems([Problem(f"{part} is not pinned", hint=hint) for part in unknown_parts])
    if not pinned_parts:
        settings.terminal.print_out("Nothing is pinned.")
        return ExitCode.OK
    unpinned = pins.expand_parts(ledger.pins, set(parts) or pinned_parts)
    written = ledger_store.write(
        lambda current_ledger: replace(
            current_ledger, pins=tuple(pin for pin in current_ledger.pins if pin not in unpinned)
        )
    )
    environment = f"{session.manifest.scope.project}/{session.manifest.scope.environment}"
    reporter.record_releases(settings, written, ledger_store, Reader(session.clients), environment)
    settings.terminal.print_out(
        f"Unpinned {', '.join(sorted({pin.part for pin in unpinned}))}. The next deploy ships what the manifests say."
    )
    return ExitCode.OK
