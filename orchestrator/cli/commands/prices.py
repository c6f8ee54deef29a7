"""``orchestrator prices``: read AWS's list prices of today, and show those that estimates use."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options, format_option
from orchestrator.runs.settings import Settings


@click.group("prices", help="Download AWS's current list prices, and show the prices that estimates use.")
def command() -> None:
    """Group the commands about prices."""


@cli_command("refresh", "orchestrator prices refresh", "orchestrator prices refresh --region us-east-1")
@click.option(
    "--region", "regions", multiple=True, metavar="REGION", help="Region to read; default: the region of the manifests."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; default: the value of ORCHESTRATOR_PRICES, or prices.json.",
)
@click.option("--url", default=None, metavar="URL", help="URL of AWS's offer files, or of a mirror.")
@common_options
def refresh(settings: Settings, regions: tuple[str, ...], out: Path | None, url: str | None) -> None:
    """Read AWS's public offer files and write the prices to a file of the project.

    Needs no credentials. Commit the file, so that every plan uses these prices. Some offer files are large (the RDS
    file has tens of megabytes); they are streamed.
    """
    from orchestrator.cost import project_prices
    from orchestrator.planning import pipeline
    from orchestrator.runs import price_refresh

    if not regions:
        desired = pipeline.load_desired(settings.manifests, settings.environment, include_artefacts=False)
        regions = (desired.scope.region,)
    path = out or project_prices.project_file()
    price_refresh.refresh(path, regions, settings.terminal.print_err, url or price_refresh.DEFAULT_URL)
    settings.terminal.print_out(f"Wrote {path}. Commit the file: from now on, plans use these prices.")


@cli_command("show", "orchestrator prices show --region eu-west-1")
@click.option("--region", default="eu-west-1", show_default=True, metavar="REGION", help="Region to show.")
@format_option("text", "json")
@common_options
def show(settings: Settings, region: str, output_format: str) -> None:
    """Print every price of a region, with its date and source."""
    from orchestrator import canonical_json
    from orchestrator.cost import project_prices
    from orchestrator.problems import Problems

    prices = project_prices.load().regions.get(region)
    if not prices:
        raise Problems.from_message(
            f"there are no prices for {region}", hint=f"run: orchestrator prices refresh --region {region}"
        )
    if output_format == "json":
        settings.terminal.print_out(canonical_json.dump(prices).decode())
        return
    width = max(map(len, prices))
    for item, price in sorted(prices.items()):
        settings.terminal.print_out(f"{item:<{width}}  {price.usd:>10.6g} USD  {price.as_of}  {price.source}")


command.add_command(refresh)
command.add_command(show)
