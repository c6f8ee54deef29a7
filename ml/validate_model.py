"""Validate a trained model: accuracy, parity, comparison with the model in use (``python -m ml.validate_model RUN``).

The headline is what people see on your own phone photos (``--test FOLDER``), or else on simulated phone photos that the
measured models had not learned from.  Keras, the export and a browser have to give the same answers.  The result goes
to ``metadata.json`` beside the export, where ``ml.upload_model`` reads it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ml import answers, command_runner
from ml.atomic_files import sha256, write_atomic
from ml.data import dataset, preprocessing, storage_location
from ml.evaluation import browser, holdout, metrics, parity, probe_pictures
from ml.evaluation.holdout import MeasuredPhotos
from ml.evaluation.metrics import Comparison, Predictions
from ml.evaluation.parity import ModelOutput
from ml.export import exported_model, writer
from ml.export.exported_model import Array, ExportedModel
from ml.training_run import HeldOut, TrainingRun, load
from orchestrator import canonical_json
from orchestrator.model_registry import registry
from orchestrator.model_registry.registry import (
    CATALOGUE_FILE,
    LEARNED_FILE,
    METADATA_FILE,
    ModelMetadata,
    ModelMetrics,
    Parity,
)
from orchestrator.problems import Problems
from orchestrator.quantities import format_count

DEFAULT_SAMPLE_SIZE = 8
MAX_WEAK_PRODUCTS = 5
SIMILARITY_SAMPLE_SIZE = 48
"""Learned photos on which the similarity that training measured is measured again."""


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """The result of a validation; ``metadata`` is published with the model, ``load_ms`` is None without a browser."""

    metadata: ModelMetadata
    photos: MeasuredPhotos
    comparison: Comparison | None
    load_ms: float | None
    folder: Path

    @property
    def can_upload(self) -> bool:
        """Return whether the model can be uploaded without ``--force``."""
        verdict = self.metadata.verdict
        return self.metadata.parity.is_consistent and verdict.says != "worse" and not verdict.lost


@dataclass(frozen=True, slots=True)
class KerasAnswers:
    """The trained model, its prototypes and rule: the reference for everything that people get."""

    model: Any
    prototypes: Array
    run: TrainingRun

    def embed(self, inputs: Array) -> Array:
        """Return the embeddings of network inputs."""
        parts = [np.asarray(self.model(inputs[start : start + 16], training=False), dtype=np.float32)
                 for start in range(0, len(inputs), 16)]  # fmt: skip
        return np.concatenate(parts)

    def similarities(self, embeddings: Array) -> Array:
        """Return the similarities (photos, products)."""
        rule = self.run.answer
        return answers.product_similarities(embeddings, self.prototypes, rule.owners, len(self.run.classes))

    def run_on(self, inputs: Array) -> ModelOutput:
        """Return embeddings and answers."""
        embeddings, rule = self.embed(inputs), self.run.answer
        shown = answers.probabilities(self.similarities(embeddings), rule.scale, rule.none)
        return ModelOutput("keras", inputs, embeddings, shown)


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
        "--test", type=Path, metavar="FOLDER", help="measure your own phone photos, FOLDER/PRODUCT/PHOTO; "
        "for a folder that is not named after a product, the correct answer is 'none of ours'",
    )  # fmt: skip
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
    data = dataset.load(args.run)
    learned = [HeldOut(photo.path, photo.product, photo.sha256) for photo in data.photos]
    photos = holdout.load_photos(run, learned, args.data)
    test_photos = holdout.load_test_folder(args.test) if args.test else None
    storage = None if args.no_compare else storage_location.open_storage(args)
    keras = KerasAnswers(writer.load_keras_model(args.run), writer.load_prototypes(run, args.run), run)
    folder = _ensure_export(run, args.run, keras)
    model = exported_model.load(folder)
    sample = photos.sample(max(args.photos, 1))
    parity_result, latency, load_ms = _check_parity(
        keras, model, folder, sample.paths, None if args.no_browser else web_folder
    )
    if not parity_result.fault and (deviation := _explain_deviation(keras, photos.sample(SIMILARITY_SAMPLE_SIZE))):
        parity_result = Parity(
            parity_result.tolerance, parity_result.photos, parity_result.exported, parity_result.browser, deviation
        )
    measured = _measure(run, model, test_photos, latency)
    pointer = registry.read_pointer(storage) if storage else None
    comparison, lost = (None, ()) if not (storage and pointer) else holdout.compare_with_published(
        storage, pointer.version, model, test_photos or photos, is_test=test_photos is not None
    )  # fmt: skip
    _write_training_photos(args.run, folder)
    verdict = metrics.make_verdict(pointer.version if pointer else "", comparison, lost)
    files = {path.name: registry.describe_file(path) for path in _list_published_files(folder)}
    metadata = ModelMetadata(
        run.version, run.data_hash, asdict(run.preprocessing), run.preprocessing_hash, measured, parity_result, verdict,
        run.config, run.tools, run.commit, run.trained_at, files, groups=run.answer.groups,
    )  # fmt: skip
    write_atomic(folder / METADATA_FILE, registry.encode_metadata(metadata))
    return ValidationResult(metadata, photos, comparison, load_ms, folder)


def _measure(run: TrainingRun, model: ExportedModel, photos: MeasuredPhotos | None, latency: float) -> ModelMetrics:
    """Return what people see on test photos, or else what cross-validation measured."""
    if photos is None:
        return metrics.to_model_metrics(run.phone, "simulated phone photos, cross-validated", run.studio, latency)
    shown = holdout.answer_all(model, photos, description="test photos")
    measured = metrics.measure(Predictions(model.products, shown, photos.truth))
    return metrics.to_model_metrics(measured, "test photos", run.studio, latency)


def _verify_run_files(run: TrainingRun, run_folder: Path) -> None:
    """Raises Problems if a file of the run was changed or deleted after training."""
    for name, checksum in run.files.items():
        if not (run_folder / name).is_file() or sha256(run_folder / name) != checksum:
            raise Problems.from_message(
                f"{run_folder / name} was changed or deleted after training",
                hint="train again: python -m ml.train_model",
            )


def _ensure_export(run: TrainingRun, run_folder: Path, keras: KerasAnswers) -> Path:
    """Return the folder of the run's export; export the model if there is none, or one of another run."""
    target = run_folder / writer.EXPORT_FOLDER
    try:
        if exported_model.load(target).document.get("version") == run.version:
            return target
    except Problems:
        pass
    writer.write(keras.model, run, keras.prototypes, target)
    return target


