"""Restore the ledger of releases from the versions in the release bucket: plan, ask, copy, read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from orchestrator.problems import ExitCode, Problems
from orchestrator.runs.approval import Approval
from orchestrator.runs.lock import write_lock
from orchestrator.runs.reporter import RunOptions, record_refusal
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.recovery.ledger_versions import LedgerVersion
    from orchestrator.release.ledger_store import LedgerStore


class RestoreLedgerOptions(Struct, frozen=True):
    """Options of ``restore ledger``: an S3 version or a moment; without either, the version before today's."""

    version: str = ""
    to: str = ""
    list_only: bool = False
    plan_only: bool = False
    approval: Approval = field(default_factory=Approval)
    run: RunOptions = field(default_factory=RunOptions)


def restore_ledger(settings: Settings, options: RestoreLedgerOptions) -> int:
    """Make an earlier version of the ledger the current one, and return the exit code.

    Raises Problems if the bucket keeps no such version, nobody approves, or the environment is locked.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout

    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = Clients.for_scope(manifest.scope)
    store = checkout.require_store(manifest, clients)
    if options.list_only:
        for item in _read(clients, store):
            in_use = "  in use" if item.version.is_latest else ""
            settings.terminal.print_out(f"{item.description}{in_use}")
        return ExitCode.OK
    if options.plan_only:
        _print_plan(settings, *_plan(clients, store, options))
        return ExitCode.OK
    with write_lock(settings, manifest.scope, "restore", options.run, clients, store) as lock:
        chosen, versions = _plan(lock.clients, store, options)
        _print_plan(settings, chosen, versions)
        with record_refusal(lock.record):
            question = (
                "Replace the ledger with this version? The current ledger is kept as an earlier version. Only 'yes' "
                "is accepted:"
            )
            options.approval.confirm(settings.terminal, question, "yes")
        _copy(lock.clients, store, chosen, versions)
        return _verify(settings, store, chosen)


def _read(clients: Clients, store: LedgerStore) -> tuple[LedgerVersion, ...]:
    from orchestrator.aws import AwsError, Reader
    from orchestrator.recovery.ledger_versions import read_versions

    try:
        return read_versions(Reader(clients), clients, store)
    except AwsError as error:
        raise Problems.from_message(
            f"cannot list the versions of s3://{store.bucket}/{store.ledger_key}: {error}"
        ) from None


def _plan(
    clients: Clients, store: LedgerStore, options: RestoreLedgerOptions
) -> tuple[LedgerVersion, tuple[LedgerVersion, ...]]:
    from orchestrator.recovery.database_backups import parse_time
    from orchestrator.recovery.ledger_versions import choose_version

    versions = _read(clients, store)
    moment = parse_time(options.to) if options.to else None
    return choose_version(versions, identifier=options.version, moment=moment), versions


def _print_plan(settings: Settings, chosen: LedgerVersion, versions: tuple[LedgerVersion, ...]) -> None:
    from orchestrator.release import Ledger

    print_out = settings.terminal.print_out
    current = next((item for item in versions if item.version.is_latest), None)
    print_out(f"In use:     {current.description if current else 'none'}")
    print_out(f"To restore: {chosen.description}")
    before, after = (item.ledger or Ledger() if item else Ledger() for item in (current, chosen))
    restored_numbers = {release.number for release in after.releases}
    if missing_numbers := [
        str(release.number) for release in before.releases if release.number not in restored_numbers
    ]:
        print_out(
            f"These releases are missing from the version to restore: {', '.join(missing_numbers)}. The resources "
            "that they deployed stay in AWS."
        )
    if before.pins != after.pins:
        parts = ", ".join(sorted({pin.part for pin in after.pins})) or "nothing"
        print_out(f"Pinned after the restore: {parts}.")


def _copy(clients: Clients, store: LedgerStore, chosen: LedgerVersion, versions: tuple[LedgerVersion, ...]) -> None:
    from orchestrator.aws import StepExecutor
    from orchestrator.aws.step_executor import StepFailedError
    from orchestrator.recovery.file_restore import FileRestorePlan, build_calls
    from orchestrator.recovery.ledger_versions import build_copy

    plan = FileRestorePlan((build_copy(chosen, versions),), (), ())
    try:
        for call in build_calls(store.bucket, plan):
            StepExecutor(clients).perform(call)
    except StepFailedError as error:
        raise Problems.from_message(f"the ledger was not restored: {error}", hint="run the command again") from None


def _verify(settings: Settings, store: LedgerStore, chosen: LedgerVersion) -> int:
    """Read the ledger again: a write of somebody else in between wins, and is no success."""
    if store.read() != chosen.ledger:
        raise Problems.from_message(
            "another run changed the ledger, so it was not replaced", hint="run the command again"
        )
    settings.terminal.print_out(f"Restored the ledger. To list its releases, run: {settings.command_line('releases')}")
    return ExitCode.OK
