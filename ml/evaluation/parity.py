"""Check that people get the same from the Keras model, its export and a browser, and name the cause if they do not.

What people get is compared: the percentages of all products and of "none of ours".  Keras is the reference of the
export, run with numpy; the export is the reference of the browser, which has the same weights.  If the network's inputs
differ, the preprocessing is wrong: they are compared with photos that are prepared wrongly on purpose.  If only its
outputs differ, the network is wrong: they are compared with predictions on inputs that are scaled wrongly on purpose.
If only the answers differ, the prototypes or the percentages are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ml.answers import AnswerRule
from ml.data import preprocessing
from ml.export.exported_model import Array
from ml.training_run import Preprocessing

MAX_BROWSER_DIFFERENCE = 1e-2
"""Maximum difference between the export in a browser and with numpy: photos decode up to two grey levels apart."""
MAX_MEAN_INPUT_DIFFERENCE = 0.5
"""Maximum mean difference of one picture's inputs, on the scale 0 to 255, however little it changes the answer."""
MAX_EMBEDDING_DIFFERENCE = 1e-2
MAX_PROTOTYPE_DIFFERENCE = 1e-3
"""Rounding to float16, of values up to 1."""
MAX_SIMILARITY_LOSS = 0.03
"""Loss of mean similarity, of photos the model learned from, that other TensorFlow versions explain."""
MAX_INPUT_DIFFERENCE = 2.0
"""Maximum difference between two JPEG decoders, on the scale 0 to 255."""
MAX_REMAINING_SHARE = 0.25
"""A fault explains a difference if less than this share of it remains."""
Predict = Callable[[Array], Array]
"""Returns the embeddings of inputs."""


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """Inputs (n, size, size, 3), 0 to 255, embeddings, and answers (n, products + 1) of one runtime, ``source``."""

    source: str
    inputs: Array
    embeddings: Array
    answers: Array


def max_difference(first: ModelOutput, second: ModelOutput) -> float:
    """Return the largest difference between percentages, as a share of 1; 1 if the answers are not comparable."""
    if first.answers.shape != second.answers.shape:
        return 1.0
    largest = float(np.abs(first.answers - second.answers).max(initial=0))
    return largest if np.isfinite(largest) else 1.0


def have_equal_inputs(first: ModelOutput, second: ModelOutput) -> bool:
    """Return whether both prepare all pictures in the same way, up to the difference of two JPEG decoders."""
    if first.inputs.shape != second.inputs.shape:
        return False
    differences = np.abs(first.inputs - second.inputs).mean(axis=(1, 2, 3))
    return bool(differences.max(initial=0) <= MAX_MEAN_INPUT_DIFFERENCE)


def find_contract_mismatch(trained: Preprocessing, exported: Mapping[str, Any]) -> str:
    """Return the first field in which the export's preprocessing contract differs from training, or ""."""
    labels = {"scaling": "scaling", "channels": "channel order", "resize": "resize"}
    expected = asdict(trained) | {"classes": list(trained.classes)}
    for name, value in expected.items():
        if exported.get(name) != value:
            detail = "" if name == "classes" else f": the export has {exported.get(name)}, training used {value}"
            return f"{labels.get(name, name)}{detail}"
    return ""


def find_answer_mismatch(
    rule: AnswerRule, prototypes: Array, exported: Mapping[str, Any], exported_prototypes: Array
) -> str:
    """Return what of the export's answers differs from training, however little it shows in a few photos, or ""."""
    for name, value in (("scale", rule.scale), ("none", rule.none), ("owners", list(rule.owners)),
                        ("groups", [list(group) for group in rule.groups])):  # fmt: skip
        if exported.get(name) != value:
            return f"answer: the export's {name} differs from training's"
    if prototypes.shape != exported_prototypes.shape:
        return f"answer: the export has {len(exported_prototypes)} prototypes, but training has {len(prototypes)}"
    if np.abs(prototypes - exported_prototypes).max(initial=0) > MAX_PROTOTYPE_DIFFERENCE:
        return "answer: the export's prototypes differ from training's"
    return ""


def find_fault(
    reference: ModelOutput, candidate: ModelOutput, photos: Sequence[Path], contract: Preprocessing, predict: Predict
) -> str:
    """Return why ``candidate`` differs from ``reference``, as text that starts with the name of the fault."""
    if reference.inputs.shape != candidate.inputs.shape:
        return f"size: inputs have {candidate.inputs.shape[1]} pixels instead of {reference.inputs.shape[1]}"
    differences = np.abs(reference.inputs - candidate.inputs)
    if differences.max(initial=0) > MAX_INPUT_DIFFERENCE:
        return _find_preparation_fault(reference.inputs, candidate.inputs, photos, contract)
    if reference.embeddings.shape == candidate.embeddings.shape:
        deviation = float(np.abs(reference.embeddings - candidate.embeddings).max(initial=0))
        if deviation < MAX_EMBEDDING_DIFFERENCE:
            return "answer: the list of products, its percentages or 'none' differ"
    return _find_network_fault(reference, candidate, predict)


