"""The exported model, run with numpy: what a browser is compared with, and how an older model is asked again.

Reads what ``ml.export`` writes, ``model.json`` and its weights, and knows nothing of Keras.  Photos come as
(n, height, width, 3), RGB, values 0 to 255; results go as float32 by the name of the output.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.problems import Problems

FORMAT = "orchestrator-layers/1"
MODEL = "model.json"
Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Exported:
    """One exported model: its document, and all its weights in a row."""

    document: Mapping[str, Any]
    weights: Array

    @property
    def classes(self) -> tuple[str, ...]:
        """The products' names, in the order of the output."""
        return tuple(self.document["preprocessing"]["classes"])

    def run(self, photos: Array, batch: int = 8) -> dict[str, Array]:
        """Every output for every photo."""
        parts = [self._run(photos[start : start + batch]) for start in range(0, len(photos), batch)]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.document["outputs"]}

    def _run(self, photos: Array) -> dict[str, Array]:
        slots: dict[int, Array] = {}
        for op in self.document["ops"]:
            given = [slots[slot] for slot in op["in"]] or [photos.astype(np.float32)]
            made = KINDS[op["kind"]](op, given, self._numbers(op, "weights"), self._numbers(op, "bias"))
            if "most" in op:
                made = np.maximum(made, 0) if op["most"] is None else np.clip(made, 0, op["most"])
            slots[op["out"]] = np.ascontiguousarray(made, dtype=np.float32)
        places = {op["name"]: op["out"] for op in self.document["ops"]}
        return {name: slots[places[where]] for name, where in self.document["outputs"].items()}

    def _numbers(self, op: Mapping[str, Any], name: str) -> Array:
        start, shape = op.get(name, (0, (0,)))
        return self.weights[start : start + int(np.prod(shape))].reshape(shape)


def load(folder: Path) -> Exported:
    """The model in ``folder``.

    Raises Problems: not there, not whole, or of a format of another time.
    """
    try:
        document = json.loads((folder / MODEL).read_bytes())
        said = document["weights"]
        data = (folder / said["file"]).read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Problems.one(f"{folder} holds no exported model: {error}", hint="make one: python -m ml.export") from None
    if document.get("format") != FORMAT:
        raise Problems.one(f"{folder / MODEL} has format {document.get('format')!r}, not {FORMAT}")
    if hashlib.sha256(data).hexdigest() != said["sha256"]:
        raise Problems.one(f"{folder / said['file']} is not what {MODEL} says", hint="export or download it again")
    return Exported(document, np.frombuffer(data, dtype=f"<{said['type']}").astype(np.float32))


def _padded(op: Mapping[str, Any], given: Array) -> Array:
    top, bottom, left, right = op["pad"]
    return np.pad(given, ((0, 0), (top, bottom), (left, right), (0, 0)))


def _taps(op: Mapping[str, Any], given: Array) -> list[tuple[int, int, Array]]:
    """What every place of the kernel sees: row, column, (n, height, width, channels)."""
    padded = _padded(op, given)
    (rows, columns), (down, right), (height, width) = op["kernel"], op["stride"], op["shape"][:2]
    far, wide = (height - 1) * down + 1, (width - 1) * right + 1
    return [
        (row, column, padded[:, row : row + far : down, column : column + wide : right])
        for row in range(rows)
        for column in range(columns)
    ]


def _convolution(op: Mapping[str, Any], given: list[Array], weights: Array, bias: Array) -> Array:
    made = sum(seen.reshape(-1, seen.shape[-1]) @ weights[row, column] for row, column, seen in _taps(op, given[0]))
    return np.asarray(made + bias).reshape(len(given[0]), *op["shape"])


def _depthwise(op: Mapping[str, Any], given: list[Array], weights: Array, bias: Array) -> Array:
    return np.asarray(sum(seen * weights[row, column] for row, column, seen in _taps(op, given[0])) + bias)


def _softmax(op: Mapping[str, Any], given: list[Array], weights: Array, bias: Array) -> Array:
    raised = np.exp(given[0] - given[0].max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def _unit(op: Mapping[str, Any], given: list[Array], weights: Array, bias: Array) -> Array:
    squares = np.square(given[0]).sum(axis=-1, keepdims=True)
    return np.asarray(given[0] / np.sqrt(np.maximum(squares, 1e-12)))


KINDS: Mapping[str, Callable[[Mapping[str, Any], list[Array], Array, Array], Array]] = {
    "input": lambda op, given, weights, bias: given[0],
    "conv": _convolution,
    "depthwise": _depthwise,
    "dense": lambda op, given, weights, bias: given[0] @ weights + bias,
    "affine": lambda op, given, weights, bias: given[0] * weights + bias,
    "relu": lambda op, given, weights, bias: given[0],
    "pad": lambda op, given, weights, bias: _padded(op, given[0]),
    "add": lambda op, given, weights, bias: np.asarray(sum(given[1:], given[0])),
    "average": lambda op, given, weights, bias: given[0].mean(axis=(1, 2)),
    "softmax": _softmax,
    "unit": _unit,
}
