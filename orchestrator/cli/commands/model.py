"""``orchestrator model``: show the model that browsers load, and whether the catalogue has outgrown it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import format_option, project_options
from orchestrator.quantities import format_count
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.model_registry.staleness import CatalogueComparison
    from orchestrator.storage import FileStorage

MAX_NAMED_PRODUCTS = 8
"""Maximum number of products listed by name in a line; the rest are counted."""


@click.group("model", help="Show the model in use, and whether to retrain it.")
def command() -> None:
    """Group the commands about models."""


@cli_command(
    "status",
    "orchestrator model status -e prod",
    "orchestrator model status --threshold 0.2 --detailed-exitcode",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Share of changed products above which training is needed, from 0 to 1.",
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when training is needed.")
@click.option(
    "--publish",
    is_flag=True,
    help="Write the result to ml-models/training-needed.json, for the pages of the application.",
)
@format_option("text", "json")
@project_options
def status(settings: Settings, threshold: float, *, detailed_exitcode: bool, publish: bool, output_format: str) -> int:
    """Compare the photos in the bucket with those of the current model.

    Training is needed when the share of products that were added, removed or got new photos exceeds --threshold.
    """
    from datetime import UTC, datetime

    from msgspec.structs import asdict

    from orchestrator import canonical_json
    from orchestrator.model_registry import staleness
    from orchestrator.problems import ExitCode

    storage = models_storage(settings)
    comparison = staleness.check_staleness(storage, threshold)
    if publish:
        staleness.publish_status(storage, comparison, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    if output_format == "json":
        settings.terminal.print_out(
            canonical_json.dump(
                staleness.ModelStatus(**asdict(comparison), training_needed=comparison.is_retraining_due)
            ).decode()
        )
    else:
        settings.terminal.print_out(format_comparison(comparison, format_location(settings)))
    return ExitCode.CHANGES if detailed_exitcode and comparison.is_retraining_due else ExitCode.OK


@cli_command("list", "orchestrator model list -e prod")
@format_option("text", "json")
@project_options
def list_versions(settings: Settings, output_format: str) -> int:
    """List the uploaded versions, newest last."""
    from orchestrator import canonical_json
    from orchestrator.model_registry import registry
    from orchestrator.problems import ExitCode

    storage = models_storage(settings)
    current_model = registry.read_pointer(storage)
    models = [registry.read_metadata(storage, version) for version in registry.list_versions(storage)]
    models.sort(key=lambda item: item.trained_at)
    if output_format == "json":
        current_version = current_model.version if current_model else ""
        rows = [registry.summarise(model, is_current=model.version == current_version) for model in models]
        settings.terminal.print_out(canonical_json.dump(rows).decode())
        return ExitCode.OK
    for model in models:
        marker = "*" if current_model is not None and current_model.version == model.version else " "
        summary = f"{model.trained_at[:16]:16}  {len(model.classes):4} products  top-1 {model.metrics.top1:.3f}"
        settings.terminal.print_out(
            f"{marker} {model.version:24} {summary}  {model.size / 1e6:.1f} MB  {model.verdict.says}"
        )
    if not models:
        settings.terminal.print_out(
            "No model has been uploaded. To train one, download the photos first: python -m ml.download_photos"
            f"{format_location(settings)}"
        )
    return ExitCode.OK


@cli_command("use", "orchestrator model use 20261124-101500-3f2a -e prod")
@click.argument("version")
@project_options
def use_version(settings: Settings, version: str) -> int:
    """Make an uploaded VERSION the current model, immediately.

    Changes only the pointer ml-models/current.json; browsers load the version the next time they start. A deploy does
    not change it back.
    """
    from orchestrator.model_registry import registry
    from orchestrator.problems import ExitCode

    previous, pointer = registry.use(models_storage(settings), version)
    if previous == version:
        settings.terminal.print_out(f"Model {version} is already in use.")
        return ExitCode.OK
    settings.terminal.print_out(
        f"Model {pointer.version} is now in use" + (f", replacing {previous}." if previous else ".")
    )
    if previous:
        settings.terminal.print_out(f"To go back: orchestrator model use {previous}{format_location(settings)}")
    return ExitCode.OK


command.add_command(status)
command.add_command(list_versions)
command.add_command(use_version)


def format_location(settings: Settings) -> str:
    """Return the options that select the storage, for the next command."""
    import shlex

    options = {"-e": settings.environment, "-f": None if str(settings.manifests) == "manifests" else settings.manifests}
    return "".join(f" {option} {shlex.quote(str(value))}" for option, value in options.items() if value)


def models_storage(settings: Settings) -> FileStorage:
    """Return the storage of the bucket that holds models, according to the manifests.

    Raises Problems if no bucket does, or several do.
    """
    from orchestrator.model_registry import bucket

    return bucket.find_storage(settings.manifests, settings.environment)


def format_comparison(comparison: CatalogueComparison, location: str = "") -> str:
    """Return ``comparison`` as a few lines of text; ``location``: the options of the next command."""
    count = format_count(comparison.products, "product")
    lines = [f"Model {comparison.version or 'none yet'}; {count} with photos in the bucket."]
    for label, names in (
        ("added", comparison.added),
        ("removed", comparison.removed),
        ("with new photos", comparison.changed),
    ):
        if names:
            remainder = f" and {len(names) - MAX_NAMED_PRODUCTS} more" if len(names) > MAX_NAMED_PRODUCTS else ""
            lines.append(f"  {len(names)} {label}: {', '.join(names[:MAX_NAMED_PRODUCTS])}{remainder}")
    if comparison.unplaced:
        remainder = (
            f" and {len(comparison.unplaced) - MAX_NAMED_PRODUCTS} more"
            if len(comparison.unplaced) > MAX_NAMED_PRODUCTS
            else ""
        )
        lines.append(
            f"  {len(comparison.unplaced)} new files do not belong to a known product: "
            f"{', '.join(comparison.unplaced[:MAX_NAMED_PRODUCTS])}{remainder}"
        )
    counts = (
        f"{comparison.photos_added} added, {comparison.photos_changed} replaced, {comparison.photos_removed} removed"
    )
    lines.append(f"  photos: {counts}")
    share = f"{comparison.share:.0%} of the products changed since the training (threshold {comparison.threshold:.0%})"
    advice = "Training is needed" if comparison.is_retraining_due else "No training is needed"
    lines.append(
        f"{advice}: {share}."
        + (f" Next: python -m ml.download_photos{location}" if comparison.is_retraining_due else "")
    )
    return "\n".join(lines)
