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
from ml.evaluation.prototype_metrics import Evaluation
from ml.export import writer
from ml.training import network
from ml.training.trainer import Trainer, TrainingResult
from ml.training.training_loop import EpochMetrics
from ml.training_run import HeldOut, Split, TrainingRun
from orchestrator import canonical_json, shell
from orchestrator.problems import Problems

TOOL_PACKAGES = ("tensorflow", "keras", "numpy", "pillow")


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A finished training: its ``run.json``, its folder, the seconds of each stage, the bytes that a browser loads.

    ``then``: the command that comes next, in words.
    """

    run: TrainingRun
    folder: Path
    training_result: TrainingResult
    stage_seconds: Mapping[str, float]
    exported_bytes: int
    next_command: Sequence[str]


def write_run(trainer: Trainer, training_result: TrainingResult) -> FinishedRun:
    """Write the run's folder.

    Raises Problems, OSError.
    """
    started = time.perf_counter()
    folder = trainer.runs_folder / trainer.version
    folder.mkdir(parents=True, exist_ok=True)
    evaluation = training_result.evaluation
    _write_model(folder, evaluation)
    atomic_files.write_atomic(folder / runs.DATASET_FILE, canonical_json.dump(trainer.data))
    run = _build_run(trainer, training_result)
    report.write(folder, run, training_result.epochs, evaluation, trainer.splits, trainer.data_folder)
    prototypes = writer.load_prototypes(run, folder)
    exported_bytes = writer.write(
        evaluation.model,
        trainer.contract,
        folder / writer.EXPORT_FOLDER,
        version=trainer.version,
        prototypes=prototypes,
    )
    names = (runs.MODEL_FILE, runs.PROTOTYPES_FILE, runs.DATASET_FILE, runs.REPORT_FILE, *report.CHART_FILES)
    stage_seconds = {**training_result.stage_seconds, "writing": time.perf_counter() - started}
    checksums = {name: atomic_files.sha256(folder / name) for name in names}
    run = replace(run, files=checksums, seconds=round(sum(stage_seconds.values()), 2))
    runs.save(run, folder)
    next_command = (
        "python",
        "-m",
        "ml.validate_model",
        str(folder),
        "--data",
        str(trainer.data_folder),
        *trainer.data.place,
    )
    return FinishedRun(run, folder, training_result, stage_seconds, exported_bytes, next_command)


def _build_run(trainer: Trainer, training_result: TrainingResult) -> TrainingRun:
    held_out = tuple(HeldOut(photo.path, photo.product, photo.sha256) for photo in trainer.splits.held_out)
    evaluation = training_result.evaluation
    return TrainingRun(
        trainer.version,
        trainer.data.hash,
        trainer.contract,
        trainer.contract.hash,
        Split(len(trainer.splits.train), len(trainer.splits.validation), held_out),
        evaluation.metrics,
        _build_config(trainer, training_result.epochs),
        _read_tool_versions(),
        _read_commit(),
        trainer.started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        round(sum(training_result.stage_seconds.values()), 2),
        evaluation.prototypes.shape[1],
        evaluation.threshold,
        trainer.splits.sparse_products,
    )


def _build_config(trainer: Trainer, epochs: Sequence[EpochMetrics]) -> Mapping[str, str | int | float | bool | None]:
    """What training was told, and found."""
    config = asdict(trainer.settings) | {
        "weights": Path(trainer.settings.weights).name,
        "weights_hash": trainer.weights_hash,
    }
    stages = [epoch.stage for epoch in epochs]
    return config | {
        "base": "MobileNetV2",
        "fine_tuned_above": network.CUT_LAYER,
        "mixed_precision": trainer.hardware.mixed_precision,
        "gpus": trainer.hardware.gpu_count,
        "head_epochs": stages.count("head"),
        "fine_epochs": stages.count("top blocks"),
    }


def _write_model(folder: Path, evaluation: Evaluation) -> None:
    """The model, and everybody's prototype."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras, about NumPy
        atomic_files.create_atomic(folder / runs.MODEL_FILE, evaluation.model.save)
    arrays = {
        "vectors": evaluation.prototypes,
        "products": np.array(evaluation.products),
        "trained": evaluation.trained,
    }
    atomic_files.create_atomic(folder / runs.PROTOTYPES_FILE, lambda part: np.savez(part, allow_pickle=False, **arrays))


def render_summary(finished_run: FinishedRun) -> str:
    """What came out, for people."""
    run, metrics = finished_run.run, finished_run.run.metrics
    stage_times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in finished_run.stage_seconds.items())
    photo_count = run.split.train + run.split.validation + len(run.split.held_out)
    lines = [
        f"{photo_count} photos, {len(run.classes)} products, {run.seconds:.0f} s ({stage_times}).",
        f"Of {len(run.split.held_out)} photos that it never saw it knows {metrics.top1:.1%}; in {metrics.top3:.1%} the",
        f"product is among the first three; by nearest prototype it knows {metrics.prototypes:.1%}.",
    ]
    if run.few_photos:
        named = ", ".join(run.few_photos[:8]) + (" and more" if len(run.few_photos) > 8 else "")
        lines.append(f"Known by a prototype alone: {named}.")
    lines += [
        (
            f"Look at {finished_run.folder / runs.REPORT_FILE}. The "
            f"browser's model: {finished_run.exported_bytes / 1e6:.1f} MB."
        ),
        f"Next: {shlex.join(finished_run.next_command)}",
    ]
    return "\n".join(lines)


def _read_tool_versions() -> Mapping[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name in TOOL_PACKAGES:
        for package in (name, f"{name}-cpu"):
            try:
                versions[name] = version(package)
            except PackageNotFoundError:
                continue
    return versions


def _read_commit() -> str:

    try:
        git_result = shell.run(["git", "rev-parse", "HEAD"], folder=Path(__file__).parent)
    except Problems:
        return ""
    return git_result.output.strip() if not git_result.exit_code else ""
