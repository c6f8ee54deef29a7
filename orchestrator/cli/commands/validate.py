"""``orchestrator validate``: check the manifests offline."""

from __future__ import annotations

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.runs.settings import Settings


@cli_command(
    "validate",
    "orchestrator validate",
    "orchestrator validate -f infra/manifests -e staging",
)
@common_options
def command(settings: Settings) -> None:
    """Check the manifests offline.

    Needs no credentials and no network. Checks every environment, or only the environment given with -e. Prints every
    problem with its file, line and column. Exits 1 if there is a problem.
    """
    from orchestrator.planning import pipeline

    if settings.environment is not None:
        pipeline.validate(settings.manifests, settings.environment)
        settings.terminal.print_out("The manifests are valid.")
        return
    names = list(pipeline.validate_all(settings.manifests))
    scope = f" in every environment ({', '.join(names)})" if len(names) > 1 else ""
    settings.terminal.print_out(f"The manifests are valid{scope}.")
