"""Describe a finished training run: the folder ``runs/<version>/`` and its ``run.json``.

``ml.train_model`` writes it; ``ml.validate_model`` and ``ml.upload_model`` read it.  ``run.json`` is written last and
atomically, so a folder that contains it is complete.  The folder contains:

``model.keras``
    Keras 3.  Input: a batch of images, (n, size, size, 3), RGB, values 0 to 255 as uint8 or float.  ``scaling`` happens
    INSIDE the model; orientation, ``fit`` and ``resize`` (``ml.data.preprocessing.read``) happen outside.  Output:
    (n, embedding_size) vectors of length 1, which ``ml.answers`` turns into answers.
``prototypes.npz``
    ``vectors`` (prototypes, embedding_size) float32 of length 1; ``owners`` (prototypes,): the index of each one's
    product in ``classes``.  Every product has at least one.
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

from ml.answers import AnswerRule
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
    ``scaling``: applied to each value inside ``model.keras``.  ``classes``: all products, in the order of the answer.
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
    """A measured photo: ``path`` in the dataset's folder, product, SHA-256 of the file."""

    path: str
    product: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Split:
    """``learned``: the number of photos the model learned from, which are all.

    ``held_out``: those that cross-validation measured, each with a model that had not learned from it.
    """

    learned: int
    held_out: tuple[HeldOut, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """The number of measured photos of one product, and how many of them were recognised."""

    photos: int
    right: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """What people see on ``photos`` photos, shares from 0 to 1; all other numbers mean nothing if there are none.

    ``ece``: expected calibration error of the first product's percentage.  ``separation``: how often a photo of a
    product is less "none of ours" than one of a product that the model did not learn (AUROC); None if not measured.
    """

    top1: float
    top3: float
    ece: float
    separation: float | None
    photos: int
    per_product: Mapping[str, Score]


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A finished training run.

    ``data_hash``: hash of the dataset.  ``phone`` and ``studio``: cross-validated on simulated phone photos, and on the
    shop's own photos.  ``learned_similarity``: mean cosine of the learned photos with their product, by the model.
    ``unmeasured``: products with too few different photos to be measured.
    ``config``: settings and derived values (such as ``weights_hash``).  ``tools``: package versions.  ``commit``: of
    the repository, empty if there is none.  ``trained_at``: ISO 8601, UTC.  ``seconds``: wall time of the training.
    ``files``: SHA-256 of every other file in the folder.
    """

    version: str
    data_hash: str
    preprocessing: Preprocessing
    preprocessing_hash: str
    split: Split
    phone: Metrics
    studio: Metrics
    learned_similarity: float
    answer: AnswerRule
    config: Mapping[str, str | int | float | bool | None]
    tools: Mapping[str, str]
    commit: str
    trained_at: str
    seconds: float
    embedding_size: int
    unmeasured: tuple[str, ...] = ()
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
