"""Add products and photos to a model without training: ``python -m ml.add_products RUN``.

The network of a finished run stays; the photos of the dataset that it has not seen become prototypes, in a new run with
a version of its own.  It takes seconds, and the result is validated and uploaded like a training's.  Percentages and
accuracy stay those of the training: train again when many products are new.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ml import answers, atomic_files, command_runner
from ml import training_run as runs
from ml.data import dataset
from ml.data.dataset import Dataset, Photo
from ml.evaluation import cross_validation
from ml.export import writer
from ml.training import augmentation
from ml.training.network import Array
from ml.training.stages import verify_photos
from ml.training_run import Split, TrainingRun
from orchestrator import canonical_json
from orchestrator.problems import Problems
from orchestrator.quantities import format_count

VIEWS = 6
"""Images of each new photo, the photo itself included, whose mean becomes a prototype."""


@dataclass(frozen=True, slots=True)
class AddedRun:
    """The new run; ``added`` and ``removed`` products, and ``photos`` that became prototypes."""

    run: TrainingRun
    folder: Path
    added: tuple[str, ...]
    removed: tuple[str, ...]
    photos: int


def add_products(run_folder: Path, data_folder: Path, runs_folder: Path, now: datetime) -> AddedRun:
    """Write a run with prototypes of all products of the dataset, made by the network of the run in ``run_folder``.

    Raises Problems if nothing is new, or a photo or the run cannot be read, and OSError.
    """
    run, data = runs.load(run_folder), dataset.load(data_folder)
    learned = {photo.sha256: photo.product for photo in dataset.load(run_folder).photos}
    products = tuple(data.products)
    changed = sorted(
        {photo.product for photo in data.photos if learned.get(photo.sha256) != photo.product}
        | {learned[checksum] for checksum in learned.keys() - {photo.sha256 for photo in data.photos}}
    )
    if not changed:
        raise Problems.from_message(
            f"{data_folder} contains only photos that are already in training run {run.version}",
            hint="download the photos first: python -m ml.download_photos",
        )
    verify_photos(data, data_folder)
    model, old_vectors = writer.load_keras_model(run_folder), writer.load_prototypes(run, run_folder)
    vectors: list[Array] = []
    owners: list[int] = []
    photo_count = 0
    for index, name in enumerate(products):
        if name in changed or name not in run.classes:
            own = [photo for photo in data.photos if photo.product == name]
            photo_count += len(own)
            prototypes = _make_prototypes(model, run, own, data_folder)
        else:
            prototypes = old_vectors[np.array(run.answer.owners) == run.classes.index(name)]
        vectors.append(prototypes)
        owners += [index] * len(prototypes)
    new_run = _build_run(run, data, products, tuple(owners), now)
    folder = _write(new_run, run_folder, runs_folder, data, np.concatenate(vectors), model)
    added, removed = (tuple(sorted(one - other)) for one, other in (
        (set(products), set(run.classes)), (set(run.classes), set(products))))  # fmt: skip
    return AddedRun(runs.load(folder), folder, added, removed, photo_count)


def _make_prototypes(model: Any, run: TrainingRun, photos: Sequence[Photo], data_folder: Path) -> Array:
    embeddings = []
    for photo in photos:
        views = augmentation.make_views(data_folder / photo.path, run.preprocessing, f"0:{photo.sha256}", VIEWS)
        embeddings.append(np.asarray(model(views.astype(np.float32), training=False)))
    stacked = np.stack(embeddings)
    return answers.choose_prototypes(stacked[:, 0], stacked.mean(axis=1), cross_validation.MAX_PROTOTYPES)


def _build_run(
    run: TrainingRun, data: Dataset, products: tuple[str, ...], owners: tuple[int, ...], now: datetime
) -> TrainingRun:
    """Return the new run: measured products stay measured, added ones are not."""
    contract = replace(run.preprocessing, classes=products)
    groups = tuple(present for group in run.answer.groups if len(present := tuple(set(group) & set(products))) > 1)
    paths = {photo.sha256 for photo in data.photos}
    return replace(
        run,
        version=f"{now:%Y%m%d-%H%M%S}-{data.hash[:4]}",
        data_hash=data.hash,
        preprocessing=contract,
        preprocessing_hash=contract.hash,
        split=Split(len(data.photos), tuple(photo for photo in run.split.held_out if photo.sha256 in paths)),
        answer=replace(run.answer, owners=owners, groups=tuple(tuple(sorted(group)) for group in groups)),
        config={**run.config, "prototypes_added_to": run.version},
        trained_at=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        unmeasured=tuple(sorted((set(products) - set(run.classes)) | (set(run.unmeasured) & set(products)))),
    )


def _write(run: TrainingRun, old_folder: Path, runs_folder: Path, data: Dataset, vectors: Array, model: Any) -> Path:
    """Write the folder of the new run, ``run.json`` last."""
    folder = runs_folder / run.version
    folder.mkdir(parents=True, exist_ok=True)
    for name in (runs.MODEL_FILE, runs.REPORT_FILE):
        if (old_folder / name).exists():
            shutil.copyfile(old_folder / name, folder / name)
    atomic_files.write_atomic(folder / runs.DATASET_FILE, canonical_json.dump(data))
    atomic_files.create_atomic(
        folder / runs.PROTOTYPES_FILE,
        lambda path: np.savez(path, allow_pickle=False, vectors=vectors, owners=np.array(run.answer.owners)),
    )
    writer.write(model, run, vectors, folder / writer.EXPORT_FOLDER)
    names = [name for name in (*run.files, runs.DATASET_FILE, runs.PROTOTYPES_FILE) if (folder / name).exists()]
    runs.save(replace(run, files={name: atomic_files.sha256(folder / name) for name in names}), folder)
    return folder


def build_parser() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.add_products",
        description="Add the new products and photos of the dataset to a trained model, without training.",
    )
    parser.add_argument("run", type=Path, help="folder of a training run, runs/VERSION")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the dataset (default: data)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the training runs (default: runs)")
    return parser


def render_report(result: AddedRun, data_folder: Path, storage_options: Sequence[str]) -> str:
    """Return the report: what is new, and the next command."""
    lines = [
        (
            f"Model {result.run.version}: {format_count(len(result.run.classes), 'product')}; "
            f"prototypes made from {format_count(result.photos, 'photo')}, without training."
        )
    ]
    lines += [f"  Added: {', '.join(result.added)}"] if result.added else []
    lines += [f"  Removed: {', '.join(result.removed)}"] if result.removed else []
    lines.append(
        "  Accuracy and percentages are still those of the last training. Train again when there are many new products."
    )
    command = ["python", "-m", "ml.validate_model", str(result.folder), "--data", str(data_folder), *storage_options]
    return "\n".join([*lines, f"Next: {shlex.join(command)}"])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    cli_args = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(cli_args)

    def work() -> int:
        result = add_products(args.run, args.data, args.runs, datetime.now(UTC))
        print(render_report(result, args.data, dataset.load(args.data).place))
        return 0

    return command_runner.run_command(
        work,
        shlex.join(["python", "-m", "ml.add_products", *cli_args]),
        "The model in use and the training run were not changed.",
    )


if __name__ == "__main__":
    raise SystemExit(main())