def find_training_mismatch(
    photos: Sequence[Path], contract: Preprocessing, expected: float, measure: Callable[[Array], float]
) -> str:
    """Return which change of the preprocessing restores the similarity that training measured.

    ``measure`` returns the mean similarity of inputs with their products.
    """
    inputs = preprocessing.read_all(photos, contract).astype(np.float32)
    variants = [*_prepare_wrongly(photos, contract), *((name, change(inputs)) for name, change in _WRONG_SCALINGS)]
    similarities = {name: measure(variant_inputs) for name, variant_inputs in variants}
    best = max(similarities, key=lambda variant: similarities[variant])
    if similarities[best] < expected - MAX_SIMILARITY_LOSS:
        return "preparation: photos are not prepared as in training"
    return best


def _find_preparation_fault(expected: Array, actual: Array, photos: Sequence[Path], contract: Preprocessing) -> str:
    factor, offset, correlation = _fit_line(expected, actual)
    if correlation > 0.999 and abs(factor - 1) > 0.01:
        return f"scaling: inputs are x * {factor:.4g} {'-' if offset < 0 else '+'} {abs(offset):.3g}"
    variant = _find_closest(actual, expected, _prepare_wrongly(photos, contract))
    if variant:
        return variant
    coarse_difference = np.abs(_downsample(expected) - _downsample(actual)).mean()
    if coarse_difference < np.abs(expected - actual).mean() * MAX_REMAINING_SHARE:
        return f"resize: a filter other than {contract.resize}"
    return "preparation: photos are not prepared as the contract specifies"


def _find_network_fault(reference: ModelOutput, candidate: ModelOutput, predict: Predict) -> str:
    variants = ((name, predict(change(reference.inputs))) for name, change in _WRONG_SCALINGS)
    variant = _find_closest(candidate.embeddings, reference.embeddings, variants)
    return variant or "network: weights or operations differ from the trained model"


def _find_closest(actual: Array, expected: Array, variants: Iterable[tuple[str, Array]]) -> str:
    """Return the name of the variant closest to ``actual``, if it is far closer than ``expected``; or ""."""
    differences = {
        name: float(np.abs(actual - values).mean()) for name, values in variants if values.shape == actual.shape
    }
    name = min(differences, key=lambda variant: differences[variant], default="")
    return name if name and differences[name] < MAX_REMAINING_SHARE * float(np.abs(actual - expected).mean()) else ""


def _prepare_wrongly(photos: Sequence[Path], contract: Preprocessing) -> Iterable[tuple[str, Array]]:
    order = "BGR" if contract.channels == "RGB" else "RGB"
    variants = {f"channel order: {order} instead of {contract.channels}": replace(contract, channels=order)}
    variants |= {
        f"resize: {resize_filter} instead of {contract.resize}": replace(contract, resize=resize_filter)
        for resize_filter in preprocessing.RESIZE_FILTERS
        if resize_filter != contract.resize
    }
    variants["crop: photos are stretched instead of centre-cropped"] = replace(contract, fit="stretch")
    variants["orientation: EXIF rotation is not applied"] = replace(contract, orientation="none")
    variants["transparency: the background is black instead of white"] = replace(contract, transparent="black")
    for name, variant_contract in variants.items():
        yield name, preprocessing.read_all(photos, variant_contract).astype(np.float32)


_WRONG_SCALINGS: Sequence[tuple[str, Callable[[Array], Any]]] = (
    ("scaling: the network receives x / 255 instead of x / 127.5 - 1", lambda x: (x / 255 + 1) * 127.5),
    ("scaling: the network receives unscaled values (0 to 255)", lambda x: (x + 1) * 127.5),
    ("scaling: values are scaled twice", lambda x: x / 127.5 - 1),
    ("scaling: values are divided by 255, then scaled again", lambda x: x / 255),
    ("channel order: red and blue are swapped in the network", lambda x: x[..., ::-1]),
)


def _fit_line(expected: Array, actual: Array) -> tuple[float, float, float]:
    """Fit a line from ``expected`` to ``actual``; return factor, offset and correlation."""
    x, y = expected.ravel().astype(float), actual.ravel().astype(float)
    if x.std() == 0 or y.std() == 0:
        return 1.0, 0.0, 0.0
    correlation = float(np.corrcoef(x, y)[0, 1])
    factor = correlation * y.std() / x.std()
    return float(factor), float(y.mean() - factor * x.mean()), correlation


def _downsample(pixels: Array) -> Array:
    """Return the means of 4 x 4 patches, which no resize filter changes much."""
    patch_size = pixels.shape[1] // 4
    cropped = pixels[:, : patch_size * 4, : patch_size * 4]
    return np.asarray(cropped.reshape(len(pixels), 4, patch_size, 4, patch_size, 3).mean(axis=(2, 4)))
