"""The report of a training: one page with its pictures inside, for somebody who knows the shop and not the network."""

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
from ml.atomic_files import make_whole, write_whole
from ml.data.dataset import Photo
from ml.data.preprocessing import on_ground
from ml.data.split import Sides
from ml.evaluation.prototype_metrics import Measured
from ml.training.network import Array
from ml.training.training_loop import Epoch
from ml.training_run import Run

CURVES, CONFUSION = "curves.png", "confusion.png"
PICTURES = (CURVES, CONFUSION)
WORST = 12
WEAKEST = 10
THUMBNAIL = (220, 220)
MOST_NAMED = 30
"""Products whose names fit beside a confusion matrix."""
BLUE, RUST, GREY = "#1f5fa8", "#b4532a", "#8a8f98"


@dataclass(frozen=True, slots=True)
class Mistake:
    """A held-out photo that was taken for something else; shares in percent."""

    photo: str
    product: str
    taken_for: str
    sure: int
    own: int
    path: str
    alike: str


def write(folder: Path, run: Run, epochs: Sequence[Epoch], measured: Measured, sides: Sides, data: Path) -> None:
    """Write the pictures and the page into the run's folder.  Raises OSError."""
    make_whole(folder / CURVES, lambda part: _save(_curves(epochs), part))
    make_whole(folder / CONFUSION, lambda part: _save(_confusion(measured, sides), part))
    text = page(run, epochs, worst(measured, sides, data), [_inline(folder / name, "png") for name in PICTURES])
    write_whole(folder / runs.REPORT, text.encode())


def page(run: Run, epochs: Sequence[Epoch], mistakes: Sequence[Mistake], pictures: Sequence[str]) -> str:
    """The page as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    weak = sorted(run.metrics.per_product.items(), key=lambda item: (item[1].right / max(item[1].photos, 1), item[0]))
    return environment.get_template("report.html.j2").render(
        run=run, epochs=epochs, mistakes=mistakes, curves=pictures[0], confusion=pictures[1],
        weak=[(name, score) for name, score in weak if score.right < score.photos][:WEAKEST],
        wrong=sum(score.photos - score.right for score in run.metrics.per_product.values()),
        unmeasured=[name for name, score in run.metrics.per_product.items() if not score.photos],
    )  # fmt: skip


def worst(measured: Measured, sides: Sides, data: Path, most: int = WORST) -> list[Mistake]:
    """Where the model was surest and wrong, with a photo of the product that it saw instead."""
    said = measured.probabilities.argmax(axis=1)
    rows = np.arange(len(said))
    wrong = np.flatnonzero(said != measured.truth)
    ranked = wrong[np.argsort(-measured.probabilities[rows, said][wrong], kind="stable")][:most]
    made = []
    for row in ranked.tolist():
        one, other = sides.held_out[row], sides.classes[said[row]]
        percent = np.rint(measured.probabilities[row] * 100).astype(int)
        example = next((photo for photo in sides.train if photo.product == other), None)
        made.append(
            Mistake(thumbnail(data, one), one.product, other, int(percent[said[row]]),
                    int(percent[measured.truth[row]]), one.path, thumbnail(data, example))
        )  # fmt: skip
    return made


def thumbnail(data: Path, photo: Photo | None) -> str:
    """A small JPEG inside a URL, or "" where there is no photo any more."""
    stream = io.BytesIO()
    try:
        assert photo is not None
        with Image.open(data / photo.path) as image:
            image.draft("RGB", THUMBNAIL)
            small = on_ground(ImageOps.exif_transpose(image))
            small.thumbnail(THUMBNAIL)
            small.save(stream, "JPEG", quality=82)
    except (OSError, ValueError, AssertionError):
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _inline(path: Path, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _figure(width: float, height: float) -> Any:
    """A figure that needs no screen, and no state of pyplot's."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, format="png", dpi=110)


def _curves(epochs: Sequence[Epoch]) -> Any:
    """Loss and accuracy by epoch; a line where the top blocks began to learn."""
    figure = _figure(9, 3.4)
    numbers = range(1, len(epochs) + 1)
    fine = next((index for index, one in enumerate(epochs) if one.stage != "head"), None)
    best = min(range(len(epochs)), key=lambda index: epochs[index].validation_loss)
    shown = (
        ("loss", [one.loss for one in epochs], [one.validation_loss for one in epochs]),
        ("accuracy", [one.accuracy for one in epochs], [one.validation_accuracy for one in epochs]),
    )
    for place, (name, learned, checked) in enumerate(shown, 1):
        axes = figure.add_subplot(1, 2, place)
        axes.plot(numbers, learned, color=GREY, label="photos learned from")
        axes.plot(numbers, checked, color=BLUE, label="other photos")
        axes.plot([best + 1], [checked[best]], "o", color=BLUE, markersize=5, label="kept")
        if fine is not None:
            axes.axvline(fine + 0.5, color=RUST, linewidth=1, linestyle="--", label="top blocks from here")
        axes.set(title=name, xlabel="epoch")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(bottom=0, top=1.02 if name == "accuracy" else None)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _confusion(measured: Measured, sides: Sides) -> Any:
    """Rows: what photos show; columns: what they were taken for; shares of the row."""
    count = len(sides.classes)
    table = np.zeros((count, count))
    np.add.at(table, (measured.truth, measured.probabilities.argmax(axis=1)), 1)
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    side = min(max(4.2, 0.34 * count + 2), 12)
    figure = _figure(side + 1, side)
    axes = figure.add_subplot()
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, ax=axes, shrink=0.7, label="share of the product's photos")
    axes.set(xlabel="taken for", ylabel="shows")
    if count <= MOST_NAMED:
        axes.set_xticks(range(count), [_short(name) for name in sides.classes], rotation=60, ha="right", fontsize=8)
        axes.set_yticks(range(count), [_short(name) for name in sides.classes], fontsize=8)
        _numbers(axes, table, share)
    return figure


def _numbers(axes: Any, table: Array, share: Array) -> None:
    for row, column in zip(*np.nonzero(table), strict=True):
        colour = "white" if share[row, column] > 0.55 else "black"
        axes.text(column, row, int(table[row, column]), ha="center", va="center", fontsize=7, color=colour)


def _short(name: str) -> str:
    """A name that fits; a dollar sign would begin a formula."""
    return (name if len(name) <= 22 else f"{name[:21]}…").replace("$", r"\$")
