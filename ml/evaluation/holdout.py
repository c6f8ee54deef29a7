"""Load the held-out photos of a training run, and compare models on them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ml.atomic_files import sha256
from ml.command_runner import show_progress
from ml.data import preprocessing
from ml.evaluation.metrics import Comparison, Predictions, compare
from ml.export import exported_model
from ml.export.exported_model import Array
from ml.training_run import HeldOut, Preprocessing, TrainingRun
from orchestrator import canonical_json
from orchestrator.model_registry import registry
from orchestrator.problems import Problems
from orchestrator.storage import FileStorage, MissingFileError

LEARNED_FILE = "learned.json"
"""File beside a published model: the photos it was trained on, as checksum prefixes."""
CHECKSUM_PREFIX_LENGTH = 16
"""Hexadecimal digits of a checksum that the file keeps."""
MIN_UNSEEN_PHOTOS = 10
"""Unseen photos needed for a comparison; with fewer, photos the old model was trained on are included."""


@dataclass(frozen=True, slots=True)
class HoldoutPhotos:
    """Held-out photos and their files; ``missing_count``: held-out photos that were deleted or changed since."""

    held_out: tuple[HeldOut, ...]
    paths: tuple[Path, ...]
    missing_count: int = 0

    @property
    def truth(self) -> tuple[str, ...]:
        """Return the product of each photo."""
        return tuple(photo.product for photo in self.held_out)

    def select(self, mask: Sequence[bool]) -> HoldoutPhotos:
        """Return the photos for which ``mask`` is true."""
        indices = [index for index, is_selected in enumerate(mask) if is_selected]
        return HoldoutPhotos(
            tuple(self.held_out[position] for position in indices),
            tuple(self.paths[position] for position in indices),
            self.missing_count,
        )

    def sample(self, max_count: int) -> HoldoutPhotos:
        """Return at most ``max_count`` photos, spread evenly over all products."""
        step = max(len(self.paths) / max_count, 1)
        chosen = {int(index * step) for index in range(min(max_count, len(self.paths)))}
        return self.select([index in chosen for index in range(len(self.paths))])


def load_photos(run: TrainingRun, data_folder: Path) -> HoldoutPhotos:
    """Return the held-out photos of the run's classes that are unchanged in the dataset's folder.

    Raises Problems if there are none.
    """
    expected = sorted(
        (photo for photo in run.split.held_out if photo.product in run.classes), key=lambda photo: photo.product
    )
    present = [photo for photo in expected if _is_unchanged(data_folder / photo.path, photo.sha256)]
    if not expected:
        raise Problems.from_message(
            f"training run {run.version} has no held-out photos", hint="train again: python -m ml.train_model"
        )
    if not present:
        raise Problems.from_message(
            f"none of the {len(expected)} held-out photos of training run {run.version} is unchanged in {data_folder}",
            hint="pass the dataset's folder as --data, or download again: python -m ml.download_photos",
        )
    return HoldoutPhotos(
        tuple(present), tuple(data_folder / photo.path for photo in present), len(expected) - len(present)
    )


def list_learned_checksums(run: TrainingRun, checksums: Sequence[str]) -> list[str]:
    """Return the content of ``LEARNED_FILE``: prefixes of the dataset's checksums that were not held out."""
    held_out = {item.sha256 for item in run.split.held_out}
    return sorted(item[:CHECKSUM_PREFIX_LENGTH] for item in checksums if item not in held_out)


def compare_with_published(
    storage: FileStorage, version: str, photos: HoldoutPhotos, new_predictions: Predictions
) -> Comparison:
    """Compare a new model's predictions with those of a published version, on photos that neither was trained on.

    Raises Problems if the published version cannot be read.
    """
    learned_checksums = _load_learned_checksums(storage, version)
    learned_flags = [item.sha256[:CHECKSUM_PREFIX_LENGTH] in learned_checksums for item in photos.held_out]
    unseen_count = len(learned_flags) - sum(learned_flags)
    mask = (
        [not item for item in learned_flags]
        if unseen_count >= min(MIN_UNSEEN_PHOTOS, len(learned_flags))
        else [True] * len(learned_flags)
    )
    compared_photos = photos.select(mask)
    old_predictions = _predict_with_published(storage, version, compared_photos)
    selection = np.asarray(mask)
    new_subset = Predictions(new_predictions.classes, new_predictions.probabilities[selection], compared_photos.truth)
    return compare(
        new_subset,
        old_predictions,
        [item for item, is_selected in zip(learned_flags, mask, strict=True) if is_selected],
    )


def parse_contract(document: Mapping[str, Any]) -> Preprocessing:
    """Return the preprocessing contract of an exported model.  Raises Problems if it is missing or invalid."""
    try:
        return msgspec.convert(document["preprocessing"], Preprocessing)
    except (KeyError, msgspec.ValidationError) as error:
        raise Problems.from_message(
            f"the exported model has no valid preprocessing contract: {error}",
            hint="export it again: python -m ml.export runs/VERSION",
        ) from None


def predict_in_batches(
    paths: Sequence[Path], contract: Preprocessing, predict: Callable[[Array], Array], description: str
) -> Array:
    """Call ``predict`` on photos in batches; return (photos, classes).  Raises Problems if a photo is unreadable."""
    results = []
    with show_progress(description, len(paths)) as advance:
        for start in range(0, len(paths), 16):
            batch_paths = paths[start : start + 16]
            results.append(predict(preprocessing.read_all(batch_paths, contract).astype(np.float32)))
            for _ in batch_paths:
                advance()
    return np.concatenate(results)


def _predict_with_published(storage: FileStorage, version: str, photos: HoldoutPhotos) -> Predictions:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        version_prefix = f"{registry.MODELS_FOLDER}/{version}"
        try:
            storage.download_file(f"{version_prefix}/{registry.MODEL_FILE}", target / registry.MODEL_FILE)
            document = canonical_json.load(
                (target / registry.MODEL_FILE).read_bytes(), dict[str, Any], f"{storage}/{version_prefix}"
            )
            weights_file = Path(str(document.get("weights", {}).get("file", ""))).name
            storage.download_file(f"{version_prefix}/{weights_file}", target / weights_file)
            model = exported_model.load(target)
        except (Problems, AttributeError) as error:
            raise Problems.from_message(
                f"cannot read the model in use, {version}: {error}".partition("\n")[0],
                hint="pass --no-compare to skip the comparison; the upload then needs --force REASON",
            ) from None
    contract = parse_contract(model.document)
    probabilities = predict_in_batches(
        photos.paths, contract, lambda batch: model.predict(batch)["probabilities"], f"predicting with {version}"
    )
    return Predictions(model.classes, probabilities, photos.truth)


def _load_learned_checksums(storage: FileStorage, version: str) -> frozenset[str]:
    key = f"{registry.MODELS_FOLDER}/{version}/{LEARNED_FILE}"
    try:
        return frozenset(canonical_json.load(storage.download(key), list[str], f"{storage}/{key}"))
    except MissingFileError:
        return frozenset()


def _is_unchanged(path: Path, checksum: str) -> bool:
    try:
        return sha256(path) == checksum
    except OSError:
        return False
