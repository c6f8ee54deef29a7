"""Render the training report: one self-contained HTML page for shop owners, with charts and mistakes."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ml import training_run as runs
from ml.atomic_files import create_atomic, write_atomic
from ml.command_runner import format_duration
from ml.data.dataset import Photo
from ml.data.preprocessing import flatten_transparency
from ml.data.split import DatasetSplits
from ml.evaluation.prototype_metrics import Evaluation
from ml.training.network import Array
from ml.training.training_loop import EpochMetrics
from ml.training_run import TrainingRun

CURVES_FILE, CONFUSION_FILE = "curves.png", "confusion.png"
CHART_FILES = (CURVES_FILE, CONFUSION_FILE)
MAX_MISTAKES = 12
MAX_WEAK_PRODUCTS = 10
THUMBNAIL_SIZE = (220, 220)
MAX_LABELLED_PRODUCTS = 30
"""Maximum number of products for which the confusion matrix shows labels."""
BLUE, RUST, GREY = "#1f5fa8", "#b4532a", "#8a8f98"


@dataclass(frozen=True, slots=True)
class Mistake:
    """A misclassified held-out photo; ``photo`` and ``example`` are data URLs, probabilities in percent.

    ``example`` shows the predicted product.
    """

    photo: str
    product: str
    predicted: str
    predicted_percent: int
    true_percent: int
    path: str
    example: str


def write(
    folder: Path,
    run: TrainingRun,
    epochs: Sequence[EpochMetrics],
    evaluation: Evaluation,
    splits: DatasetSplits,
    data_folder: Path,
) -> None:
    """Write the charts and the page into the run's folder.  Raises OSError."""
    create_atomic(folder / CURVES_FILE, lambda temp_path: _save_png(_plot_curves(epochs), temp_path))
    create_atomic(folder / CONFUSION_FILE, lambda temp_path: _save_png(_plot_confusion(evaluation, splits), temp_path))
    text = render_page(
        run,
        epochs,
        find_worst_mistakes(evaluation, splits, data_folder),
        [_to_data_url(folder / name, "png") for name in CHART_FILES],
    )
    write_atomic(folder / runs.REPORT_FILE, text.encode())


def render_page(
    run: TrainingRun, epochs: Sequence[EpochMetrics], mistakes: Sequence[Mistake], chart_urls: Sequence[str]
) -> str:
    """Render the page as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    weak_products = sorted(
        run.metrics.per_product.items(), key=lambda item: (item[1].right / max(item[1].photos, 1), item[0])
    )
    return environment.get_template("report.html.j2").render(
        run=run, epochs=epochs, mistakes=mistakes, curves=chart_urls[0], confusion=chart_urls[1],
        weak=[(name, score) for name, score in weak_products if score.right < score.photos][:MAX_WEAK_PRODUCTS],
        wrong=sum(score.photos - score.right for score in run.metrics.per_product.values()),
        duration=format_duration(run.seconds),
        unmeasured=[name for name, score in run.metrics.per_product.items() if not score.photos],
    )  # fmt: skip


def find_worst_mistakes(
    evaluation: Evaluation, splits: DatasetSplits, data_folder: Path, limit: int = MAX_MISTAKES
) -> list[Mistake]:
    """Return the misclassified photos, most confident first, each with an example of the predicted product."""
    predicted = evaluation.probabilities.argmax(axis=1)
    rows = np.arange(len(predicted))
    wrong_rows = np.flatnonzero(predicted != evaluation.truth)
    ranked = wrong_rows[np.argsort(-evaluation.probabilities[rows, predicted][wrong_rows], kind="stable")][:limit]
    mistakes = []
    for row in ranked.tolist():
        held_out_photo, predicted_product = splits.held_out[row], splits.classes[predicted[row]]
        percent = np.rint(evaluation.probabilities[row] * 100).astype(int)
        example = next((photo for photo in splits.train if photo.product == predicted_product), None)
        mistakes.append(
            Mistake(
                make_thumbnail(data_folder, held_out_photo),
                held_out_photo.product,
                predicted_product,
                int(percent[predicted[row]]),
                int(percent[evaluation.truth[row]]),
                held_out_photo.path,
                make_thumbnail(data_folder, example),
            )
        )
    return mistakes


def make_thumbnail(data_folder: Path, photo: Photo | None) -> str:
    """Return a small JPEG as a data URL, or "" if the photo does not exist any more."""
    stream = io.BytesIO()
    try:
        assert photo is not None
        with Image.open(data_folder / photo.path) as image:
            image.draft("RGB", THUMBNAIL_SIZE)
            reduced = flatten_transparency(ImageOps.exif_transpose(image))
            reduced.thumbnail(THUMBNAIL_SIZE)
            reduced.save(stream, "JPEG", quality=82)
    except (OSError, ValueError, AssertionError):
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _to_data_url(path: Path, image_type: str) -> str:
    return f"data:image/{image_type};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _new_figure(width: float, height: float) -> Any:
    """Create a figure without a display and without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save_png(figure: Any, path: Path) -> None:
    figure.savefig(path, format="png", dpi=110)


