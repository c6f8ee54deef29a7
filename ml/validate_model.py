"""Validate a trained model: accuracy, parity, comparison with the model in use (``python -m ml.validate_model RUN``).

Runs Keras, the export and a browser on held-out photos, and writes the result to ``metadata.json`` beside the export,
where ``ml.upload_model`` reads it.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ml import command_runner
from ml.atomic_files import sha256, write_atomic
from ml.data import dataset, preprocessing, storage_location
from ml.evaluation import browser, holdout, metrics, parity
from ml.evaluation.holdout import LEARNED_FILE, HoldoutPhotos
from ml.evaluation.metrics import Comparison, Predictions
from ml.evaluation.parity import ModelOutput
from ml.export import exported_model, writer
from ml.export.exported_model import Array, ExportedModel
from ml.training_run import TrainingRun, load
from orchestrator import canonical_json
from orchestrator.model_registry import registry
from orchestrator.model_registry.registry import CATALOGUE_FILE, METADATA_FILE, ModelMetadata, Parity
from orchestrator.problems import Problems

DEFAULT_SAMPLE_SIZE = 8
MAX_WEAK_PRODUCTS = 5


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """The result of a validation; ``metadata`` is published with the model, ``load_ms`` is None without a browser."""

    metadata: ModelMetadata
    photos: HoldoutPhotos
    comparison: Comparison | None
    load_ms: float | None
    folder: Path

    @property
    def can_upload(self) -> bool:
        """Return whether the model can be uploaded without ``--force``."""
        return self.metadata.parity.is_consistent and self.metadata.verdict.says != "worse"


def build_parser() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.validate_model",
        description="Measure a trained model, check the parity of its export, and compare it with the model in use.",
        epilog="Exits with 0 if the model can be uploaded, otherwise with 1.",
    )
    parser.add_argument("run", type=Path, help="folder of a training run, runs/VERSION")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the dataset (default: data)")
    parser.add_argument(
        "--photos",
        type=int,
        default=DEFAULT_SAMPLE_SIZE,
        metavar="N",
        help=f"photos for the parity check (default: {DEFAULT_SAMPLE_SIZE})",
    )
    parser.add_argument("--no-browser", action="store_true", help="skip the parity check in a browser")
    parser.add_argument("--no-compare", action="store_true", help="skip the comparison with the model in use")
    storage_location.add_arguments(parser)
    return parser


def validate(args: argparse.Namespace, web_folder: Path = browser.WEB_FOLDER) -> ValidationResult:
    """Validate the model of the run in ``args.run``, and write ``metadata.json`` beside its export.

    Raises Problems if the run, its photos or the model in use cannot be read.
    """
    run = load(args.run)
    _verify_run_files(run, args.run)
    photos = holdout.load_photos(run, args.data)
    storage = None if args.no_compare else storage_location.open_storage(args)
    keras_model = writer.load_keras_model(args.run)
    folder = _ensure_export(run, args.run, keras_model)
    model = exported_model.load(folder)
    predictions = Predictions(run.classes, _predict_all(keras_model, photos, run), photos.truth)
    sample = photos.sample(max(args.photos, 1))
    outputs, latency, load_ms = _collect_outputs(run, model, folder, sample, None if args.no_browser else web_folder)
    parity_result = _check_parity(run, model, keras_model, sample, outputs)
    measured = metrics.compute_metrics(predictions, latency)
    if not parity_result.fault and (deviation := _explain_deviation(run, measured.top1, photos, keras_model)):
        parity_result = Parity(
            parity_result.tolerance, parity_result.photos, parity_result.exported, parity_result.browser, deviation
        )
    pointer = registry.read_pointer(storage) if storage else None
    comparison = (
        holdout.compare_with_published(storage, pointer.version, photos, predictions) if storage and pointer else None
    )
    _write_training_photos(run, args.run, folder)
    metadata = ModelMetadata(
        run.version, run.data_hash, asdict(run.preprocessing), run.preprocessing_hash, measured, parity_result,
        metrics.make_verdict(pointer.version if pointer else "", comparison), run.config, run.tools, run.commit,
        run.trained_at, {path.name: registry.describe_file(path) for path in _list_published_files(folder)},
    )  # fmt: skip
    write_atomic(folder / METADATA_FILE, registry.encode_metadata(metadata))
    return ValidationResult(metadata, photos, comparison, load_ms, folder)


def _verify_run_files(run: TrainingRun, run_folder: Path) -> None:
    """Raises Problems if a file of the run was changed after training."""
    for name, checksum in run.files.items():
        if not (run_folder / name).is_file() or sha256(run_folder / name) != checksum:
            raise Problems.from_message(
                f"{run_folder / name} was changed after training", hint="train again: python -m ml.train_model"
            )


def _ensure_export(run: TrainingRun, run_folder: Path, keras_model: Any) -> Path:
    """Return the folder of the run's export; export the model if there is none, or one of another run."""
    target = run_folder / writer.EXPORT_FOLDER
    try:
        if exported_model.load(target).document.get("version") == run.version:
            return target
    except Problems:
        pass
    writer.write(
        keras_model, run.preprocessing, target, version=run.version, prototypes=writer.load_prototypes(run, run_folder)
    )
    return target


