"""``orchestrator validate``: the pipeline up to check."""

from __future__ import annotations

from orchestrator.cli.options import Settings, common
from orchestrator.cli.verb import verb


@verb(
    "validate",
    "orchestrator validate",
    "orchestrator validate -f infra/manifests -e staging",
)
@common
def command(settings: Settings) -> None:
    """Check the manifests, offline.

    Needs no credentials and no network. Finds every problem at once, each with its file, line and column. Exits 1 when
    there is one.
    """
    from orchestrator import pipeline

    pipeline.validate(settings.manifests, settings.environment)
    settings.terminal.say("The manifests are valid.")
