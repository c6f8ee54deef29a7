"""``orchestrator rehearse``: create, change and delete a small stack in an account, and record how AWS answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.rehearsal.canary import Canary


@cli_command(
    "rehearse",
    "orchestrator rehearse --canary --spend 1",
    "orchestrator rehearse --full --spend 1",
    "orchestrator rehearse --clean-up",
)
@click.option(
    "--canary",
    is_flag=True,
    help="Rehearse with a site behind CloudFront and an ECS Express service, without a database.",
)
@click.option(
    "--full",
    is_flag=True,
    help="Also rehearse a database, a built site, two releases, a failing release, a rollback, manual edits and "
    "killed deploys.",
)
@click.option(
    "--spend", type=click.FloatRange(0), default=0.0, metavar="USD", help="Maximum cost of the rehearsal, in USD."
)
@click.option("--clean-up", is_flag=True, help="Delete the resources that an interrupted rehearsal left behind.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("rehearsal.json"),
    show_default=True,
    help="File for the record of AWS's responses.",
)
@common_options
def command(settings: Settings, canary: bool, full: bool, spend: float, clean_up: bool, out: Path) -> int:
    """Create, change and delete a small stack in an account, and record AWS's responses.

    The stack is a separate environment, named after the date. The account must not contain other resources that the
    orchestrator manages. A rehearsal takes about 40 minutes (--full: two and a half hours) and costs a few cents.
    Everything is deleted at the end, even after a failure. The record contains operations, error codes, error messages
    and durations, but no secrets, so you can attach it to an issue.
    """
    import tempfile
    import time
    from datetime import UTC, datetime

    from orchestrator.planning import pipeline
    from orchestrator.problems import ExitCode, Problem, Problems
    from orchestrator.rehearsal.canary import Canary, new_environment
    from orchestrator.rehearsal.full import FullRehearsal, skip_pause, skip_probes
    from orchestrator.rehearsal.recording_clients import RecordingClients
    from orchestrator.release.probe import run_probes

    if canary + full + clean_up != 1:
        raise Problems.from_message(
            "no rehearsal selected", hint=("pass --canary --spend 1, --full --spend 1, or --clean-up")
        )
    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients, terminal = RecordingClients.for_scope(manifest.scope), settings.terminal
    pipeline.check_connection(clients)
    with tempfile.TemporaryDirectory(prefix="orchestrator-rehearsal-") as folder:
        if canary:
            rehearsal = Canary(manifest, Path(folder), clients, terminal.print_err)
        else:
            is_emulated = "amazonaws.com" not in clients.endpoint("sts")
            prober = skip_probes if is_emulated else run_probes
            pause = skip_pause if is_emulated else time.sleep
            rehearsal = FullRehearsal(manifest, Path(folder), clients, terminal.print_err, prober, pause)
        if clean_up:
            return _clean_up(settings, manifest.scope.project, clients, rehearsal)
        environment = new_environment(datetime.now(UTC))
        rehearsal.check_account(environment)
        price = rehearsal.estimate_usd(environment)
        if price > spend:
            message = f"the rehearsal costs up to {price:.2f} USD before VAT, but --spend allows {spend:.2f} USD"
            raise Problems([Problem(message, None, f"pass --spend {price:.2f}")], ExitCode.VETOED)
        record = rehearsal.run(environment)
    return _report(settings, record, out)


def _clean_up(settings: Settings, project: str, clients: Clients, rehearsal: Canary) -> int:
    """Delete every rehearsal that carries the project's marks, and return the exit code."""
    from orchestrator.problems import ExitCode
    from orchestrator.rehearsal import ENVIRONMENT_PREFIX
    from orchestrator.rehearsal.canary import list_environments

    owned = {name.partition("/")[2] for name in list_environments(clients) if name.startswith(f"{project}/")}
    for name in sorted(item for item in owned if item.startswith(ENVIRONMENT_PREFIX)):
        settings.terminal.print_out(f"Deleted {name}: {rehearsal.delete(name)}.")
    return ExitCode.OK


def _report(settings: Settings, record: object, out: Path) -> int:
    """Write the record, print what is left in AWS, and return the exit code."""
    import msgspec

    from orchestrator.problems import ExitCode
    from orchestrator.rehearsal import RehearsalRecord

    assert isinstance(record, RehearsalRecord)
    out.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    for item in record.leftovers:
        settings.terminal.print_out(f"Left in AWS: {item.name}, {item.cost}. Delete it: {item.command}")
    failed = [step.name for step in record.steps if not step.is_ok]
    result = f"Rehearsal failed at: {', '.join(failed)}." if failed else "Rehearsal passed."
    settings.terminal.print_out(f"{result} Wrote {out}: {len(record.calls)} different responses from AWS.")
    return ExitCode.FAILED if failed else ExitCode.OK
