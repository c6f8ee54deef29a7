"""Render the training report: one self-contained HTML page for shop owners, with what is confused and what to do."""

from __future__ import annotations

import base64
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ml import training_run as runs
from ml.atomic_files import write_atomic
from ml.command_runner import format_duration
from ml.data.dataset import Photo
from ml.data.preprocessing import flatten_transparency
from ml.evaluation.cross_validation import Evaluation
from ml.training.training_loop import EpochMetrics
from ml.training_run import Score, TrainingRun

MAX_MISTAKES = 12
MAX_PAIRS = 24
MAX_WEAK_PRODUCTS = 15
THUMBNAIL_SIZE = (160, 160)
CONFIDENCE_Z = 1.96
"""Deviations of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A photo whose first answer is another product; pictures are data URLs, probabilities in percent."""

    photo: str
    product: str
    predicted: str
    predicted_percent: int
    true_percent: int
    path: str
    example: str


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Two products of which simulated phone photos of ``product`` are taken for ``predicted``; ``share`` in percent."""

    product: str
    predicted: str
    share: int
    photo: str
    example: str
    are_lookalikes: bool


@dataclass(frozen=True, slots=True)
class ProductRow:
    """A product's photos, and the share of its simulated phone photos that is recognised, in percent, with its range.

    ``share`` is None if it was not measured.
    """

    product: str
    photos: int
    share: int | None
    low: int
    high: int


def write(
    folder: Path,
    run: TrainingRun,
    epochs: Sequence[EpochMetrics],
    evaluation: Evaluation,
    photos: Sequence[Photo],
    data_folder: Path,
) -> None:
    """Write the page into the run's folder.  Raises OSError."""
    examples = {photo.product: photo for photo in reversed(photos)}
    text = render_page(
        run,
        epochs,
        find_worst_mistakes(evaluation, run.classes, examples, data_folder),
        find_confused_pairs(evaluation, run.classes, examples, data_folder),
        list_products(run, photos),
    )
    write_atomic(folder / runs.REPORT_FILE, text.encode())


def render_page(
    run: TrainingRun,
    epochs: Sequence[EpochMetrics],
    mistakes: Sequence[Mistake],
    pairs: Sequence[ConfusedPair],
    products: Sequence[ProductRow],
) -> str:
    """Render the page as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    weak = [row for row in products if row.share is None or row.share < 100][:MAX_WEAK_PRODUCTS]
    return environment.get_template("report.html.j2").render(
        run=run, epochs=epochs, mistakes=mistakes, pairs=pairs, products=products, weak=weak,
        duration=format_duration(run.seconds),
    )  # fmt: skip


def list_products(run: TrainingRun, photos: Sequence[Photo]) -> list[ProductRow]:
    """Return all products; those that a few more photos would help most come first."""
    counts = Counter(photo.product for photo in photos)
    rows = []
    for name in run.classes:
        score = run.phone.per_product.get(name, Score(0, 0))
        low, high = confidence_interval(score)
        share = round(100 * score.right / score.photos) if score.photos else None
        rows.append(ProductRow(name, counts[name], share, low, high))
    return sorted(rows, key=lambda row: (-1 if row.share is None else row.share, row.photos, row.product))


def confidence_interval(score: Score) -> tuple[int, int]:
    """Return the 95 % interval of a product's accuracy, in percent (Wilson)."""
    if not score.photos:
        return 0, 100
    share, count, square = score.right / score.photos, score.photos, CONFIDENCE_Z**2
    centre = share + square / (2 * count)
    half = CONFIDENCE_Z * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    low, high = ((centre + sign * half) / (1 + square / count) for sign in (-1, 1))
    return math.floor(100 * max(low, 0)), math.ceil(100 * min(high, 1))


def find_worst_mistakes(
    evaluation: Evaluation,
    products: Sequence[str],
    examples: Mapping[str, Photo],
    data_folder: Path,
    limit: int = MAX_MISTAKES,
) -> list[Mistake]:
    """Return the shop's own photos that are taken for another product, most confident first."""
    shown = evaluation.studio_answers[:, :-1]
    predicted = shown.argmax(axis=1) if len(shown) else np.empty(0, dtype=int)
    truth = [products.index(photo.product) for photo in evaluation.photos]
    wrong = [row for row in range(len(shown)) if predicted[row] != truth[row]]
    mistakes = []
    for row in sorted(wrong, key=lambda row: -shown[row].max())[:limit]:
        photo, name = evaluation.photos[row], products[predicted[row]]
        percent = np.rint(shown[row] * 100).astype(int)
        mistakes.append(
            Mistake(
                make_thumbnail(data_folder, photo),
                photo.product,
                name,
                int(percent[predicted[row]]),
                int(percent[truth[row]]),
                photo.path,
                make_thumbnail(data_folder, examples.get(name)),
            )
        )
    return mistakes


def find_confused_pairs(
    evaluation: Evaluation,
    products: Sequence[str],
    examples: Mapping[str, Photo],
    data_folder: Path,
    limit: int = MAX_PAIRS,
) -> list[ConfusedPair]:
    """Return the pairs of products that simulated phone photos confuse, most often first."""
    if not len(evaluation.phone_answers):
        return []
    per_photo = len(evaluation.phone_answers) // len(evaluation.photos)
    truth = np.repeat([products.index(photo.product) for photo in evaluation.photos], per_photo)
    predicted = evaluation.phone_answers[:, :-1].argmax(axis=1)
    totals = Counter(truth.tolist())
    counts = Counter(pair for pair in zip(truth.tolist(), predicted.tolist(), strict=True) if pair[0] != pair[1])
    shares = sorted(((count / totals[pair[0]], pair) for pair, count in counts.items()), reverse=True)[:limit]
    groups = [set(group) for group in evaluation.rule.groups]
    return [
        ConfusedPair(
            products[true],
            products[other],
            round(100 * share),
            make_thumbnail(data_folder, examples.get(products[true])),
            make_thumbnail(data_folder, examples.get(products[other])),
            any({products[true], products[other]} <= group for group in groups),
        )
        for share, (true, other) in shares
    ]


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
