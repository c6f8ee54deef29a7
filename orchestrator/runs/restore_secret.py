"""Restore values of a secret from an earlier version: list, show which keys come back, ask, write. Shows no value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from orchestrator.problems import ExitCode, Problems
from orchestrator.quantities import format_count
from orchestrator.runs.approval import Approval
from orchestrator.runs.lock import write_lock
from orchestrator.runs.reporter import RunOptions, record_refusal
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.runs.external_values import ExternalValues, SecretVersion


class RestoreSecretOptions(Struct, frozen=True):
    """Options of ``restore secret``: the version ("" lists them, ``previous`` is the one before today's), and keys."""

    version: str = ""
    keys: tuple[str, ...] = ()
    plan_only: bool = False
    approval: Approval = field(default_factory=Approval)
    run: RunOptions = field(default_factory=RunOptions)


def restore_secret(settings: Settings, name: str, options: RestoreSecretOptions) -> int:
    """Bring back values of the Secret ``name`` from an earlier version, and return the exit code.

    Raises Problems if there is no such version, it is not readable, nobody approves, or the environment is locked.
    """
    from orchestrator.aws import AwsError, Clients
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout
    from orchestrator.runs.external_values import ExternalValues

    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = Clients.for_scope(manifest.scope)
    pipeline.check_connection(clients)
    desired = pipeline.expand_manifest(manifest, include_artefacts=False)
    try:
        values = ExternalValues(clients, desired, name)
        if values.is_deleted:
            settings.terminal.print_out(f"{name} is scheduled for deletion. Restoring it restores all its versions.")
        elif not options.version or options.plan_only:
            return _show(settings, values, name, options)
        store = checkout.find_store(manifest, clients)
        with write_lock(settings, manifest.scope, "restore", options.run, clients, store) as lock:
            values = ExternalValues(lock.clients, desired, name)
            with record_refusal(lock.record):
                return _restore(settings, values, name, options)
    except AwsError as error:
        raise Problems.from_message(f"cannot restore {name}: {error}", hint=error.advice or None) from None


def _show(settings: Settings, values: ExternalValues, name: str, options: RestoreSecretOptions) -> int:
    """Print the versions, or which keys a version would bring back."""
    versions = values.list_versions()
    if options.version:
        if _is_done(settings, versions, options.version, name):
            return ExitCode.OK
        lost = values.find_lost_values(_choose(versions, options.version, name).identifier, options.keys)
        _print_keys(settings, lost)
        return ExitCode.OK
    print_out = settings.terminal.print_out
    for version in versions:
        note = "  in use" if version.is_current else ""
        print_out(f"{version.identifier}  {version.created:%Y-%m-%d %H:%M:%S} UTC{note}")
    print_out(f"To see what a version restores, run: orchestrator restore secret {name} --version ID --plan")
    return ExitCode.OK


def _restore(settings: Settings, values: ExternalValues, name: str, options: RestoreSecretOptions) -> int:
    from orchestrator.release import ledger_entry

    print_out = settings.terminal.print_out
    if values.is_deleted:
        if options.plan_only:
            return ExitCode.OK
        options.approval.confirm(settings.terminal, f"Cancel the deletion of {name}? Only 'yes' is accepted:", "yes")
        values.cancel_deletion()
        print_out(f"Restored {name} with the values from before its deletion.")
    if not options.version:
        return ExitCode.OK
    versions = values.list_versions()
    if _is_done(settings, versions, options.version, name):
        return ExitCode.OK
    version = _choose(versions, options.version, name)
    lost = values.find_lost_values(version.identifier, options.keys)
    _print_keys(settings, lost)
    if not lost:
        return ExitCode.OK
    question = f"Overwrite these values with those of {version.created:%Y-%m-%d %H:%M:%S} UTC? Only 'yes' is accepted:"
    options.approval.confirm(settings.terminal, question, "yes")
    values.replace_values(lost, ledger_entry.detect_origin(settings.manifests).actor)
    if left := values.find_lost_values(version.identifier, options.keys):
        raise Problems.from_message(
            f"{', '.join(sorted(left))} differ again: another writer is changing {name}",
            hint="stop the other writer, then run the command again",
        )
    replaced = next((item.identifier for item in values.list_versions() if item.is_previous), "ID")
    print_out(
        f"Restored {name}. Services receive the values with their next deployment. To restore the replaced values,"
    )
    print_out(f"run: orchestrator restore secret {name} --version {replaced}")
    return ExitCode.OK


def _is_done(settings: Settings, versions: tuple[SecretVersion, ...], identifier: str, name: str) -> bool:
    """Return whether today's values are restored ones already, and say so.

    Repeated after a kill, ``--version previous`` must not bring the replaced values back.
    """
    if identifier != "previous" or not any(item.is_current and item.is_restored for item in versions):
        return False
    replaced = next((item.identifier for item in versions if item.is_previous), "ID")
    print_out = settings.terminal.print_out
    print_out(f"Nothing to restore: the current values of {name} were written by a restore. To restore the values")
    print_out(f"that it replaced, run: orchestrator restore secret {name} --version {replaced}")
    return True


def _choose(versions: tuple[SecretVersion, ...], identifier: str, name: str) -> SecretVersion:
    """Return the version with this identifier, or its beginning, or the one before today's. Raises Problems."""
    matching = tuple(
        item
        for item in versions
        if (item.is_previous if identifier == "previous" else item.identifier.startswith(identifier))
    )
    if len(matching) != 1:
        count = f"{format_count(len(matching), 'version')} begin with" if matching else "no version begins with"
        raise Problems.from_message(f"{count} `{identifier}`", hint=f"list them: orchestrator restore secret {name}")
    return matching[0]


def _print_keys(settings: Settings, lost: dict[str, str]) -> None:
    shown = [key for key in sorted(lost) if "__" not in key or key.replace("__", ":") not in lost]
    if not shown:
        settings.terminal.print_out("Nothing to restore: the current values are those of this version.")
        return
    settings.terminal.print_out(f"Plan: restore {format_count(len(shown), 'value')}.")
    for key in shown:
        settings.terminal.print_out(f"  ~ {key}")
