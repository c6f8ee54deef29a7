"""``orchestrator demo``: run the real pipeline against an emulated AWS."""

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
    """Plan, deploy, break, roll back and restore on an emulated AWS.

    Starts an empty emulated AWS on a free port, and validates, plans and applies the manifests against it. Then changes
    one setting manually, shows the drift and reverts it. Next, deploys two versions of a sample application (an API and
    a site), and builds the image if buildah or podman is installed. Then deploys a third version, which fails its
    health check, and rolls back. Finally, drops a table of a PostgreSQL database and restores it. Changes nothing in a
    real AWS account, and needs no credentials, image builder or terminal. The state service shows every run on a
    dashboard; on a terminal, the dashboard stays open until you press Ctrl-C.
    """
    from orchestrator.demo import infrastructure
    from orchestrator.problems import Problems

    try:
        return infrastructure.run_demo(settings)
    except ImportError as error:
        raise Problems.from_missing_extra("the demo", "emulator", error.name) from None
