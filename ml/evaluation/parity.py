"""Whether a model says the same everywhere, and when it does not, what is at fault, by name.

Keras is the reference.  A witness (the export run with numpy, or a browser) tells what it gave the network for each
photo, and what the network said.  Where the first differs, the preparation is at fault: it is held against photos that
were prepared wrongly on purpose.  Where only the second does, it is the network: Keras is asked about photos that were
scaled wrongly on purpose, until it errs in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ml.data import preprocessing
from ml.export.exported_model import Array
from ml.training_run import Preprocessing

TOLERANCES: Mapping[str, float] = {"f4": 1e-4, "f2": 2e-2}
"""How far probabilities may lie apart, by the type of the exported weights."""
LEVELS = 2.0
"""Of 255: how far two decoders of the same JPEG may lie apart."""
CLOSE = 0.25
"""A fault explains a difference when it leaves less than this share of it."""
Ask = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Seen:
    """What somebody made of some photos: the network's inputs (n, size, size, 3), 0 to 255, and (n, classes)."""

    who: str
    inputs: Array
    probabilities: Array


def difference(one: Seen, other: Seen) -> float:
    """The largest difference of a probability; 1 where they cannot be compared."""
    if one.probabilities.shape != other.probabilities.shape:
        return 1.0
    worst = float(np.abs(one.probabilities - other.probabilities).max(initial=0))
    return worst if np.isfinite(worst) else 1.0


def broken_contract(trained: Preprocessing, exported: Mapping[str, Any]) -> str:
    """What the export says of the preparation of photos otherwise than the training did, or ""."""
    said = {"scaling": "scaling", "channels": "channel order", "resize": "resize"}
    wanted = asdict(trained) | {"classes": list(trained.classes)}
    for name, value in wanted.items():
        if exported.get(name) != value:
            shown = "" if name == "classes" else f": the export says {exported.get(name)}, the training {value}"
            return f"{said.get(name, name)}{shown}"
    return ""


def fault(reference: Seen, witness: Seen, photos: Sequence[Path], contract: Preprocessing, ask: Ask) -> str:
    """What makes ``witness`` differ from ``reference``, for people; it begins with the fault's name."""
    if reference.inputs.shape != witness.inputs.shape:
        return f"size: photos of {witness.inputs.shape[1]} pixels, not {reference.inputs.shape[1]}"
    apart = np.abs(reference.inputs - witness.inputs)
    if apart.max(initial=0) > LEVELS:
        return _of_preparation(reference.inputs, witness.inputs, photos, contract)
    return _of_network(reference, witness, ask)


def strayed(photos: Sequence[Path], truth: Sequence[str], contract: Preprocessing, claimed: float, ask: Ask) -> str:
    """Which wrong preparation makes the model as good as its training says it was; for people."""
    right = np.asarray([contract.classes.index(name) for name in truth])
    inputs = preprocessing.read_all(photos, contract).astype(np.float32)
    wrong = [*_prepared_wrongly(photos, contract), *((name, change(inputs)) for name, change in _SCALED_WRONGLY)]
    shares = {name: float((_in_parts(made, ask).argmax(axis=1) == right).mean()) for name, made in wrong}
    best = max(shares, key=lambda one: shares[one])
    if shares[best] < claimed - max(0.02, 1.5 / len(photos)):
        return "photos reach the model otherwise than in its training"
    return best


def _in_parts(inputs: Array, ask: Ask) -> Array:
    return np.concatenate([ask(inputs[start : start + 16]) for start in range(0, len(inputs), 16)])


def _of_preparation(wanted: Array, got: Array, photos: Sequence[Path], contract: Preprocessing) -> str:
    factor, rest, fit = _line(wanted, got)
    if fit > 0.999 and abs(factor - 1) > 0.01:
        return f"scaling: values arrive as x * {factor:.4g} {'-' if rest < 0 else '+'} {abs(rest):.3g}"
    found = _closest(got, wanted, _prepared_wrongly(photos, contract))
    if found:
        return found
    coarse = np.abs(_coarse(wanted) - _coarse(got)).mean()
    if coarse < np.abs(wanted - got).mean() * CLOSE:
        return f"resize: another filter than {contract.resize}"
    return "preparation: photos arrive otherwise than the contract says"


def _of_network(reference: Seen, witness: Seen, ask: Ask) -> str:
    tried = ((name, ask(change(reference.inputs))) for name, change in _SCALED_WRONGLY)
    found = _closest(witness.probabilities, reference.probabilities, tried)
    return found or "network: its weights or operations are not those that were trained"


def _closest(got: Array, wanted: Array, tried: Iterable[tuple[str, Array]]) -> str:
    """The name of what comes closest to ``got``, where it is far closer than what was wanted; or ""."""
    apart = {name: float(np.abs(got - made).mean()) for name, made in tried if made.shape == got.shape}
    name = min(apart, key=lambda one: apart[one], default="")
    return name if name and apart[name] < CLOSE * float(np.abs(got - wanted).mean()) else ""


def _prepared_wrongly(photos: Sequence[Path], contract: Preprocessing) -> Iterable[tuple[str, Array]]:
    order = "BGR" if contract.channels == "RGB" else "RGB"
    wrong = {f"channel order: {order} instead of {contract.channels}": replace(contract, channels=order)}
    wrong |= {
        f"resize: {filter_} instead of {contract.resize}": replace(contract, resize=filter_)
        for filter_ in preprocessing.FILTERS
        if filter_ != contract.resize
    }
    wrong["crop: the whole photo is squeezed instead of its centre cut out"] = replace(contract, fit="stretch")
    wrong["orientation: photos are not turned as their EXIF says"] = replace(contract, orientation="none")
    wrong["transparency: black shows through instead of white"] = replace(contract, transparent="black")
    for name, other in wrong.items():
        yield name, preprocessing.read_all(photos, other).astype(np.float32)


_SCALED_WRONGLY: Sequence[tuple[str, Callable[[Array], Any]]] = (
    ("scaling: the network gets x / 255, not x / 127.5 - 1", lambda x: (x / 255 + 1) * 127.5),
    ("scaling: the network gets values from 0 to 255 as they are", lambda x: (x + 1) * 127.5),
    ("scaling: values are scaled twice", lambda x: x / 127.5 - 1),
    ("scaling: values come as x / 255 and are scaled again", lambda x: x / 255),
    ("channel order: the network gets red and blue in each other's place", lambda x: x[..., ::-1]),
)


def _line(wanted: Array, got: Array) -> tuple[float, float, float]:
    """The straight line that leads from one to the other, and how well it fits: factor, constant, correlation."""
    x, y = wanted.ravel().astype(float), got.ravel().astype(float)
    if x.std() == 0 or y.std() == 0:
        return 1.0, 0.0, 0.0
    fit = float(np.corrcoef(x, y)[0, 1])
    factor = fit * y.std() / x.std()
    return float(factor), float(y.mean() - factor * x.mean()), fit


def _coarse(pixels: Array) -> Array:
    """The means of patches: what all filters leave alike."""
    side = pixels.shape[1] // 4
    cut = pixels[:, : side * 4, : side * 4]
    return np.asarray(cut.reshape(len(pixels), 4, side, 4, side, 3).mean(axis=(2, 4)))
