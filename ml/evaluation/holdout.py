"""The photos that a training held out: where they lie, what they show, and what the model in use says of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ml.atomic_files import sha256
from ml.command_runner import progress
from ml.data import preprocessing
from ml.evaluation.metrics import Answers, Comparison, compared
from ml.export import exported_model
from ml.export.exported_model import Array
from ml.training_run import HeldOut, Preprocessing, Run
from orchestrator import canonical_json
from orchestrator.model_registry import registry
from orchestrator.problems import Problems
from orchestrator.storage import FileStorage, MissingFileError

LEARNED = "learned.json"
"""Beside a published model: the photos that it learned from, by the first ``MARK`` digits of their checksums."""
MARK = 16
FEWEST = 10
"""Photos that neither model has seen, below which those that the old one may have seen have to do."""


@dataclass(frozen=True, slots=True)
class Photos:
    """Photos with their files; ``missing``: how many of those held out are not there any more, or were changed."""

    held_out: tuple[HeldOut, ...]
    paths: tuple[Path, ...]
    missing: int = 0

    @property
    def truth(self) -> tuple[str, ...]:
        """What each shows."""
        return tuple(one.product for one in self.held_out)

    def only(self, wanted: Sequence[bool]) -> Photos:
        """Those for which ``wanted`` says so."""
        kept = [index for index, keep in enumerate(wanted) if keep]
        return Photos(tuple(self.held_out[at] for at in kept), tuple(self.paths[at] for at in kept), self.missing)

    def sample(self, most: int) -> Photos:
        """At most ``most`` of them, evenly out of all products."""
        step = max(len(self.paths) / most, 1)
        chosen = {int(index * step) for index in range(min(most, len(self.paths)))}
        return self.only([index in chosen for index in range(len(self.paths))])


def of(run: Run, data: Path) -> Photos:
    """The held-out photos of the run's classes, as they lie in the data set's folder.

    Raises Problems: there is none.
    """
    wanted = sorted((one for one in run.split.held_out if one.product in run.classes), key=lambda one: one.product)
    there = [one for one in wanted if _is_there(data / one.path, one.sha256)]
    if not wanted:
        raise Problems.one(f"training {run.version} held no photo out", hint="train again: python -m ml.train_model")
    if not there:
        raise Problems.one(
            f"none of the {len(wanted)} held-out photos of training {run.version} is in {data} as it was",
            hint="name the data set's folder by --data, or fetch them: python -m ml.download_photos",
        )
    return Photos(tuple(there), tuple(data / one.path for one in there), len(wanted) - len(there))


def marks(run: Run, photos: Sequence[str]) -> list[str]:
    """What ``LEARNED`` holds: of the checksums ``photos`` of a data set those that were not held out."""
    held_out = {one.sha256 for one in run.split.held_out}
    return sorted(one[:MARK] for one in photos if one not in held_out)


def against(storage: FileStorage, version: str, photos: Photos, new: Answers) -> Comparison:
    """The answers of a new model compared with those of a published version, on photos that neither has seen.

    Raises Problems: that version cannot be read.
    """
    learned = _learned(storage, version)
    seen = [one.sha256[:MARK] in learned for one in photos.held_out]
    fair = len(seen) - sum(seen)
    chosen = [not one for one in seen] if fair >= min(FEWEST, len(seen)) else [True] * len(seen)
    asked = photos.only(chosen)
    old = _asked(storage, version, asked)
    part = np.asarray(chosen)
    mine = Answers(new.classes, new.probabilities[part], asked.truth)
    return compared(mine, old, [one for one, keep in zip(seen, chosen, strict=True) if keep])


def contract_of(document: Mapping[str, Any]) -> Preprocessing:
    """The contract that an exported model's document holds.  Raises Problems."""
    try:
        return msgspec.convert(document["preprocessing"], Preprocessing)
    except (KeyError, msgspec.ValidationError) as error:
        raise Problems.one(f"the exported model has no contract: {error}", hint="export it again") from None


def in_parts(paths: Sequence[Path], contract: Preprocessing, ask: Callable[[Array], Array], doing: str) -> Array:
    """What ``ask`` says of photos, a few at a time: (photos, classes).  Raises Problems."""
    told = []
    with progress(doing, len(paths)) as advance:
        for start in range(0, len(paths), 16):
            part = paths[start : start + 16]
            told.append(ask(preprocessing.read_all(part, contract).astype(np.float32)))
            for _ in part:
                advance()
    return np.concatenate(told)


def _asked(storage: FileStorage, version: str, photos: Photos) -> Answers:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        place = f"{registry.FOLDER}/{version}"
        try:
            storage.fetch(f"{place}/{registry.MODEL}", target / registry.MODEL)
            document = canonical_json.load((target / registry.MODEL).read_bytes(), dict[str, Any], f"{storage}/{place}")
            file = Path(str(document.get("weights", {}).get("file", ""))).name
            storage.fetch(f"{place}/{file}", target / file)
            model = exported_model.load(target)
        except (Problems, AttributeError) as error:
            raise Problems.one(
                f"the model in use, {version}, cannot be read: {error}".partition("\n")[0],
                hint="--no-compare does without; uploading then takes --force and a reason",
            ) from None
    contract = contract_of(model.document)
    say = in_parts(photos.paths, contract, lambda part: model.run(part)["probabilities"], f"asking {version}")
    return Answers(model.classes, say, photos.truth)


def _learned(storage: FileStorage, version: str) -> frozenset[str]:
    key = f"{registry.FOLDER}/{version}/{LEARNED}"
    try:
        return frozenset(canonical_json.load(storage.download(key), list[str], f"{storage}/{key}"))
    except MissingFileError:
        return frozenset()


def _is_there(path: Path, sums: str) -> bool:
    try:
        return sha256(path) == sums
    except OSError:
        return False
