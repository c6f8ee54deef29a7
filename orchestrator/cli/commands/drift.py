"""``orchestrator drift``: show where AWS differs from the manifests, and accept or ignore it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import format_option, project_options
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.drift_acceptance import ManifestEdits
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.release.checkout import ReleaseCandidate


@cli_command(
    "drift",
    "orchestrator drift -e prod",
    "orchestrator drift --format json | jq .coverage",
    "orchestrator drift --accept s3_bucket.files",
    "orchestrator drift --ignore s3_bucket.files:versioning --until 2027-01-31 --reason 'the import runs'",
)
@format_option("text", "json", "markdown", help_text="Format of the report.")
@click.option("--coverage", is_flag=True, help="List every setting that is not checked, with the reason.")
@click.option("--accept", multiple=True, metavar="TARGET", help="Edit the manifests to match AWS.")
@click.option(
    "--ignore", multiple=True, metavar="TARGET", help="Add a waiver to the manifests: ignore this drift for now."
)
@click.option("--until", default="", metavar="DATE", help="Last day of the waiver, YYYY-MM-DD (with --ignore).")
@click.option("--owner", default="", help="Person who resolves the drift (with --ignore); default: you.")
@click.option("--reason", default="", help="Why the drift is ignored (with --ignore).")
@project_options
def command(
    settings: Settings,
    output_format: Literal["text", "json", "markdown"],
    coverage: bool,
    accept: tuple[str, ...],
    ignore: tuple[str, ...],
    **waiver_fields: str,
) -> int:
    """Show where AWS differs from the manifests.

    Each resource is in sync, drifted, unhealthy (such as a stopped database), pending (a change that AWS makes later),
    not checked (with the reason), or ignored until a date. Also reports whether the current release, or the release
    that a rollback would restore, can no longer be restored. Exits 2 in that case, or if a resource is drifted,
    unhealthy or pending.

    Coverage is the share of checked settings among all settings that AWS's service models define for these resources.
    --coverage lists the settings that are not checked.

    A TARGET is `all`, an address, a component, or ADDRESS:FIELD. --accept and --ignore edit only the manifests, never
    AWS, and keep comments and layout. If they cannot resolve all of the drift, they list the rest and exit 2. --accept
    removes resources that do not exist in AWS from the manifests, and adds resources that no manifest declares. To
    change AWS instead, run `orchestrator apply`.
    """
    from orchestrator.planning import pipeline
    from orchestrator.problems import ExitCode
    from orchestrator.release import checkout
    from orchestrator.render import drift
    from orchestrator.runs.drift_check import check_drift

    candidate = checkout.load(settings.manifests, settings.environment, is_promoting=False)
    planned = pipeline.plan(candidate.desired, clients=candidate.clients, preserves_power=True)
    if accept or ignore:
        return _edit_manifests(settings, candidate, planned, accept, ignore, **waiver_fields)
    drift_view = check_drift(settings, candidate, planned)
    match output_format:
        case "json":
            settings.terminal.print_out(drift.to_json(drift_view))
        case "markdown":
            settings.terminal.print_out(drift.render_markdown(drift_view))
        case _:
            settings.terminal.print_out(
                drift.render_text(drift_view, settings.terminal.style, list_not_looked_at=coverage)
            )
    return ExitCode.OK if drift_view.is_in_sync else ExitCode.CHANGES


def _edit_manifests(
    settings: Settings,
    candidate: ReleaseCandidate,
    planned: PreparedPlan,
    accept: tuple[str, ...],
    ignore: tuple[str, ...],
    **waiver_fields: str,
) -> int:
    from orchestrator import drift_acceptance
    from orchestrator.aws import Reader
    from orchestrator.planning import pipeline
    from orchestrator.problems import ExitCode, Problems
    from orchestrator.release import ledger_entry

    if accept and ignore:
        raise Problems.from_message(
            "--accept and --ignore cannot be combined", hint="run the command separately with each option"
        )
    manifest = pipeline.validate(settings.manifests, settings.environment)
    if accept:
        assert candidate.clients is not None
        edits = drift_acceptance.accept(manifest, candidate.artefacts, planned, accept, Reader(candidate.clients))
    else:
        waiver_fields["owner"] = waiver_fields["owner"] or ledger_entry.detect_origin(settings.manifests).actor
        _check_ignore_options(waiver_fields["until"], waiver_fields["reason"])
        edits = drift_acceptance.ignore(manifest, planned, ignore, **waiver_fields)
    _write_edits(settings, edits)
    pipeline.load_desired(settings.manifests, settings.environment, include_artefacts=False)
    return ExitCode.CHANGES if edits.unresolved else ExitCode.OK


def _check_ignore_options(until: str, reason: str) -> None:
    """Raise Problems unless a waiver has a future last day and a reason."""
    from datetime import UTC, date, datetime

    from orchestrator.problems import Problems

    try:
        last_day = date.fromisoformat(until)
    except ValueError:
        raise Problems.from_message(
            f"--until {until!r} is not a valid date" if until else "--ignore requires --until",
            hint="pass --until YYYY-MM-DD, e.g. --until 2027-01-31",
        ) from None
    if last_day < datetime.now(UTC).date():
        raise Problems.from_message(
            f"--until {until} is in the past", hint="pass a future date, e.g. --until 2027-01-31"
        )
    if not reason.strip():
        raise Problems.from_message(
            "--ignore requires --reason",
            hint="pass a reason, e.g. --reason 'the import of the old photos runs until then'",
        )


def _write_edits(settings: Settings, edits: ManifestEdits) -> None:
    """Write the edited manifests, and print their diffs and what was and was not changed."""
    from orchestrator.drift_acceptance import manifest_texts

    terminal = settings.terminal
    if edits.texts:
        terminal.print_out(manifest_texts.format_diff(edits.texts))
        manifest_texts.write(edits.texts)
    for message in edits.applied:
        terminal.print_out(message)
    for message in edits.unresolved:
        terminal.print_err(f"Not changed: {message}")
