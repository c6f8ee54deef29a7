"""Run the command of a migration on this machine, with the service's secrets and variables in its environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.artefacts.build_process import BuildLog, format_repeat, ignore_output, interruption
from orchestrator.problems import Problems
from orchestrator.resources.migration.command_secrets import read_variables


def run_command(
    instructions: Mapping[str, Any],
    build: str,
    documents: list[Mapping[str, Any]],
    on_output: Callable[[str], None] = ignore_output,
) -> None:
    """Run the command; ``documents`` are the secrets' values.

    Raises Problems with the first error and the end of the output if it fails.
    """
    command, folder = instructions["command"], Path(instructions["folder"])
    values = dict(read_variables(instructions["secrets"], documents))
    log = BuildLog("migration", on_output, values.values())
    environment = {**instructions["environment"], **values, "ORCHESTRATOR_RELEASE": build}
    timeout = instructions["within"]
    try:
        result = log.run(command, folder=folder, environment=environment, timeout=timeout, is_trusted=True)
    except Problems as error:
        message = (
            "the migration was interrupted; the database may be partly migrated, and the new build is not deployed"
        )
        raise interruption(error, message) from None
    if result.exit_code:
        hint = "the new build was not deployed; fix the cause and deploy again"
        repeat = format_repeat(folder, command)
        raise log.failure(result, "the migration failed", repeat=repeat, hint=hint)