def _predict_all(keras_model: Any, photos: HoldoutPhotos, run: TrainingRun) -> Array:
    return holdout.predict_in_batches(
        photos.paths, run.preprocessing, lambda batch: _predict(keras_model, batch), "held-out photos"
    )


def _predict(keras_model: Any, photos: Array) -> Array:
    return np.asarray(keras_model(photos, training=False), dtype=np.float32)


def _collect_outputs(
    run: TrainingRun, model: ExportedModel, folder: Path, sample: HoldoutPhotos, web_folder: Path | None
) -> tuple[list[ModelOutput], float, float | None]:
    """Run the export with numpy and in a browser; return the outputs, ms per photo, and ms to load the model."""
    contract = holdout.parse_contract(model.document)
    inputs = preprocessing.read_all(sample.paths, contract).astype(np.float32)
    started = time.perf_counter()
    outputs = [ModelOutput("exported", inputs, model.predict(inputs)["probabilities"])]
    latency = (time.perf_counter() - started) * 1000 / len(inputs)
    if web_folder is None:
        return outputs, latency, None
    browser_result = browser.predict_in_browser(folder, sample.paths, web_folder=web_folder)
    durations_ms = [
        sum(photo_times) for photo_times in zip(browser_result.prepare_ms, browser_result.predict_ms, strict=True)
    ]
    return (
        [*outputs, ModelOutput("browser", browser_result.inputs, browser_result.probabilities)],
        float(median(durations_ms)),
        browser_result.load_ms,
    )


def _check_parity(
    run: TrainingRun, model: ExportedModel, keras_model: Any, sample: HoldoutPhotos, outputs: Sequence[ModelOutput]
) -> Parity:
    inputs = preprocessing.read_all(sample.paths, run.preprocessing).astype(np.float32)
    reference = ModelOutput("keras", inputs, _predict(keras_model, inputs))
    tolerance = parity.MAX_DIFFERENCES[model.document["weights"]["type"]]
    differences = {output.source: parity.max_difference(reference, output) for output in outputs}
    fault = parity.find_contract_mismatch(run.preprocessing, model.document["preprocessing"])
    for output in outputs:
        if not fault and differences[output.source] > tolerance:
            cause = parity.find_fault(
                reference,
                output,
                sample.paths,
                run.preprocessing,
                lambda changed_inputs: _predict(keras_model, changed_inputs),
            )
            fault = f"{cause} ({output.source})"
    return Parity(tolerance, len(sample.paths), differences.get("exported"), differences.get("browser"), fault)


def _explain_deviation(run: TrainingRun, top1: float, photos: HoldoutPhotos, keras_model: Any) -> str:
    """Return why the Keras model's accuracy differs from the one measured in training, or ""."""
    if photos.missing_count or abs(top1 - run.metrics.top1) <= max(0.02, 1.5 / len(photos.paths)):
        return ""
    cause = parity.find_training_mismatch(
        photos.paths, photos.truth, run.preprocessing, run.metrics.top1, lambda batch: _predict(keras_model, batch)
    )
    return f"{cause} (top-1 accuracy {top1:.3f}, but {run.metrics.top1:.3f} in training)"


