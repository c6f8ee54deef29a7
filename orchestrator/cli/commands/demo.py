"""``orchestrator demo``: the real pipeline against the embedded AWS."""

from __future__ import annotations

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.runs.settings import Settings


@cli_command(
    "demo",
    "orchestrator demo",
    "orchestrator demo -f manifests -e prod",
)
@common_options
def command(settings: Settings) -> int:
    """See all of it at work, on this machine.

    Starts an empty AWS on a free port of this machine, and validates, plans and applies the manifests against it; then
    changes one thing by hand, shows the drift and heals it. Then it ships an application of its own, a process and a
    site, twice and once more with a fault, and goes back; buildah or podman builds its image, if one is there. Touches
    no real AWS and needs no credentials, no builder of images and no terminal. The state service tells of it on a
    dashboard, which on a terminal stays until Ctrl-C.
    """
    from orchestrator.demo import infrastructure
    from orchestrator.problems import Problems

    try:
        return infrastructure.run_demo(settings)
    except ImportError as error:
        raise Problems.from_missing_extra("the demo", "emulator", error.name) from None