def _check_parity(
    keras: KerasAnswers, model: ExportedModel, folder: Path, photos: Sequence[Path], web_folder: Path | None
) -> tuple[Parity, float, float | None]:
    """Compare what people get on photos and probe pictures; return ms per photo and ms to load the model, too."""
    trained, contract = keras.run.preprocessing, holdout.parse_contract(model.document)
    with tempfile.TemporaryDirectory() as probe_folder:
        paths = [*photos, *probe_pictures.write(Path(probe_folder))]
        reference = keras.run_on(preprocessing.read_all(paths, trained).astype(np.float32))
        started = time.perf_counter()
        exported = _run_export("exported", model, preprocessing.read_all(paths, contract).astype(np.float32))
        latency, load_ms = (time.perf_counter() - started) * 1000 / len(paths), None
        tolerance = writer.MAX_DIFFERENCES[model.document["weights"]["type"]]
        difference, browser_difference = parity.max_difference(reference, exported), None
        fault = parity.find_contract_mismatch(trained, model.document["preprocessing"]) or parity.find_answer_mismatch(
            keras.run.answer, keras.prototypes, model.document["answer"], model.prototypes
        )
        if not fault and difference > tolerance:
            fault = f"{parity.find_fault(reference, exported, paths, trained, keras.embed)} (exported)"
        if web_folder is not None:
            result = browser.predict_in_browser(folder, paths, web_folder=web_folder)
            shown = ModelOutput("browser", result.inputs, result.embeddings, result.answers)
            browser_difference = parity.max_difference(exported, shown)
            is_same = browser_difference <= parity.MAX_BROWSER_DIFFERENCE and parity.have_equal_inputs(exported, shown)
            if not fault and not is_same:
                embed = lambda inputs: model.predict(inputs)["embedding"]  # noqa: E731
                fault = f"{parity.find_fault(exported, shown, paths, contract, embed)} (browser)"
            latency = float(median(map(sum, zip(result.prepare_ms, result.predict_ms, strict=True))))
            load_ms = result.load_ms
    return Parity(tolerance, len(paths), difference, browser_difference, fault), latency, load_ms


def _run_export(source: str, model: ExportedModel, inputs: Array) -> ModelOutput:
    return ModelOutput(source, inputs, model.predict(inputs)["embedding"], model.answer(inputs))


def _explain_deviation(keras: KerasAnswers, photos: MeasuredPhotos) -> str:
    """Return why learned photos are less similar to their products than training measured, or ""."""
    run, rows = keras.run, np.arange(len(photos.paths))
    truth = np.array([run.classes.index(name) for name in photos.truth])

    def mean_similarity(inputs: Array) -> float:
        return float(keras.similarities(keras.embed(inputs))[rows, truth].mean())

    similarity = mean_similarity(preprocessing.read_all(photos.paths, run.preprocessing).astype(np.float32))
    if similarity >= run.learned_similarity - parity.MAX_SIMILARITY_LOSS:
        return ""
    cause = parity.find_training_mismatch(photos.paths, run.preprocessing, run.learned_similarity, mean_similarity)
    return f"{cause} (mean similarity {similarity:.3f}, but {run.learned_similarity:.3f} in training)"


