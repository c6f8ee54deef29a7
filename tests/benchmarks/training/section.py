"""A training of 1,000 photos in 50 products, as ours and as the plain recipe; each in a process of its own."""

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
from ml.training_run import Run
from orchestrator.model_registry.staleness import PHOTOS
from tests.benchmarks.process import Sample, measure
from tests.benchmarks.table import Row, megabytes, seconds
from tests.benchmarks.tools import NEUTRAL, ROOT, Failed
from tests.ml import photographs

MOST_MB = 4000
FASTER = 5
LOST = 0.02
"""Of the accuracy, what the faster way may lose."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How much is trained."""

    products: int
    shots: int
    size: int
    epochs: int

    @property
    def photos(self) -> int:
        """Of all products."""
        return self.products * self.shots


WHOLE = Shape(50, 20, 224, 20)
QUICK = Shape(8, 12, 96, 20)
ASKED = 8
"""Photos that a browser is asked about."""


def rows(quick: bool, told: Callable[[str], None]) -> list[Row]:
    """Rates of the stages, total against the plain recipe, accuracy, memory, size of the export, a browser's times."""
    shape = QUICK if quick else WHOLE
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = ["--data", str(folder / "data")]
        _photographed(folder / "bucket" / PHOTOS, shape)
        fetched = process("ml.download_photos", *data, "--local", str(folder / "bucket"))
        told(f"training {shape.photos} photos ...")
        given = [*data, "--weights", str(photographs.weights()), "--size", str(shape.size)]
        runs = ["--runs", str(folder / "runs")]
        ours = process("ml.train_model", *given, *runs)
        (place,) = (folder / "runs").glob("2*")
        again = process("ml.train_model", *given, *runs, "--fine-tune", "0")
        (quickly,) = set((folder / "runs").glob("2*")) - {place}
        told("the plain recipe (minutes) ...")
        theirs = process("tests.benchmarks.training.recipe", *given, "--epochs", str(shape.epochs))
        done = training_run.load(place)
        held = [folder / "data" / one.path for one in done.split.held_out[:ASKED]]
        seen = browser.ask(place / writer.FOLDER, held) if browser.program() else None
        size = sum(path.stat().st_size for path in (place / writer.FOLDER).iterdir())
        made = against(shape, (ours, done), (again, training_run.load(quickly)), theirs)
        return made + stages(shape, fetched, (ours, done)) + outcome(size, seen)


Finished = tuple[Sample, Run]
"""A training as a process, and the run that it left."""


def _photographed(folder: Path, shape: Shape) -> None:
    for product in range(shape.products):
        place = folder / f"p{product:02d}"
        place.mkdir(parents=True)
        for shot in range(shape.shots):
            photographs.photo(product, shot, 240).save(place / f"{shot:02d}.jpg", quality=90)


def against(shape: Shape, ours: Finished, again: Finished, theirs: Sample) -> list[Row]:
    """The whole training, and once more with the features kept and the head alone, against the plain recipe."""
    plain = json.loads(theirs.output.splitlines()[-1])
    what = f"training of {shape.photos} photos in {shape.products} products, {shape.size} pixels"
    recipe = f"{shape.epochs} epochs through the frozen base"
    mine, done = ours
    lost = plain["top1"] - done.metrics.top1
    bare = mine.wall - spent(mine)["blocks"]
    return [
        Row(f"{what}: wall, against {recipe}", seconds([mine.wall]), seconds([theirs.wall]), mine.wall / theirs.wall,
            1 / FASTER, "1"),
        Row(f"{what}: less the top blocks, which the recipe leaves as they are", seconds([bare]),
            seconds([theirs.wall]), bare / theirs.wall, None, "1"),
        Row(f"{what}: processor time", seconds([mine.cpu]), seconds([theirs.cpu]), mine.cpu / theirs.cpu, None, "1"),
        Row(f"{what}: held-out accuracy lost", f"{done.metrics.top1:.1%}", f"{plain['top1']:.1%}", lost, LOST, "1"),
        Row(f"{what}: peak memory", megabytes([mine.peak]), f"{MOST_MB} MB", mine.peak / 1e6 / MOST_MB, 1, "1"),
        Row("training: the same photos again, features kept, the head alone: wall (held-out accuracy)",
            f"{seconds([again[0].wall])} ({again[1].metrics.top1:.1%})", seconds([theirs.wall]),
            again[0].wall / theirs.wall, None, "1"),
    ]  # fmt: skip


def spent(ours: Sample) -> dict[str, float]:
    """Seconds of each stage, as the command told them."""
    return {name: float(value) for name, value in re.findall(r"(\w+) ([\d.]+) s[,)]", ours.output)}


def stages(shape: Shape, fetched: Sample, ours: Finished) -> list[Row]:
    """What passes through each stage in a second."""
    done = ours[1]
    took = spent(ours[0])
    views = done.split.train * int(str(done.config["views"]))
    head, fine = (int(str(done.config[name])) for name in ("head_epochs", "fine_epochs"))
    rates = {
        "training: download from a folder": f"{shape.photos / fetched.wall:.0f} photos/s",
        "training: features": f"{(views + done.split.validation) / took['features']:.0f} pictures/s",
        f"training: head, {head} epochs":
            f"{head * views / took['head']:.0f} pictures/s, {took['head'] / head:.2f} s an epoch",
        f"training: top blocks, {fine} epochs": f"{fine * done.split.train / took['blocks']:.0f} pictures/s",
    }  # fmt: skip
    return [Row(name, rate, "-", None, None, "1") for name, rate in rates.items()]


def outcome(size: int, seen: browser.Told | None) -> list[Row]:
    """What a browser loads, and how long it takes: the medians of some photos."""
    made = {"training: export for browsers": f"{size / 1e6:.1f} MB"}
    if seen is not None:
        made |= {
            "recognition in a browser: loading the model": f"{seen.load_ms:.0f} ms",
            "recognition in a browser: a photo, prepared and recognised":
                f"{median(seen.prepare_ms):.0f} ms and {median(seen.predict_ms):.0f} ms",
        }  # fmt: skip
    return [Row(name, value, "-", None, None, "1") for name, value in made.items()]


def process(module: str, *words: str) -> Sample:
    """Run a module to its end."""
    sample = measure(
        [sys.executable, "-m", module, *words], cwd=ROOT, environment={**NEUTRAL, "TF_CPP_MIN_LOG_LEVEL": "3"}
    )
    if sample.exit_code:
        raise Failed(f"{module} ended with {sample.exit_code}:\n{sample.output[-2000:]}")
    return sample
