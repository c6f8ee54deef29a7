"""Write the folder of a finished training run (see ``ml.training_run``); ``run.json`` is written last."""

from __future__ import annotations

import shlex
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ml import atomic_files
from ml import training_run as runs
from ml.command_runner import format_duration
from ml.data import preprocessing
from ml.evaluation import probe_pictures, report
from ml.export import writer
from ml.training.stages import Trainer, TrainingResult
from ml.training_run import HeldOut, Split, TrainingRun
from orchestrator import canonical_json, shell
from orchestrator.problems import Problems
from orchestrator.quantities import format_count

EXPORT_SAMPLE_SIZE = 12
"""Photos on which smaller weights have to give the same answers."""
TOOL_PACKAGES = ("tensorflow", "keras", "numpy", "pillow")


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A finished training run; ``exported_bytes`` is what a browser loads, ``next_command`` the arguments of the next.

    ``stage_seconds``: duration by stage.
    """

    run: TrainingRun
    folder: Path
    training_result: TrainingResult
    stage_seconds: Mapping[str, float]
    exported_bytes: int
    next_command: Sequence[str]


def write_run(trainer: Trainer, training_result: TrainingResult) -> FinishedRun:
    """Write the run's folder: model, prototypes, dataset, report, export and ``run.json``.

    Raises Problems, OSError.
    """
    started = time.perf_counter()
    folder = trainer.runs_folder / trainer.version
    folder.mkdir(parents=True, exist_ok=True)
    evaluation = training_result.evaluation
    _write_model(folder, training_result)
    atomic_files.write_atomic(folder / runs.DATASET_FILE, canonical_json.dump(trainer.data))
    run = _build_run(trainer, training_result)
    report.write(folder, run, training_result.epochs, evaluation, trainer.folds.photos, trainer.data_folder)
    sample = trainer.folds.photos[:: max(1, len(trainer.folds.photos) // EXPORT_SAMPLE_SIZE)]
    with tempfile.TemporaryDirectory() as probe_folder:  # what validation looks at decides how small weights may be
        paths = [*(trainer.data_folder / photo.path for photo in sample), *probe_pictures.write(Path(probe_folder))]
        inputs = preprocessing.read_all(paths, trainer.contract)
    exported_bytes = writer.write_smallest(
        training_result.model, run, training_result.prototypes, folder / writer.EXPORT_FOLDER, inputs.astype(np.float32)
    )
    names = (runs.MODEL_FILE, runs.PROTOTYPES_FILE, runs.DATASET_FILE, runs.REPORT_FILE)
    stage_seconds = {**training_result.stage_seconds, "writing": time.perf_counter() - started}
    checksums = {name: atomic_files.sha256(folder / name) for name in names}
    run = replace(run, files=checksums, seconds=round(sum(stage_seconds.values()), 2))
    runs.save(run, folder)
    return FinishedRun(run, folder, training_result, stage_seconds, exported_bytes, build_next_command(trainer, folder))


def build_next_command(trainer: Trainer, folder: Path) -> tuple[str, ...]:
    """Return the command that validates a run, with the data and the storage that were given."""
    command = ("python", "-m", "ml.validate_model", str(folder), "--data", str(trainer.data_folder))
    return (*command, *trainer.data.place)


def find_run(runs_folder: Path, fingerprint: str) -> Path | None:
    """Return the folder of a whole run that was trained from the same photos with the same settings, or None."""
    for path in sorted(runs_folder.glob(f"*-{fingerprint[:4]}/{runs.RUN_FILE}"), reverse=True):
        with suppress(Problems):
            run = runs.load(path.parent)
            is_trained = run.config.get("fingerprint") == fingerprint and "prototypes_added_to" not in run.config
            if is_trained and all((path.parent / name).exists() for name in run.files):
                return path.parent
    return None


def _build_run(trainer: Trainer, training_result: TrainingResult) -> TrainingRun:
    evaluation, folds = training_result.evaluation, trainer.folds
    held_out = tuple(HeldOut(photo.path, photo.product, photo.sha256) for photo in folds.measured)
    return TrainingRun(
        trainer.version,
        trainer.data.hash,
        trainer.contract,
        trainer.contract.hash,
        Split(len(folds.photos), held_out),
        evaluation.phone,
        evaluation.studio,
        training_result.learned_similarity,
        evaluation.rule,
        _build_config(trainer, training_result.cut_layer),
        _read_tool_versions(),
        _read_commit(),
        trainer.started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        round(sum(training_result.stage_seconds.values()), 2),
        training_result.prototypes.shape[1],
        folds.unmeasured_products,
    )


def _build_config(trainer: Trainer, cut_layer: str) -> Mapping[str, str | int | float | bool | None]:
    """Return the settings of the training and what it determined itself."""
    return asdict(trainer.settings) | {
        "weights": Path(trainer.settings.weights).name,
        "weights_hash": trainer.weights_hash,
        "views": trainer.view_count,
        "fingerprint": trainer.fingerprint,
        "encoder": Path(trainer.settings.encoder).name,
        "encoder_hash": trainer.encoder_hash,
        "fine_tuned_above": cut_layer,
        "mixed_precision": trainer.hardware.mixed_precision,
        "gpus": trainer.hardware.gpu_count,
    }


def _write_model(folder: Path, result: TrainingResult) -> None:
    """Write the model and the prototypes of all products."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns about NumPy
        atomic_files.create_atomic(folder / runs.MODEL_FILE, result.model.save)
    arrays = {"vectors": result.prototypes, "owners": np.array(result.evaluation.rule.owners)}
    atomic_files.create_atomic(
        folder / runs.PROTOTYPES_FILE, lambda temp_path: np.savez(temp_path, allow_pickle=False, **arrays)
    )


def render_summary(finished_run: FinishedRun) -> str:
    """Return the summary of a training run: accuracy, duration and the next command."""
    run = finished_run.run
    stage_times = ", ".join(
        f"{name} {format_duration(seconds)}" for name, seconds in finished_run.stage_seconds.items()
    )
    lines = [
        (
            f"Trained {format_count(len(run.classes), 'product')} with {format_count(run.split.learned, 'photo')} in "
            f"{format_duration(run.seconds)}."
        ),
        f"Stages: {stage_times}.",
    ]
    lines += [
        f"{label}: top-1 {metrics.top1:.1%}, top-3 {metrics.top3:.1%}"
        for label, metrics in (("Simulated phone photos", run.phone), ("The shop's own photos", run.studio))
        if metrics.photos
    ]
    if run.phone.photos:
        lines.append(
            "  (cross-validated: each photo was measured with a model trained on the other half of the photos)"
        )
    if run.unmeasured:
        named = ", ".join(run.unmeasured[:8]) + (" and more" if len(run.unmeasured) > 8 else "")
        lines.append(
            f"Recognised, but not measured, because they have only one photo or their photos look the same: {named}."
        )
    lines += [
        (
            f"Report: {finished_run.folder / runs.REPORT_FILE}. "
            f"Size of the model in browsers: {finished_run.exported_bytes / 1e6:.1f} MB."
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
