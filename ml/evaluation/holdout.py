"""Load the photos of a training run or of a test folder, and compare a model with the published one on them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from ml.atomic_files import sha256
from ml.command_runner import show_progress
from ml.data import preprocessing
from ml.data.image_checks import check_image
from ml.evaluation.metrics import Comparison, Predictions, compare
from ml.export import exported_model
from ml.export.exported_model import Array, ExportedModel
from ml.training import phone_simulation
from ml.training_run import HeldOut, Preprocessing, TrainingRun
from orchestrator import canonical_json
from orchestrator.model_registry import registry, staleness
from orchestrator.model_registry.registry import LEARNED_FILE
from orchestrator.problems import Problems
from orchestrator.storage import FileStorage, MissingFileError

CHECKSUM_PREFIX_LENGTH = 16
"""Hexadecimal digits of a checksum that the file keeps."""
MIN_SHARED_PHOTOS = 10
"""Photos that both models learned from, needed to compare them on these alone."""
MAX_COMPARED_PHOTOS = 150
BATCH_SIZE = 16


@dataclass(frozen=True, slots=True)
class MeasuredPhotos:
    """Photos with their products; ``missing_count``: photos of the run that were deleted or changed since."""

    truth: tuple[str, ...]
    paths: tuple[Path, ...]
    checksums: tuple[str, ...]
    missing_count: int = 0

    def select(self, mask: Sequence[bool]) -> MeasuredPhotos:
        """Return the photos for which ``mask`` is true."""
        indices = [index for index, is_selected in enumerate(mask) if is_selected]
        return MeasuredPhotos(
            tuple(self.truth[index] for index in indices),
            tuple(self.paths[index] for index in indices),
            tuple(self.checksums[index] for index in indices),
            self.missing_count,
        )

    def sample(self, max_count: int) -> MeasuredPhotos:
        """Return at most ``max_count`` photos, spread evenly over all products."""
        step = max(len(self.paths) / max_count, 1)
        chosen = {int(index * step) for index in range(min(max_count, len(self.paths)))}
        return self.select([index in chosen for index in range(len(self.paths))])


def load_photos(run: TrainingRun, photos: Sequence[HeldOut], data_folder: Path) -> MeasuredPhotos:
    """Return the photos that the run learned from that are unchanged in the dataset's folder.

    Raises Problems if there are none.
    """
    expected = sorted(photos, key=lambda photo: photo.product)
    present = [photo for photo in expected if _is_unchanged(data_folder / photo.path, photo.sha256)]
    if not present:
        raise Problems.from_message(
            f"all {len(expected)} photos of training run {run.version} are missing or changed in {data_folder}",
            hint="pass the dataset's folder as --data, or download again: python -m ml.download_photos",
        )
    return MeasuredPhotos(
        tuple(photo.product for photo in present),
        tuple(data_folder / photo.path for photo in present),
        tuple(photo.sha256 for photo in present),
        len(expected) - len(present),
    )


def load_test_folder(folder: Path) -> MeasuredPhotos:
    """Return the photos of a folder with one folder for each product; a name of no product means none of ours.

    Raises Problems if there is none, or one cannot be read.
    """
    paths = sorted(path for path in folder.glob("*/*") if path.is_file() and not path.name.startswith("."))
    if not paths:
        raise Problems.from_message(
            f"no photos in {folder}", hint="put them into folders named after their products: FOLDER/PRODUCT/PHOTO.jpg"
        )
    if unreadable := [f"{path} {reason}" for path in paths if (reason := check_image(path).trouble)]:
        raise Problems.from_message(
            f"{len(unreadable)} test photos cannot be used: {'; '.join(unreadable[:5])}", hint="remove or replace them"
        )
    return MeasuredPhotos(
        tuple(path.parent.name for path in paths), tuple(paths), tuple(sha256(path) for path in paths)
    )


def list_learned_checksums(checksums: Sequence[str]) -> list[str]:
    """Return the content of ``LEARNED_FILE``: prefixes of the checksums of all photos."""
    return sorted(item[:CHECKSUM_PREFIX_LENGTH] for item in checksums)


def compare_with_published(
    storage: FileStorage, version: str, new_model: ExportedModel, photos: MeasuredPhotos, *, is_test: bool
) -> tuple[Comparison, tuple[str, ...]]:
    """Compare a new model with a published version; return the products that the new one lost, too.

    On test photos if there are some; otherwise on simulated phone photos of photos that both learned from, where
    neither has an advantage.  Raises Problems if the published version cannot be read.
    """
    condition = "test photos"
    if not is_test:
        learned = _load_learned_checksums(storage, version)
        shared = [checksum[:CHECKSUM_PREFIX_LENGTH] in learned for checksum in photos.checksums]
        photos = photos.select(shared) if sum(shared) >= MIN_SHARED_PHOTOS else photos
        photos = photos.sample(MAX_COMPARED_PHOTOS)
        condition = "simulated phone photos"
    old_model = load_published(storage, version)
    new, old = (
        Predictions(model.products, answer_all(model, photos, is_simulated=not is_test, description=name), photos.truth)
        for model, name in ((new_model, "new model"), (old_model, f"model {version}"))
    )
    missing = sorted(set(old_model.products) - set(new_model.products))
    removed = set(staleness.check_staleness(storage).removed) if missing else set()
    return compare(new, old, condition), tuple(name for name in missing if name not in removed)


def parse_contract(document: Mapping[str, Any]) -> Preprocessing:
    """Return the preprocessing contract of an exported model.  Raises Problems if it is missing or invalid."""
    try:
        return msgspec.convert(document["preprocessing"], Preprocessing)
    except (KeyError, msgspec.ValidationError) as error:
        raise Problems.from_message(
            f"the exported model has no valid preprocessing contract: {error}",
            hint="export it again: python -m ml.export runs/VERSION",
        ) from None


def answer_all(
    model: ExportedModel, photos: MeasuredPhotos, *, is_simulated: bool = False, description: str = "photos"
) -> Array:
    """Return an exported model's answers to photos, or to a simulated phone photo of each.

    Raises Problems if a photo is unreadable.
    """
    contract = parse_contract(model.document)
    read = simulate_all if is_simulated else preprocessing.read_all
    return predict_in_batches(
        photos.paths, lambda paths: model.answer(read(paths, contract).astype(np.float32)), description
    )


def simulate_all(paths: Sequence[Path], contract: Preprocessing) -> Array:
    """Return one simulated phone photo of each photo, the same for all models of one input size."""
    simulated = []
    for path in paths:
        photo = preprocessing.load_upright(path, contract)
        photo.thumbnail((2 * contract.size, 2 * contract.size), Image.Resampling.BILINEAR)
        rng = np.random.default_rng([*sha256(path).encode(), 0])
        pixels = phone_simulation.simulate(photo, phone_simulation.cut_out(photo), contract.size, rng)
        simulated.append(pixels[..., ::-1] if contract.channels == "BGR" else pixels)
    return np.stack(simulated)


def predict_in_batches(paths: Sequence[Path], predict: Callable[[Sequence[Path]], Array], description: str) -> Array:
    """Call ``predict`` on batches of photos; return all results.  Raises Problems if a photo is unreadable."""
    results = []
    with show_progress(description, len(paths)) as advance:
        for start in range(0, len(paths), BATCH_SIZE):
            batch_paths = paths[start : start + BATCH_SIZE]
            results.append(predict(batch_paths))
            for _ in batch_paths:
                advance()
    return np.concatenate(results)


def load_published(storage: FileStorage, version: str) -> ExportedModel:
    """Download and load a published model.  Raises Problems if it cannot be read."""
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
            return exported_model.load(target)
        except (Problems, AttributeError) as error:
            raise Problems.from_message(
                f"cannot read the model in use, {version}: {error}".partition("\n")[0],
                hint="pass --no-compare to skip the comparison; the upload then needs --force REASON",
            ) from None


def _load_learned_checksums(storage: FileStorage, version: str) -> frozenset[str]:
    try:
        data = registry.read_training_file(storage, version, LEARNED_FILE)
        return frozenset(canonical_json.load(data, list[str], f"{LEARNED_FILE} of {version}"))
    except MissingFileError:
        return frozenset()


def _is_unchanged(path: Path, checksum: str) -> bool:
    try:
        return sha256(path) == checksum
    except OSError:
        return False
