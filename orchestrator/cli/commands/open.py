"""``orchestrator open``: open the site, a service, the dashboard or the AWS console in a browser."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import project_options
from orchestrator.cli.value_completion import complete_component, complete_page
from orchestrator.runs.settings import Settings


@cli_command(
    "open",
    "orchestrator open",
    "orchestrator open api -e prod",
    "orchestrator open dashboard",
    "orchestrator open console database.main",
)
@click.argument("page", default="site", metavar="[site|dashboard|console|COMPONENT]", shell_complete=complete_page)
@click.argument("component", default="", shell_complete=complete_component)
@project_options
def command(settings: Settings, page: str, component: str) -> None:
    """Open the site, a service, the dashboard or the AWS console in a browser.

    Prints the address, and opens it if this is a terminal. `console` opens the AWS console in the environment's region,
    or on the page of a component. `dashboard` opens the environment's page in the state service.
    """
    import webbrowser

    from orchestrator.runs import addresses

    url = addresses.find_url(settings, page, component)
    settings.terminal.print_out(url)
    if settings.terminal.is_interactive and not webbrowser.open(url):
        settings.terminal.print_err("No browser was found.")
