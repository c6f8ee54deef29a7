"""What one training left behind: the folder ``runs/<version>/`` and its ``run.json``.

Written by ``ml.train_model``, read by ``ml.validate_model`` and ``ml.upload_model``.  ``run.json`` is written last and
at once, so a folder that has one is complete.  The folder holds:

``model.keras``
    Keras 3.  Takes a batch of pictures, (n, size, size, 3), RGB, values 0 to 255 as uint8 or float: ``scaling`` happens
    INSIDE the model; orientation, ``fit`` and ``resize`` (``ml.data.preprocessing.read``) happen outside.  Gives
    (n, classes) probabilities.  The layer ``embedding`` gives (n, embedding_size) vectors of length 1.
``prototypes.npz``
    ``vectors`` (products, embedding_size) float32 of length 1, ``products`` (products,) names, ``trained`` (products,)
    bool: whether the product is a class too.  Products with few photos have a prototype and no class.
``dataset.json``
    The data set as it was (``ml.data.dataset.Dataset``): every photo with its key, ETag and checksum.
``report.html``
    One page for people, with its pictures inside.
``run.json``
    This module's ``Run``.
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
    """How a photo becomes the model's input; whoever predicts has to do the same.  The fields are said in order.

    ``orientation`` as the photo's EXIF says.  ``transparent``: what shows through.  ``fit`` centre-crop: the largest
    centred square.  ``resize`` triangle: Pillow's BILINEAR (a triangle filter, widened when shrinking).
    ``scaling``: of each value, inside of ``model.keras`` already.  ``classes``: the names, in the order of the output.
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
        """SHA-256 of the contract, as 64 hexadecimal digits."""
        return canonical_json.digest(self)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A photo that no training has seen: ``path`` in the data set's folder, its product, SHA-256 of the file."""

    path: str
    product: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Split:
    """Who learned and who was held out: ``train`` and ``validation`` are counts of photos."""

    train: int
    validation: int
    held_out: tuple[HeldOut, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Held-out photos of one product, and how many of them were recognised."""

    photos: int
    right: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """On the held-out photos, shares from 0 to 1.  ``prototypes``: top-1 by nearest prototype of classes."""

    top1: float
    top3: float
    loss: float
    prototypes: float
    per_product: Mapping[str, Score]


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One finished training.

    ``data_hash``: of the data set.  ``few_photos``: products that have a prototype and no class.
    ``prototype_threshold``: cosine above which the nearest prototype of a product in ``few_photos`` is believed.
    ``config``: what training was told, and found (such as ``weights_hash``).  ``tools``: versions.  ``commit``: of the
    repository, empty when there is none.  ``trained_at``: ISO 8601, UTC.  ``seconds``: wall time of the training.
    ``files``: SHA-256 of each other file of the folder.
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
        """The products' names, in the order of the model's output."""
        return self.preprocessing.classes


def save(run: TrainingRun, folder: Path) -> None:
    """Write ``run.json`` into ``folder``, at once and whole.

    Raises OSError.
    """
    text = json.dumps(json.loads(canonical_json.dump(run)), indent=2, ensure_ascii=False, sort_keys=True)
    write_atomic(folder / RUN_FILE, text.encode() + b"\n")


def load(folder: Path) -> TrainingRun:
    """The run in ``folder``.

    Raises Problems: no finished run, or one that this version cannot read.
    """
    path = folder / RUN_FILE
    try:
        run = canonical_json.load(path.read_bytes(), TrainingRun, str(path))
    except FileNotFoundError:
        raise Problems.from_message(
            f"{folder} holds no finished training: there is no {RUN_FILE}",
            hint="python -m ml.train_model goes on with a training that was interrupted",
        ) from None
    except Problems as problems:
        raise Problems.from_message(
            problems.problems[0].message, hint="train again: python -m ml.train_model"
        ) from None
    if run.preprocessing.hash != run.preprocessing_hash:
        raise Problems.from_message(
            f"{path}: the preprocessing contract is not the one its hash was made of", hint="train again"
        )
    return run
