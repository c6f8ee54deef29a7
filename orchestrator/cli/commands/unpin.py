"""``orchestrator unpin``: let go of what a rollback holds back."""

from __future__ import annotations

import click

from orchestrator.cli.command import verb
from orchestrator.cli.options import common
from orchestrator.runs.settings import Settings


@verb(
    "unpin",
    "orchestrator unpin",
    "orchestrator unpin image:containerservice.api",
)
@click.argument("parts", metavar="[PART]...", nargs=-1)
@common
def command(settings: Settings, parts: tuple[str, ...]) -> int:
    """Let go of what a rollback holds back.

    The next deploy ships it again: the PARTs that `releases` shows, or all.
    """
    from msgspec.structs import replace

    from orchestrator.problems import Exit, Problem, Problems
    from orchestrator.runs import release

    store = release.desk(settings).store
    ledger = store.read()
    known = {pin.part for pin in ledger.pins}
    if strangers := sorted(set(parts) - known):
        hint = f"held back are: {', '.join(sorted(known)) or 'none'}"
        raise Problems([Problem(f"nothing holds {part} back", hint=hint) for part in strangers])
    chosen = set(parts) or known
    if not chosen:
        settings.terminal.say("Nothing is held back.")
        return Exit.OK
    store.write(lambda now: replace(now, pins=tuple(pin for pin in now.pins if pin.part not in chosen)))
    settings.terminal.say(f"The next deploy ships {', '.join(sorted(chosen))} as the manifests say.")
    return Exit.OK
