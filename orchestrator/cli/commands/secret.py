"""``orchestrator secret``: store, list and remove values that come from outside, such as a Stripe key."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import CliCommand
from orchestrator.cli.options import data_options, format_option, project_options
from orchestrator.cli.value_completion import complete_secret, complete_secret_key
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.runs.approval import Approval
    from orchestrator.runs.external_values import ExternalValues
    from orchestrator.runs.reporter import RunOptions


@click.group("secret")
def command() -> None:
    """Store, list and remove external secret values, and rotate generated ones.

    A manifest declares external values with `external: true`; no value is in a manifest, plan, log or command line.
    """


@command.command(
    "set",
    cls=CliCommand,
    examples=(
        "orchestrator secret set app Stripe:Key -e prod",
        "orchestrator secret set app Tls:Key --file key.pem -e prod",
    ),
)
@click.argument("secret", shell_complete=complete_secret)
@click.argument("key", shell_complete=complete_secret_key)
@click.option(
    "--file",
    "source_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File that contains the value, such as a PEM key; the content is stored unchanged.",
)
@project_options
def set_value(settings: Settings, secret: str, key: str, source_file: Path | None) -> int:
    """Store the value of KEY in SECRET.

    The value is read from --file, from standard input if it is not a terminal, or otherwise from a hidden prompt. It
    cannot be passed as an argument. Services receive it with their next deployment.
    """
    from orchestrator.problems import ExitCode
    from orchestrator.release import ledger_entry

    values = _open_values(settings, secret)
    declaration = values.require_declared(key)
    if description := declaration.get("description"):
        settings.terminal.print_err(f"{key}: {description}")
    actor = ledger_entry.detect_origin(settings.manifests).actor
    values.store(key, _read_value(key, source_file), actor)
    settings.terminal.print_out(f"Stored {key} in {secret}. Services receive it with their next deployment.")
    return ExitCode.OK


@command.command("list", cls=CliCommand, examples=("orchestrator secret list app -e prod",))
@click.argument("secret", shell_complete=complete_secret)
@format_option("text", "json")
@project_options
def list_values(settings: Settings, secret: str, output_format: str) -> int:
    """List the keys of SECRET, with the source of each value, who set it, and when. Never prints a value."""
    from orchestrator import canonical_json
    from orchestrator.problems import ExitCode

    stored = list(_open_values(settings, secret).list_values())
    if output_format == "json":
        settings.terminal.print_out(canonical_json.dump(stored).decode())
        return ExitCode.OK
    width = max((len(item.key) for item in stored), default=0)
    for item in stored:
        settings.terminal.print_out(f"{item.key:<{width}}  {item.source:<19}  {item.set_by}".rstrip())
    return ExitCode.OK


@command.command(
    "rotate",
    cls=CliCommand,
    examples=("orchestrator secret rotate app -e prod", "orchestrator secret rotate app --key Jwt:Key -e prod"),
)
@click.argument("secret")
@click.option("--key", "keys", multiple=True, help="Rotate only this generated value (repeatable); default: all.")
@data_options
@project_options
def rotate_values(
    settings: Settings, secret: str, keys: tuple[str, ...], approval: Approval, run_options: RunOptions
) -> int:
    """Rotate values of SECRET: keys that the manifest generates, and passwords of databases.

    Runs a deploy that changes nothing else: it writes a new version, sets each database's password, restarts the
    services that use the Secret and sends requests to them. If the services do not respond, it restores the old values.
    With `keepPrevious`, the previous value stays in the Secret until the next rotation. Exits 3 when
    the plan is vetoed, 5 when the services did not work with the new values and the old ones are restored.
    """
    from orchestrator.runs.rotate_secret import rotate

    return rotate(settings, secret, keys, approval, run_options).exit_code


@command.command("unset", cls=CliCommand, examples=("orchestrator secret unset app Stripe:Key -e prod",))
@click.argument("secret", shell_complete=complete_secret)
@click.argument("key", shell_complete=complete_secret_key)
@project_options
def unset_value(settings: Settings, secret: str, key: str) -> int:
    """Remove the value of KEY from SECRET.

    Plans fail until the value is set again, or until the manifest no longer declares it.
    """
    from orchestrator.problems import ExitCode

    was_removed = _open_values(settings, secret).remove(key)
    settings.terminal.print_out(f"Removed {key} from {secret}." if was_removed else f"{secret} has no value for {key}.")
    return ExitCode.OK


def _open_values(settings: Settings, secret: str) -> ExternalValues:
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.runs.external_values import ExternalValues

    desired = pipeline.load_desired(settings.manifests, settings.environment, include_artefacts=False)
    clients = Clients.for_scope(desired.scope)
    pipeline.check_connection(clients)
    return ExternalValues(clients, desired, secret)


def _read_value(key: str, source_file: Path | None) -> str:
    """Return the value from the file, from standard input or from a hidden prompt."""
    from orchestrator.redaction.github_masks import mask

    if source_file is not None:
        return mask(source_file.read_text(encoding="utf-8"))
    if not sys.stdin.isatty():
        return mask(sys.stdin.read().rstrip("\r\n"))
    return mask(str(click.prompt(f"Value of {key}", hide_input=True)))
