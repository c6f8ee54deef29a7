"""``orchestrator model``: which model the shop's browsers load, and whether it still knows the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import verb
from orchestrator.cli.options import common
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.model_registry.staleness import Comparison
    from orchestrator.storage import FileStorage

FEW = 8
"""Products that are named in a line; the rest is counted."""


@click.group("model", help="See which model browsers load, and whether to train.")
def command() -> None:
    """The verbs about models."""


@verb(
    "status",
    "orchestrator model status -e prod",
    "orchestrator model status --threshold 0.2 --detailed-exitcode",
)
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Share of products.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when training is needed.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@common
def status(settings: Settings, threshold: float, *, detailed_exitcode: bool, form: str) -> int:
    """Compare the photos in the bucket with those of the current model.

    Training is needed when more than the threshold's share of the products was added, removed or photographed anew.
    """
    from msgspec.structs import asdict

    from orchestrator import canonical_json
    from orchestrator.model_registry import staleness
    from orchestrator.problems import Exit

    seen = staleness.status(models_storage(settings), threshold)
    if form == "json":
        settings.terminal.say(canonical_json.dump({**asdict(seen), "training_needed": seen.is_due}).decode())
    else:
        settings.terminal.say(text(seen))
    return Exit.CHANGES if detailed_exitcode and seen.is_due else Exit.OK


@verb("list", "orchestrator model list -e prod")
@common
def versions(settings: Settings) -> int:
    """List the uploaded versions, newest last."""
    from orchestrator.model_registry import registry
    from orchestrator.problems import Exit

    storage = models_storage(settings)
    now = registry.current(storage)
    found = [registry.metadata(storage, version) for version in registry.versions(storage)]
    for known in sorted(found, key=lambda one: one.trained_at):
        mark = "*" if now is not None and now.version == known.version else " "
        told = f"{known.trained_at[:16]:16}  {len(known.classes):4} products  top-1 {known.metrics.top1:.3f}"
        settings.terminal.say(f"{mark} {known.version:24} {told}  {known.size / 1e6:.1f} MB  {known.verdict.says}")
    if not found:
        settings.terminal.say("No model was uploaded yet. Make one: python -m ml.train_model")
    return Exit.OK


command.add_command(status)
command.add_command(versions)


def models_storage(settings: Settings) -> FileStorage:
    """The storage of the manifests' bucket that has a place for models.

    Raises Problems: there is none, or several.
    """
    from orchestrator.model_registry import bucket

    return bucket.find(settings.manifests, settings.environment)


def text(seen: Comparison) -> str:
    """The comparison in a few lines."""
    lines = [f"Model {seen.version or 'none yet'}; {seen.products} products with photos in the bucket."]
    for deed, names in (("added", seen.added), ("removed", seen.removed), ("photographed anew", seen.changed)):
        if names:
            more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
            lines.append(f"  {len(names)} {deed}: {', '.join(names[:FEW])}{more}")
    if seen.unplaced:
        more = f" and {len(seen.unplaced) - FEW} more" if len(seen.unplaced) > FEW else ""
        lines.append(f"  {len(seen.unplaced)} new files show no known product: {', '.join(seen.unplaced[:FEW])}{more}")
    counts = f"{seen.photos_added} added, {seen.photos_changed} replaced, {seen.photos_removed} removed"
    lines.append(f"  photos: {counts}")
    share = f"{seen.share:.0%} of the products differ, {seen.threshold:.0%} may"
    advice = "Training is needed" if seen.is_due else "No training is needed"
    lines.append(f"{advice}: {share}." + (" Next: python -m ml.download_photos" if seen.is_due else ""))
    return "\n".join(lines)
