"""``orchestrator drift``: a plan that nobody means to apply, and what to do about what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from orchestrator.cli.command import verb
from orchestrator.cli.options import common
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.drift_acceptance import Edited
    from orchestrator.planning.plan import Planned
    from orchestrator.release.checkout import Wanted


@verb(
    "drift",
    "orchestrator drift -e prod",
    "orchestrator drift --format json | jq .coverage",
    "orchestrator drift --accept s3_bucket.files",
    "orchestrator drift --ignore s3_bucket.files:versioning --until 2027-01-31 --reason 'the import runs'",
)
@click.option("--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
@click.option("--accept", multiple=True, metavar="TARGET", help="Edit the manifests so that they say what AWS has.")
@click.option("--ignore", multiple=True, metavar="TARGET", help="Write into the manifests that it is let be for now.")
@click.option("--until", default="", metavar="DATE", help="Of --ignore: the last day, YEAR-MONTH-DAY.")
@click.option("--owner", default="", help="Of --ignore: who settles it; by default you.")
@click.option("--reason", default="", help="Of --ignore: why.")
@common
def command(
    settings: Settings,
    form: Literal["text", "json", "markdown"],
    accept: tuple[str, ...],
    ignore: tuple[str, ...],
    until: str,
    owner: str,
    reason: str,
) -> int:
    """Show what in AWS is not as the manifests say.

    Each resource is in sync, drifted, not checked with the reason, or ignored until a day. Exits 2 on drift.

    A TARGET is `all`, an address, a component, or ADDRESS:FIELD. --accept and --ignore change files, never AWS, and
    keep comments and layout; they exit 2 when something is left, which they name. What AWS does not have is taken out
    by --accept, and what nobody declares is declared. To put AWS back: orchestrator apply.
    """
    from orchestrator.planning import pipeline
    from orchestrator.problems import Exit
    from orchestrator.release import checkout
    from orchestrator.render import drift
    from orchestrator.runs import reporter

    asked = checkout.of(settings.manifests, settings.environment)
    planned = pipeline.plan(asked.desired, clients=asked.clients)
    if accept or ignore:
        return _edit(settings, asked, planned, accept, ignore, until=until, owner=owner, reason=reason)
    seen = drift.view(planned.plan)
    reporter.looked(settings, seen, planned)
    match form:
        case "json":
            settings.terminal.say(drift.to_json(seen))
        case "markdown":
            settings.terminal.say(drift.markdown(seen))
        case _:
            settings.terminal.say(drift.text(seen, settings.terminal.style))
    return Exit.CHANGES if seen.has_drifted else Exit.OK


def _edit(
    settings: Settings,
    asked: Wanted,
    planned: Planned,
    accept: tuple[str, ...],
    ignore: tuple[str, ...],
    **words: str,
) -> int:
    from orchestrator import drift_acceptance
    from orchestrator.aws import Reader
    from orchestrator.planning import pipeline
    from orchestrator.problems import Exit, Problems
    from orchestrator.release import ledger_entry

    if accept and ignore:
        raise Problems.one("--accept and --ignore are two answers", hint="give one of them, then the other")
    manifest = pipeline.validate(settings.manifests, settings.environment)
    if accept:
        assert asked.clients is not None
        edited = drift_acceptance.accept(manifest, asked.artefacts, planned, accept, Reader(asked.clients))
    else:
        words["owner"] = words["owner"] or ledger_entry.origin(settings.manifests).by
        _demand(words["until"], words["reason"])
        edited = drift_acceptance.ignore(manifest, planned, ignore, **words)
    _save(settings, edited)
    pipeline.desired(settings.manifests, settings.environment, shipping=False)
    return Exit.CHANGES if edited.left else Exit.OK


def _demand(until: str, reason: str) -> None:
    """What is let be is let be for a reason, and not for ever.  Raises Problems."""
    from datetime import UTC, date, datetime

    from orchestrator.problems import Problems

    try:
        day = date.fromisoformat(until)
    except ValueError:
        raise Problems.one("until when is it let be?", hint="--until YEAR-MONTH-DAY, e.g. 2027-01-31") from None
    if day < datetime.now(UTC).date():
        raise Problems.one(f"{until} is past", hint="--until a day to come")
    if not reason.strip():
        raise Problems.one("why is it let be?", hint="--reason 'the import of the old photos runs until then'")


def _save(settings: Settings, edited: Edited) -> None:
    """Write the files, and show what became of them."""
    import difflib
    from pathlib import Path

    terminal = settings.terminal
    for file, text in sorted(edited.texts.items()):
        path = Path(file)
        raw = path.read_bytes() if path.exists() else b""
        old = raw.decode("utf-8-sig").replace("\r\n", "\n")
        lines = difflib.unified_diff(old.splitlines(), text.splitlines(), file, file, n=1, lineterm="")
        terminal.say("\n".join(lines))
        mark, end = (b"\xef\xbb\xbf" if raw.startswith(b"\xef\xbb\xbf") else b""), b"\r\n" if b"\r\n" in raw else b"\n"
        if text:
            path.write_bytes(mark + text.encode().replace(b"\n", end))
        else:
            path.unlink()
    for sentence in edited.done:
        terminal.say(sentence)
    for sentence in edited.left:
        terminal.tell(f"left as it is: {sentence}")
