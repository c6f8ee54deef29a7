"""Describe a finished training run: the folder ``runs/<version>/`` and its ``run.json``.

``ml.train_model`` writes it; ``ml.validate_model`` and ``ml.upload_model`` read it.  ``run.json`` is written last and
atomically, so a folder that contains it is complete.  The folder contains:

``model.keras``
    Keras 3.  Input: a batch of images, (n, size, size, 3), RGB, values 0 to 255 as uint8 or float.  ``scaling`` happens
    INSIDE the model; orientation, ``fit`` and ``resize`` (``ml.data.preprocessing.read``) happen outside.  Output:
    (n, classes) probabilities.  The layer ``embedding`` outputs (n, embedding_size) vectors of length 1.
``prototypes.npz``
    ``vectors`` (products, embedding_size) float32 of length 1, ``products`` (products,) names, ``trained`` (products,)
    bool: whether the product is also a class.  Products with few photos have a prototype but no class.
``dataset.json``
    The dataset at training time (``ml.data.dataset.Dataset``): every photo with its key, ETag and checksum.
``report.html``
    A self-contained report page.
``run.json``
    ``TrainingRun`` of this module.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ml.atomic_files import write_atomic
from orchestrator import canonical_json
from orchestrator.problems import Problems

RUN_FILE = "run.json"
MODEL_FILE = "model.keras"
PROTOTYPES_FILE = "prototypes.npz"
DATASET_FILE = "dataset.json"
REPORT_FILE = "report.html"
EMBEDDING_LAYER = "embedding"


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """The preprocessing contract: how to turn a photo into model input, in the order of the fields.

    ``orientation`` exif: rotate as the EXIF data says.  ``transparent``: background colour.  ``fit`` centre-crop: the
    largest centred square.  ``resize`` triangle: Pillow's BILINEAR (a triangle filter, widened when downscaling).
    ``scaling``: applied to each value inside ``model.keras``.  ``classes``: product names in the order of the output.
    """

    classes: tuple[str, ...]
    size: int = 224
    orientation: str = "exif"
    transparent: str = "white"
    fit: str = "centre-crop"
    resize: str = "triangle"
    channels: str = "RGB"
    scaling: str = "x / 127.5 - 1"

    @property
    def hash(self) -> str:
        """Return the SHA-256 of the contract as 64 hexadecimal digits."""
        return canonical_json.digest(self)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A held-out photo: ``path`` in the dataset's folder, product, SHA-256 of the file."""

    path: str
    product: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Split:
    """The split of the dataset; ``train`` and ``validation`` are photo counts."""

    train: int
    validation: int
    held_out: tuple[HeldOut, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """The number of held-out photos of one product, and how many of them were recognised."""

    photos: int
    right: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics on the held-out photos, from 0 to 1.  ``prototypes``: top-1 accuracy by nearest class prototype."""

    top1: float
    top3: float
    loss: float
    prototypes: float
    per_product: Mapping[str, Score]


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A finished training run.

    ``data_hash``: hash of the dataset.  ``few_photos``: products with a prototype but no class.
    ``prototype_threshold``: minimum cosine similarity to accept the nearest prototype of a product in ``few_photos``.
    ``config``: settings and derived values (such as ``weights_hash``).  ``tools``: package versions.  ``commit``: of
    the repository, empty if there is none.  ``trained_at``: ISO 8601, UTC.  ``seconds``: wall time of the training.
    ``files``: SHA-256 of every other file in the folder.
    """

    version: str
    data_hash: str
    preprocessing: Preprocessing
    preprocessing_hash: str
    split: Split
    metrics: Metrics
    config: Mapping[str, str | int | float | bool | None]
    tools: Mapping[str, str]
    commit: str
    trained_at: str
    seconds: float
    embedding_size: int
    prototype_threshold: float
    few_photos: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the product names in the order of the model's output."""
        return self.preprocessing.classes


def save(run: TrainingRun, folder: Path) -> None:
    """Write ``run.json`` into ``folder`` atomically.

    Raises OSError.
    """
    text = json.dumps(json.loads(canonical_json.dump(run)), indent=2, ensure_ascii=False, sort_keys=True)
    write_atomic(folder / RUN_FILE, text.encode() + b"\n")


def load(folder: Path) -> TrainingRun:
    """Load the run in ``folder``.

    Raises Problems if it is unfinished, unreadable, or its contract was changed.
    """
    path = folder / RUN_FILE
    try:
        run = canonical_json.load(path.read_bytes(), TrainingRun, str(path))
    except FileNotFoundError:
        raise Problems.from_message(
            f"no finished training run in {folder}: {RUN_FILE} does not exist",
            hint="start a training, or resume an interrupted one: python -m ml.train_model",
        ) from None
    except Problems as problems:
        raise Problems.from_message(
            problems.problems[0].message, hint="train again: python -m ml.train_model"
        ) from None
    if run.preprocessing.hash != run.preprocessing_hash:
        raise Problems.from_message(
            f"{path}: the preprocessing contract does not match its hash", hint="train again: python -m ml.train_model"
        )
    return run