def _write_training_photos(run: TrainingRun, run_folder: Path, export_folder: Path) -> None:
    """Write the files about training photos that are published with the model."""
    data = dataset.load(run_folder)
    write_atomic(export_folder / CATALOGUE_FILE, canonical_json.dump(data.catalogue))
    write_atomic(
        export_folder / LEARNED_FILE,
        canonical_json.dump(holdout.list_learned_checksums(run, [photo.sha256 for photo in data.photos])),
    )


def _list_published_files(folder: Path) -> list[Path]:
    weights = json.loads((folder / registry.MODEL_FILE).read_bytes())["weights"]["file"]
    return [folder / name for name in (registry.MODEL_FILE, weights, CATALOGUE_FILE, LEARNED_FILE)]


def render_report(result: ValidationResult, next_command: str) -> str:
    """Return the report of a validation."""
    metadata, metrics = result.metadata, result.metadata.metrics
    photo_count, missing_count = len(result.photos.paths), result.photos.missing_count
    lines = [
        f"Model {metadata.version}: {len(metadata.classes)} products, {photo_count} held-out photos"
        + (f" ({missing_count} more are missing or changed)." if missing_count else "."),
        f"  Accuracy: top-1 {metrics.top1:.1%}, top-3 {metrics.top3:.1%}; calibration error {metrics.ece:.3f}",
    ]
    weak_products = sorted(metrics.per_product.items(), key=lambda item: item[1].right / item[1].photos)[
        :MAX_WEAK_PRODUCTS
    ]
    weak_lines = [
        f"{name} ({score.right} of {score.photos})" for name, score in weak_products if score.right < score.photos
    ]
    lines += [f"  Weakest products: {', '.join(weak_lines)}"] if weak_lines else []
    measured_where = "with numpy" if result.load_ms is None else f"in a browser; loads in {result.load_ms:.0f} ms"
    size = f"{metadata.size / 1e6:.1f} MB" if metadata.size > 1e6 else f"{metadata.size / 1e3:.0f} kB"
    lines.append(f"  Size: {size}; latency: {metrics.latency_ms:.0f} ms per photo {measured_where}")
    lines += [_render_parity(metadata.parity), _render_comparison(metadata, result.comparison)]
    lines.append(
        f"Next: {next_command}" if result.can_upload else "Do not upload this model: fix the cause, or train again."
    )
    return "\n".join(lines)


def _render_parity(parity_result: Parity) -> str:
    differences = [
        f"{name} {value:.1e}"
        for name, value in (("exported", parity_result.exported), ("browser", parity_result.browser))
        if value is not None
    ]
    result = "passed" if parity_result.is_consistent else "FAILED"
    cause = "" if parity_result.is_consistent else f" Cause: {parity_result.fault}."
    browser_note = "" if parity_result.browser is not None else " Not checked in a browser."
    return (
        f"Parity: {result} on {parity_result.photos} photos. Largest difference: "
        f"{', '.join(differences)} (tolerance {parity_result.tolerance:.0e}).{cause}{browser_note}"
    )


def _render_comparison(metadata: ModelMetadata, comparison: Comparison | None) -> str:
    if comparison is None:
        return "Not compared: no model is in use."
    text = (
        f"Compared with the model in use, {metadata.verdict.against}, on {comparison.photo_count} photos: "
        f"accuracy {comparison.new_accuracy:.1%}, was {comparison.old_accuracy:.1%}. "
        f"Only the new model recognises {comparison.new_only}, only the old one {comparison.old_only}. "
        f"Verdict: {metadata.verdict.says}."
    )
    return text + (
        f" The old model may have been trained on {comparison.learned_count} of them."
        if comparison.learned_count
        else ""
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    cli_args = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(cli_args)
    retry_command = shlex.join(["python", "-m", "ml.validate_model", *cli_args])

    def work() -> int:
        result = validate(args)
        print(
            render_report(
                result,
                shlex.join(["python", "-m", "ml.upload_model", str(args.run), *storage_location.to_arguments(args)]),
            )
        )
        return 0 if result.can_upload else 1

    return command_runner.run_command(work, retry_command, "Nothing was uploaded or changed.")


if __name__ == "__main__":
    raise SystemExit(main())