def _write_training_photos(run_folder: Path, export_folder: Path) -> None:
    """Write the files about training photos that are published with the model."""
    data = dataset.load(run_folder)
    write_atomic(export_folder / CATALOGUE_FILE, canonical_json.dump(data.catalogue))
    write_atomic(
        export_folder / LEARNED_FILE,
        canonical_json.dump(holdout.list_learned_checksums([photo.sha256 for photo in data.photos])),
    )


def _list_published_files(folder: Path) -> list[Path]:
    weights = json.loads((folder / registry.MODEL_FILE).read_bytes())["weights"]["file"]
    return [folder / name for name in (registry.MODEL_FILE, weights, CATALOGUE_FILE, LEARNED_FILE)]


def render_report(result: ValidationResult, next_command: str) -> str:
    """Return the report of a validation."""
    metadata, measured = result.metadata, result.metadata.metrics
    missing_count = result.photos.missing_count
    lines = [
        f"Model {metadata.version}: {format_count(len(metadata.classes), 'product')}, "
        f"{format_count(len(result.photos.paths), 'photo')}"
        + (f" ({missing_count} more are missing or changed)." if missing_count else "."),
        *_render_accuracy(metadata),
    ]
    weak_products = sorted(measured.per_product.items(), key=lambda item: item[1].right / item[1].photos)[
        :MAX_WEAK_PRODUCTS
    ]
    weak_lines = [
        f"{name} ({score.right} of {score.photos})" for name, score in weak_products if score.right < score.photos
    ]
    lines += [f"  Weakest products: {', '.join(weak_lines)}"] if weak_lines else []
    measured_where = "with numpy" if result.load_ms is None else f"in a browser; loads in {result.load_ms:.0f} ms"
    size = f"{metadata.size / 1e6:.1f} MB" if metadata.size > 1e6 else f"{metadata.size / 1e3:.0f} kB"
    lines.append(f"  Size: {size}; latency: {measured.latency_ms:.0f} ms per photo {measured_where}")
    lines += [_render_parity(metadata.parity), *_render_comparison(metadata, result.comparison)]
    lines.append(
        f"Next: {next_command}"
        if result.can_upload
        else "Do not upload this model: fix the problems above, or retrain."
    )
    return "\n".join(lines)


def _render_accuracy(metadata: ModelMetadata) -> list[str]:
    """Return the lines about phone photos, and about the shop's own photos beside them."""
    measured, studio = metadata.metrics, metadata.metrics.studio
    if not measured.photos:
        return ["  Accuracy: not measured. Pass phone photos with --test FOLDER, or add more photos of each product."]
    lines = [
        (
            f"  On {measured.photos} {measured.condition}: top-1 {measured.top1:.1%}, top-3 {measured.top3:.1%}; "
            f"calibration error {measured.ece:.3f}"
        )
    ]
    if measured.separation is not None:
        lines.append(f"  Trained products distinguished from other products: {measured.separation:.2f} (AUROC)")
    if studio is not None:
        lines.append(
            f"  On {studio.photos} of the shop's own photos, cross-validated: top-1 {studio.top1:.1%}, "
            f"top-3 {studio.top3:.1%}"
        )
    return lines


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
        f"Parity: {result} on {format_count(parity_result.photos, 'photo')}. Largest difference: "
        f"{', '.join(differences)} (tolerance {parity_result.tolerance:.0e}).{cause}{browser_note}"
    )


def _render_comparison(metadata: ModelMetadata, comparison: Comparison | None) -> list[str]:
    verdict = metadata.verdict
    if comparison is None:
        return ["Not compared: no model is in use."]
    lines = [
        (
            f"Compared with the model in use, {verdict.against}, on {comparison.photo_count} {comparison.condition}: "
            f"accuracy {comparison.new_accuracy:.1%}, was {comparison.old_accuracy:.1%}. "
            f"Photos recognised only by the new model: {comparison.new_only}; only by the old model: "
            f"{comparison.old_only}. "
            f"Verdict: {verdict.says}."
        )
    ]
    if verdict.lost:
        lines.append(
            f"LOST: this model does not recognise {format_count(len(verdict.lost), 'product')} that {verdict.against} "
            f"recognises from its photos: {', '.join(verdict.lost)}. Download all photos, then train again."
        )
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
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
