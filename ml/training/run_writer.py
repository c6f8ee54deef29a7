"""The folder of a finished training, as ``ml.training_run`` says it; ``run.json`` is written last."""

from __future__ import annotations

import shlex
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ml import atomic_files
from ml import training_run as runs
from ml.evaluation import report
from ml.evaluation.prototype_metrics import Measured
from ml.export import writer
from ml.training import network
from ml.training.trainer import Trained, Training
from ml.training.training_loop import Epoch
from ml.training_run import HeldOut, Run, Split
from orchestrator import canonical_json, shell
from orchestrator.problems import Problems

TOOLS = ("tensorflow", "keras", "numpy", "pillow")


@dataclass(frozen=True, slots=True)
class Result:
    """A finished training: its ``run.json``, its folder, the seconds of each stage, the bytes that a browser loads.

    ``then``: the command that comes next, in words.
    """

    run: Run
    folder: Path
    trained: Trained
    spent: Mapping[str, float]
    exported: int
    then: Sequence[str]


def leave(one: Training, trained: Trained) -> Result:
    """Write the run's folder.

    Raises Problems, OSError.
    """
    began = time.perf_counter()
    folder = one.runs / one.version
    folder.mkdir(parents=True, exist_ok=True)
    measured = trained.measured
    _write_model(folder, measured)
    atomic_files.write_whole(folder / runs.DATASET, canonical_json.dump(one.data))
    done = _run(one, trained)
    report.write(folder, done, trained.epochs, measured, one.sides, one.folder)
    near = writer.nearest(done, folder)
    size = writer.write(measured.model, one.contract, folder / writer.FOLDER, version=one.version, near=near)
    names = (runs.MODEL, runs.PROTOTYPES, runs.DATASET, runs.REPORT, *report.PICTURES)
    spent = {**trained.spent, "writing": time.perf_counter() - began}
    sums = {name: atomic_files.sha256(folder / name) for name in names}
    done = replace(done, files=sums, seconds=round(sum(spent.values()), 2))
    runs.save(done, folder)
    then = ("python", "-m", "ml.validate_model", str(folder), "--data", str(one.folder), *one.data.place)
    return Result(done, folder, trained, spent, size, then)


def _run(one: Training, trained: Trained) -> Run:
    held_out = tuple(HeldOut(photo.path, photo.product, photo.sha256) for photo in one.sides.held_out)
    measured = trained.measured
    return Run(
        one.version, one.data.hash, one.contract, one.contract.hash,
        Split(len(one.sides.train), len(one.sides.validation), held_out), measured.metrics,
        _config(one, trained.epochs), _tools(), _commit(), one.began.strftime("%Y-%m-%dT%H:%M:%SZ"),
        round(sum(trained.spent.values()), 2), measured.vectors.shape[1], measured.threshold, one.sides.few_photos,
    )  # fmt: skip


def _config(one: Training, epochs: Sequence[Epoch]) -> Mapping[str, str | int | float | bool | None]:
    """What training was told, and found."""
    told = asdict(one.settings) | {"weights": Path(one.settings.weights).name, "weights_hash": one.weights_hash}
    stages = [epoch.stage for epoch in epochs]
    return told | {
        "base": "MobileNetV2", "fine_tuned_above": network.CUT, "mixed_precision": one.hardware.mixed,
        "gpus": one.hardware.gpus, "head_epochs": stages.count("head"), "fine_epochs": stages.count("top blocks"),
    }  # fmt: skip


def _write_model(folder: Path, measured: Measured) -> None:
    """The model, and everybody's prototype."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras, about NumPy
        atomic_files.make_whole(folder / runs.MODEL, measured.model.save)
    arrays = {"vectors": measured.vectors, "products": np.array(measured.products), "trained": measured.trained}
    atomic_files.make_whole(folder / runs.PROTOTYPES, lambda part: np.savez(part, allow_pickle=False, **arrays))


def told(done: Result) -> str:
    """What came out, for people."""
    run, metrics = done.run, done.run.metrics
    spent = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in done.spent.items())
    count = run.split.train + run.split.validation + len(run.split.held_out)
    lines = [
        f"{count} photos, {len(run.classes)} products, {run.seconds:.0f} s ({spent}).",
        f"Of {len(run.split.held_out)} photos that it never saw it knows {metrics.top1:.1%}; in {metrics.top3:.1%} the",
        f"product is among the first three; by nearest prototype it knows {metrics.prototypes:.1%}.",
    ]
    if run.few_photos:
        named = ", ".join(run.few_photos[:8]) + (" and more" if len(run.few_photos) > 8 else "")
        lines.append(f"Known by a prototype alone: {named}.")
    lines += [
        f"Look at {done.folder / runs.REPORT}. The browser's model: {done.exported / 1e6:.1f} MB.",
        f"Next: {shlex.join(done.then)}",
    ]
    return "\n".join(lines)


def _tools() -> Mapping[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in TOOLS:
        for package in (name, f"{name}-cpu"):
            try:
                found[name] = version(package)
            except PackageNotFoundError:
                continue
    return found


def _commit() -> str:

    try:
        said = shell.run(["git", "rev-parse", "HEAD"], folder=Path(__file__).parent)
    except Problems:
        return ""
    return said.output.strip() if not said.status else ""
