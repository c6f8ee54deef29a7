"""``orchestrator explain``: print the documentation of a manifest field from its schema."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options, format_option
from orchestrator.cli.value_completion import complete_field_path
from orchestrator.runs.settings import Settings


@cli_command(
    "explain",
    "orchestrator explain bucket",
    "orchestrator explain bucket.spec.lifecycle",
    "orchestrator explain database --recursive",
)
@click.argument("path", required=False, default="", shell_complete=complete_field_path)
@click.option("--recursive", is_flag=True, help="Include everything below the path.")
@format_option("text", "json")
@common_options
def command(settings: Settings, path: str, recursive: bool, output_format: str) -> None:
    """Explain a manifest field.

    PATH is a kind, optionally followed by fields, separated by dots. Without PATH, lists the kinds. JSON output
    contains the field and all fields below it.
    """
    from orchestrator.manifest.explain import explain, list_fields

    if output_format == "json":
        from orchestrator import canonical_json

        settings.terminal.print_out(canonical_json.dump(list_fields(path)).decode())
        return
    settings.terminal.print_out(explain(path, recursive))
