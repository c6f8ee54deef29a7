"""Measure a training on 1,000 photos of 50 products against the Keras recipe, each in its own process."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ml import training_run
from ml.evaluation import browser
from ml.export import writer
from ml.training_run import TrainingRun
from orchestrator.model_registry.staleness import PHOTOS_PREFIX
from tests.benchmarks.compared_tools import NEUTRAL_ENVIRONMENT, ROOT, ToolError
from tests.benchmarks.process import Sample, measure
from tests.benchmarks.table import Row, format_megabytes, format_seconds
from tests.ml import composed_photos

MAX_MEMORY_MB = 4000
MIN_SPEEDUP = 5
MAX_ACCURACY_LOSS = 0.02
"""Maximum loss of accuracy compared with the recipe."""


@dataclass(frozen=True, slots=True)
class TrainingSize:
    """The size of a training."""

    product_count: int
    photos_per_product: int
    size: int
    epochs: int

    @property
    def photo_count(self) -> int:
        """Return the number of photos of all products."""
        return self.product_count * self.photos_per_product


FULL_SIZE = TrainingSize(50, 20, 224, 20)
QUICK_SIZE = TrainingSize(8, 12, 96, 20)
BROWSER_PHOTO_COUNT = 8
"""Photos predicted in a browser."""


def rows(quick: bool, on_progress: Callable[[str], None]) -> list[Row]:
    """Measure total time, accuracy and memory against the recipe, stage rates, export size and browser times."""
    training_size = QUICK_SIZE if quick else FULL_SIZE
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = ["--data", str(folder / "data")]
        _write_photos(folder / "bucket" / PHOTOS_PREFIX, training_size)
        download_sample = run_module("ml.download_photos", *data, "--local", str(folder / "bucket"))
        on_progress(f"training {training_size.photo_count} photos ...")
        train_options = [*data, "--weights", str(composed_photos.find_weights()), "--size", str(training_size.size)]
        runs = ["--runs", str(folder / "runs")]
        our_sample = run_module("ml.train_model", *train_options, *runs)
        (run_folder,) = (folder / "runs").glob("2*")
        again_sample = run_module("ml.train_model", *train_options, *runs, "--epochs", "3")
        on_progress("Keras recipe (takes minutes) ...")
        recipe_sample = run_module(
            "tests.benchmarks.training.recipe", *train_options, "--epochs", str(training_size.epochs)
        )
        our_run = training_run.load(run_folder)
        held_out_paths = [folder / "data" / photo.path for photo in our_run.split.held_out[:BROWSER_PHOTO_COUNT]]
        browser_result = (
            browser.predict_in_browser(run_folder / writer.EXPORT_FOLDER, held_out_paths)
            if browser.find_browser()
            else None
        )
        size = sum(path.stat().st_size for path in (run_folder / writer.EXPORT_FOLDER).iterdir())
        compared = comparison_rows(training_size, (our_sample, our_run), again_sample, recipe_sample)
        return (
            compared
            + stage_rows(training_size, download_sample, (our_sample, our_run))
            + browser_rows(size, browser_result)
        )


FinishedTraining = tuple[Sample, TrainingRun]
"""The sample of a training process, and its run."""


def _write_photos(folder: Path, training_size: TrainingSize) -> None:
    for product in range(training_size.product_count):
        product_folder = folder / f"p{product:02d}"
        product_folder.mkdir(parents=True)
        for shot in range(training_size.photos_per_product):
            composed_photos.compose_photo(product, shot, 240).save(product_folder / f"{shot:02d}.jpg", quality=90)


def comparison_rows(
    training_size: TrainingSize, our_training: FinishedTraining, again_sample: Sample, recipe_sample: Sample
) -> list[Row]:
    """Compare the training, which trains three times to validate itself, and a second one with cached features."""
    recipe_result = json.loads(recipe_sample.output.splitlines()[-1])
    title = (
        f"training of {training_size.photo_count} photos in "
        f"{training_size.product_count} products, {training_size.size} pixels"
    )
    recipe = f"{training_size.epochs} epochs through the frozen base"
    our_sample, our_run = our_training
    accuracy_loss = recipe_result["top1"] - our_run.studio.top1
    return [
        Row(
            f"{title}: wall time vs {recipe}",
            format_seconds([our_sample.wall]),
            format_seconds([recipe_sample.wall]),
            our_sample.wall / recipe_sample.wall,
            1 / MIN_SPEEDUP,
            "1",
        ),
        Row(
            f"{title}: CPU time",
            format_seconds([our_sample.cpu]),
            format_seconds([recipe_sample.cpu]),
            our_sample.cpu / recipe_sample.cpu,
            None,
            "1",
        ),
        Row(
            f"{title}: accuracy lost on photos not learned from",
            f"{our_run.studio.top1:.1%}",
            f"{recipe_result['top1']:.1%}",
            accuracy_loss,
            MAX_ACCURACY_LOSS,
            "1",
        ),
        Row(
            f"{title}: peak memory",
            format_megabytes([our_sample.peak]),
            f"{MAX_MEMORY_MB} MB",
            our_sample.peak / 1e6 / MAX_MEMORY_MB,
            1,
            "1",
        ),
        Row(
            "training again with cached features: wall time",
            format_seconds([again_sample.wall]),
            format_seconds([recipe_sample.wall]),
            again_sample.wall / recipe_sample.wall,
            None,
            "1",
        ),
    ]


def parse_stage_seconds(sample: Sample) -> dict[str, float]:
    """Return the seconds of each stage, as the command printed them."""
    durations = re.findall(r"(\w+) (?:(\d+)m)?([\d.]+)s[,.]", sample.output)
    return {name: int(minutes or 0) * 60 + float(seconds) for name, minutes, seconds in durations}


def stage_rows(training_size: TrainingSize, download_sample: Sample, our_training: FinishedTraining) -> list[Row]:
    """Compute the throughput of each stage."""
    our_run = our_training[1]
    stage_seconds = parse_stage_seconds(our_training[0])
    views = our_run.split.learned * int(str(our_run.config["views"]))
    epochs = int(str(our_run.config["epochs"]))
    rates = {
        "training: download from a folder": f"{training_size.photo_count / download_sample.wall:.0f} photos/s",
        "training: features": f"{views / stage_seconds['features']:.0f} images/s",
        f"training: {epochs} epochs": f"{epochs * views / stage_seconds['training']:.0f} images/s",
    }
    return [Row(name, rate, "-", None, None, "1") for name, rate in rates.items()]


def browser_rows(size: int, browser_result: browser.BrowserResult | None) -> list[Row]:
    """Report the size that a browser loads, and median times per photo."""
    values = {"training: export for browsers": f"{size / 1e6:.1f} MB"}
    if browser_result is not None:
        values |= {
            "recognition in a browser: loading the model": f"{browser_result.load_ms:.0f} ms",
            "recognition in a browser: preprocessing and prediction per photo":
                f"{median(browser_result.prepare_ms):.0f} ms and {median(browser_result.predict_ms):.0f} ms",
        }  # fmt: skip
    return [Row(name, value, "-", None, None, "1") for name, value in values.items()]


def run_module(module: str, *words: str) -> Sample:
    """Run and measure a module."""
    sample = measure(
        [sys.executable, "-m", module, *words],
        cwd=ROOT,
        environment={**NEUTRAL_ENVIRONMENT, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if sample.exit_code:
        raise ToolError(f"{module} exited with {sample.exit_code}:\n{sample.output[-2000:]}")
    return sample
