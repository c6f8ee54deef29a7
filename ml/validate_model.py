"""``python -m ml.validate_model RUN``: how good a trained model is, whether it says the same everywhere, and whether it
is better than the one in use.

Asks Keras, the export and a browser about photos that no training has seen, and writes what it found beside the export
(``metadata.json``), where ``ml.upload_model`` reads it.
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
from ml.atomic_files import sha256, write_whole
from ml.data import dataset, preprocessing, storage_location
from ml.evaluation import browser, holdout, metrics, parity
from ml.evaluation.holdout import LEARNED, Photos
from ml.evaluation.metrics import Answers, Comparison
from ml.evaluation.parity import Seen
from ml.export import exported_model, writer
from ml.export.exported_model import Array, Exported
from ml.training_run import Run, load
from orchestrator import canonical_json
from orchestrator.model_registry import registry
from orchestrator.model_registry.registry import CATALOGUE, METADATA, Metadata, Parity
from orchestrator.problems import Problems

SAMPLE = 8
WEAKEST = 5


@dataclass(frozen=True, slots=True)
class Validation:
    """What was found: ``known`` is what will be published; times in ms, ``load_ms`` None where no browser was asked."""

    known: Metadata
    photos: Photos
    comparison: Comparison | None
    load_ms: float | None
    folder: Path

    @property
    def is_fit(self) -> bool:
        """Whether an upload would be taken without ``--force``."""
        return self.known.parity.holds and self.known.verdict.says != "worse"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m ml.validate_model",
        description="Measure a trained model, hold its export against it, and compare it with the one in use.",
        epilog="Exits 0 when the model may be uploaded, 1 when not.",
    )
    made.add_argument("run", type=Path, help="folder of a finished training, runs/VERSION")
    made.add_argument("--data", type=Path, default=Path("data"), help="folder of the data set (default: data)")
    made.add_argument("--photos", type=int, default=SAMPLE, metavar="N", help="photos to compare everywhere with")
    made.add_argument("--no-browser", action="store_true", help="leave unchecked what a browser says")
    made.add_argument("--no-compare", action="store_true", help="do without the model in use")
    storage_location.arguments(made)
    return made


def validate(given: argparse.Namespace, web: Path = browser.WEB) -> Validation:
    """Measure the model of the run in ``given.run``, and write what was found beside its export.

    Raises Problems: the run, its photos or the model in use cannot be read.
    """
    run = load(given.run)
    _whole(run, given.run)
    photos = holdout.of(run, given.data)
    storage = None if given.no_compare else storage_location.of(given)
    keras = writer.loaded(given.run)
    folder = _exported(run, given.run, keras)
    model = exported_model.load(folder)
    answers = Answers(run.classes, _ask_all(keras, photos, run), photos.truth)
    sample = photos.sample(max(given.photos, 1))
    witnesses, latency, load_ms = _witnesses(run, model, folder, sample, None if given.no_browser else web)
    found = _parity(run, model, keras, sample, witnesses)
    measured = metrics.measured(answers, latency)
    if not found.fault and (strayed := _strayed(run, measured.top1, photos, keras)):
        found = Parity(found.tolerance, found.photos, found.exported, found.browser, strayed)
    pointer = registry.current(storage) if storage else None
    comparison = holdout.against(storage, pointer.version, photos, answers) if storage and pointer else None
    _beside(run, given.run, folder)
    known = Metadata(
        run.version, run.data_hash, asdict(run.preprocessing), run.preprocessing_hash, measured, found,
        metrics.verdict(pointer.version if pointer else "", comparison), run.config, run.tools, run.commit,
        run.trained_at, {path.name: registry.file_of(path) for path in _files(folder)},
    )  # fmt: skip
    write_whole(folder / METADATA, registry.checked(known))
    return Validation(known, photos, comparison, load_ms, folder)


def _whole(run: Run, folder: Path) -> None:
    """Raises Problems: a file of the run is not what the training wrote."""
    for name, sums in run.files.items():
        if not (folder / name).is_file() or sha256(folder / name) != sums:
            raise Problems.one(
                f"{folder / name} is not what the training wrote", hint="train again: python -m ml.train_model"
            )


def _exported(run: Run, folder: Path, keras: Any) -> Path:
    """The export of the run; made where there is none, or one of another run."""
    target = folder / writer.FOLDER
    try:
        if exported_model.load(target).document.get("version") == run.version:
            return target
    except Problems:
        pass
    writer.write(keras, run.preprocessing, target, version=run.version, near=writer.nearest(run, folder))
    return target


def _ask_all(keras: Any, photos: Photos, run: Run) -> Array:
    return holdout.in_parts(photos.paths, run.preprocessing, lambda part: _ask(keras, part), "held-out photos")


def _ask(keras: Any, photos: Array) -> Array:
    return np.asarray(keras(photos, training=False), dtype=np.float32)


def _witnesses(
    run: Run, model: Exported, folder: Path, sample: Photos, web: Path | None
) -> tuple[list[Seen], float, float | None]:
    """What the export says with numpy and in a browser; ms for one photo, and to load the model."""
    contract = holdout.contract_of(model.document)
    inputs = preprocessing.read_all(sample.paths, contract).astype(np.float32)
    began = time.perf_counter()
    seen = [Seen("exported", inputs, model.run(inputs)["probabilities"])]
    latency = (time.perf_counter() - began) * 1000 / len(inputs)
    if web is None:
        return seen, latency, None
    told = browser.ask(folder, sample.paths, web=web)
    spent = [sum(pair) for pair in zip(told.prepare_ms, told.predict_ms, strict=True)]
    return [*seen, Seen("browser", told.inputs, told.probabilities)], float(median(spent)), told.load_ms


def _parity(run: Run, model: Exported, keras: Any, sample: Photos, witnesses: Sequence[Seen]) -> Parity:
    inputs = preprocessing.read_all(sample.paths, run.preprocessing).astype(np.float32)
    reference = Seen("keras", inputs, _ask(keras, inputs))
    tolerance = parity.TOLERANCES[model.document["weights"]["type"]]
    apart = {one.who: parity.difference(reference, one) for one in witnesses}
    fault = parity.broken_contract(run.preprocessing, model.document["preprocessing"])
    for one in witnesses:
        if not fault and apart[one.who] > tolerance:
            told = parity.fault(reference, one, sample.paths, run.preprocessing, lambda changed: _ask(keras, changed))
            fault = f"{told} ({one.who})"
    return Parity(tolerance, len(sample.paths), apart.get("exported"), apart.get("browser"), fault)


def _strayed(run: Run, top1: float, photos: Photos, keras: Any) -> str:
    """What makes the trained model itself say another thing than in its training, or ""."""
    if photos.missing or abs(top1 - run.metrics.top1) <= max(0.02, 1.5 / len(photos.paths)):
        return ""
    found = parity.strayed(
        photos.paths, photos.truth, run.preprocessing, run.metrics.top1, lambda part: _ask(keras, part)
    )
    return f"{found} (training measured {run.metrics.top1:.3f} on the photos that give {top1:.3f} now)"


def _beside(run: Run, run_folder: Path, folder: Path) -> None:
    """What is published with a model: the photos it comes from."""
    data = dataset.load(run_folder)
    write_whole(folder / CATALOGUE, canonical_json.dump(data.catalogue))
    write_whole(folder / LEARNED, canonical_json.dump(holdout.marks(run, [one.sha256 for one in data.photos])))


def _files(folder: Path) -> list[Path]:
    weights = json.loads((folder / registry.MODEL).read_bytes())["weights"]["file"]
    return [folder / name for name in (registry.MODEL, weights, CATALOGUE, LEARNED)]


def report(found: Validation, again: str) -> str:
    """What was found, for people."""
    known, metrics = found.known, found.known.metrics
    count, left = len(found.photos.paths), found.photos.missing
    lines = [
        f"Model {known.version}: {len(known.classes)} products, {count} held-out photos"
        + (f" ({left} more are not there any more)." if left else "."),
        f"  top-1 {metrics.top1:.1%}, top-3 {metrics.top3:.1%}, calibration error {metrics.ece:.3f}",
    ]
    weak = sorted(metrics.per_product.items(), key=lambda item: item[1].right / item[1].photos)[:WEAKEST]
    told = [f"{name} {score.right} of {score.photos}" for name, score in weak if score.right < score.photos]
    lines += [f"  hardest products: {', '.join(told)}"] if told else []
    where = "with numpy" if found.load_ms is None else f"in a browser, loaded in {found.load_ms:.0f} ms"
    size = f"{known.size / 1e6:.1f} MB" if known.size > 1e6 else f"{known.size / 1e3:.0f} kB"
    lines.append(f"  {size} to load; {metrics.latency_ms:.0f} ms a photo {where}")
    lines += [_parity_told(known.parity), _comparison_told(known, found.comparison)]
    lines.append(f"Next: {again}" if found.is_fit else "It should not go to the shop: train again, or look at why.")
    return "\n".join(lines)


def _parity_told(seen: Parity) -> str:
    apart = [f"{name} {value:.1e}" for name, value in (("exported", seen.exported), ("browser", seen.browser))
             if value is not None]  # fmt: skip
    told = f"Parity on {seen.photos} photos: largest difference {', '.join(apart)}; {seen.tolerance:.0e} is allowed: "
    unasked = "" if seen.browser is not None else " No browser was asked."
    return told + ("it says the same everywhere." if seen.holds else f"FAILED. At fault: {seen.fault}.") + unasked


def _comparison_told(known: Metadata, seen: Comparison | None) -> str:
    if seen is None:
        return "There is no model in use to compare with."
    told = (
        f"Against {known.verdict.against}, in use now, on {seen.photos} photos: {seen.after:.1%} instead of "
        f"{seen.before:.1%}; {seen.won} recognised by the new one alone, {seen.lost} by the old one alone. "
        f"Verdict: {known.verdict.says}."
    )
    return told + (f" The old one may have learned from {seen.learned} of them." if seen.learned else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    words = list(sys.argv[1:] if arguments is None else arguments)
    given = parser().parse_args(words)
    again = shlex.join(["python", "-m", "ml.validate_model", *words])

    def work() -> int:
        found = validate(given)
        print(
            report(
                found, shlex.join(["python", "-m", "ml.upload_model", str(given.run), *storage_location.words(given)])
            )
        )
        return 0 if found.is_fit else 1

    return command_runner.ended(work, again, "Nothing was uploaded, and nothing is changed.")


if __name__ == "__main__":
    raise SystemExit(main())
