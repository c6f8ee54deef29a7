"""A training of 1,000 photos in 50 products, as ours and as the plain recipe; each in a process of its own."""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ml import run
from orchestrator.catalogue import PHOTOS
from tests.benchmarks.process import Sample, measure
from tests.benchmarks.table import Row, megabytes, seconds
from tests.benchmarks.tools import NEUTRAL, ROOT
from tests.ml import photographs

MOST_MB = 4000
FASTER = 5
LOST = 0.02
"""Of the accuracy, what the faster way may lose."""


class Failed(Exception):  # noqa: N818 - a sentence that ends the run
    """A process that did not do its work."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How much is trained."""

    products: int
    shots: int
    size: int
    epochs: int


WHOLE = Shape(50, 20, 224, 20)
QUICK = Shape(8, 12, 96, 20)


def rows(quick: bool, told: Callable[[str], None]) -> list[Row]:
    """Rates of the stages, total against the plain recipe, accuracy, memory, size of the export."""
    shape = QUICK if quick else WHOLE
    photos = shape.products * shape.shots
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for product in range(shape.products):
            place = folder / "bucket" / PHOTOS / f"p{product:02d}"
            place.mkdir(parents=True)
            for shot in range(shape.shots):
                photographs.photo(product, shot, 240).save(place / f"{shot:02d}.jpg", quality=90)
        data = ["--data", str(folder / "data")]
        began = time.perf_counter()
        process("ml.download_photos", *data, "--local", str(folder / "bucket"))
        fetched = time.perf_counter() - began
        told(f"training {photos} photos ...")
        given = [*data, "--weights", str(photographs.weights()), "--size", str(shape.size)]
        ours = process("ml.train_model", *given, "--runs", str(folder / "runs"), "--fine-tune", "0")
        told("the plain recipe (minutes) ...")
        theirs = process("tests.benchmarks.training.recipe", *given, "--epochs", str(shape.epochs))
        (place,) = (folder / "runs").glob("2*")
        return table(shape, fetched, ours, theirs, place)


def table(shape: Shape, fetched: float, ours: Sample, theirs: Sample, place: Path) -> list[Row]:
    """What was measured; ``place`` is the folder of the run."""
    done, plain = run.load(place), json.loads(theirs.output.splitlines()[-1])
    photos = shape.products * shape.shots
    spent = {name: float(value) for name, value in re.findall(r"(\w+) ([\d.]+) s[,)]", ours.output)}
    passes = done.split.train * int(str(done.config["views"])) + done.split.validation
    epochs = int(str(done.config["head_epochs"]))
    rate = epochs * done.split.train * int(str(done.config["views"])) / spent["learning"]
    exported = sum(path.stat().st_size for path in (place / "web").iterdir())
    size = f"{exported / 1e6:.1f} MB"
    what = f"training of {photos} photos in {shape.products} products, {shape.size} pixels"
    recipe = f"{shape.epochs} epochs through the frozen base"
    lost = plain["top1"] - done.metrics.top1
    return [
        Row(f"{what}: wall, against {recipe}", seconds([ours.wall]), seconds([theirs.wall]), ours.wall / theirs.wall,
            1 / FASTER, "1"),
        Row(f"{what}: processor time", seconds([ours.cpu]), seconds([theirs.cpu]), ours.cpu / theirs.cpu, None, "1"),
        Row(f"{what}: held-out accuracy lost", f"{done.metrics.top1:.1%}", f"{plain['top1']:.1%}", lost, LOST, "1"),
        Row(f"{what}: peak memory", megabytes([ours.peak]), f"{MOST_MB} MB", ours.peak / 1e6 / MOST_MB, 1, "1"),
        Row("download from a folder", f"{photos / fetched:.0f} photos/s", "-", None, None, "1"),
        Row("features", f"{passes / spent['features']:.0f} pictures/s", "-", None, None, "1"),
        Row(f"head, {epochs} epochs", f"{rate:.0f} pictures/s, {spent['learning'] / epochs:.2f} s an epoch", "-", None,
            None, "1"),
        Row("export for browsers", size, "-", None, None, "1"),
    ]  # fmt: skip


def process(module: str, *words: str) -> Sample:
    """Run a module to its end."""
    sample = measure(
        [sys.executable, "-m", module, *words], cwd=ROOT, environment={**NEUTRAL, "TF_CPP_MIN_LOG_LEVEL": "3"}
    )
    if sample.exit_code:
        raise Failed(f"{module} ended with {sample.exit_code}:\n{sample.output[-2000:]}")
    return sample