def _plot_curves(epochs: Sequence[EpochMetrics]) -> Any:
    """Plot loss and accuracy by epoch; a vertical line marks the start of fine-tuning."""
    figure = _new_figure(9, 3.4)
    epoch_numbers = range(1, len(epochs) + 1)
    fine_tuning_start = next((index for index, epoch in enumerate(epochs) if epoch.stage != "head"), None)
    best_index = min(range(len(epochs)), key=lambda index: epochs[index].validation_loss)
    panels = (
        ("loss", [epoch.loss for epoch in epochs], [epoch.validation_loss for epoch in epochs]),
        ("accuracy", [epoch.accuracy for epoch in epochs], [epoch.validation_accuracy for epoch in epochs]),
    )
    for position, (name, train_values, validation_values) in enumerate(panels, 1):
        axes = figure.add_subplot(1, 2, position)
        axes.plot(epoch_numbers, train_values, color=GREY, label="training set")
        axes.plot(epoch_numbers, validation_values, color=BLUE, label="validation set")
        axes.plot([best_index + 1], [validation_values[best_index]], "o", color=BLUE, markersize=5, label="best epoch")
        if fine_tuning_start is not None:
            axes.axvline(fine_tuning_start + 0.5, color=RUST, linewidth=1, linestyle="--", label="fine-tuning starts")
        axes.set(title=name, xlabel="epoch")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(bottom=0, top=1.02 if name == "accuracy" else None)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _plot_confusion(evaluation: Evaluation, splits: DatasetSplits) -> Any:
    """Plot the confusion matrix: rows are true products, columns predicted ones, values shares of the row."""
    class_count = len(splits.classes)
    counts = np.zeros((class_count, class_count))
    np.add.at(counts, (evaluation.truth, evaluation.probabilities.argmax(axis=1)), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side_inches = min(max(4.2, 0.34 * class_count + 2), 12)
    figure = _new_figure(side_inches + 1, side_inches)
    axes = figure.add_subplot()
    heatmap = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(heatmap, ax=axes, shrink=0.7, label="share of the product's photos")
    axes.set(xlabel="predicted product", ylabel="true product")
    if class_count <= MAX_LABELLED_PRODUCTS:
        axes.set_xticks(
            range(class_count), [_shorten(name) for name in splits.classes], rotation=60, ha="right", fontsize=8
        )
        axes.set_yticks(range(class_count), [_shorten(name) for name in splits.classes], fontsize=8)
        _draw_cell_counts(axes, counts, shares)
    return figure


def _draw_cell_counts(axes: Any, counts: Array, shares: Array) -> None:
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.55 else "black"
        axes.text(column, row, int(counts[row, column]), ha="center", va="center", fontsize=7, color=colour)


def _shorten(name: str) -> str:
    """Shorten a label, and escape dollar signs, which start a formula in matplotlib."""
    return (name if len(name) <= 22 else f"{name[:21]}…").replace("$", r"\$")
