"""Run an exported model with numpy: the reference for browsers, and the way to evaluate older models.

Reads ``model.json`` and its weights as ``ml.export`` writes them; independent of Keras.  Input is a batch of photos,
(n, height, width, 3), RGB, values 0 to 255; results are float32 arrays by output name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml import answers
from orchestrator.problems import Problems

FORMAT = "orchestrator-layers/2"
CLASSIFIER_FORMAT = "orchestrator-layers/1"
"""Format of models with a softmax over classes, and prototypes for products with few photos only."""
MODEL_FILE = "model.json"
Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """An exported model: its ``model.json`` document, and all weights in one flat array."""

    document: Mapping[str, Any]
    weights: Array

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the product names in the order of the output."""
        return tuple(self.document["preprocessing"]["classes"])

    def predict(self, photos: Array, batch_size: int = 8) -> dict[str, Array]:
        """Compute every output for every photo, in batches."""
        parts = [self._predict_batch(photos[start : start + batch_size]) for start in range(0, len(photos), batch_size)]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.document["outputs"]}

    @property
    def products(self) -> tuple[str, ...]:
        """Return all products the model answers with, in the order of the answer."""
        nearest = self.document.get("nearest", {})
        few = (name for name, trained in zip(nearest.get("products", ()), nearest.get("trained", ()), strict=True)
               if not trained)  # fmt: skip
        return (*self.classes, *few)

    @property
    def prototypes(self) -> Array:
        """Return the prototypes (count, size)."""
        return self._read_tensor(self.document["answer"], "prototypes")

    def answer(self, photos: Array) -> Array:
        """Return what people get: (photos, products + 1) probabilities, "none of ours" last."""
        outputs = self.predict(photos)
        if self.document["format"] == CLASSIFIER_FORMAT:
            return self._answer_with_classes(outputs)
        rule = self.document["answer"]
        similarities = answers.product_similarities(
            outputs["embedding"], self.prototypes, rule["owners"], len(self.classes)
        )
        return answers.probabilities(similarities, rule["scale"], rule["none"])

    def _answer_with_classes(self, outputs: Mapping[str, Array]) -> Array:
        """Return the answers of a classifier: a product with few photos comes first if its prototype is near enough."""
        shown = np.zeros((len(outputs["probabilities"]), len(self.products) + 1), dtype=np.float32)
        shown[:, : len(self.classes)] = outputs["probabilities"]
        nearest = self.document.get("nearest")
        if nearest is None:
            return shown
        similarities = outputs["embedding"] @ self._read_tensor(nearest, "vectors").T
        for row, best in enumerate(similarities.argmax(axis=1).tolist()):
            similarity = float(similarities[row, best])
            if not nearest["trained"][best] and similarity >= nearest["threshold"]:
                shown[row] *= 1 - similarity
                shown[row, self.products.index(nearest["products"][best])] = similarity
        return shown

    def _predict_batch(self, photos: Array) -> dict[str, Array]:
        slots: dict[int, Array] = {}
        for op in self.document["ops"]:
            inputs = [slots[slot] for slot in op["in"]] or [photos.astype(np.float32)]
            result = KERNELS[op["kind"]](op, inputs, self._read_tensor(op, "weights"), self._read_tensor(op, "bias"))
            if "most" in op:
                result = np.maximum(result, 0) if op["most"] is None else np.clip(result, 0, op["most"])
            slots[op["out"]] = np.ascontiguousarray(result, dtype=np.float32)
        slot_by_op = {op["name"]: op["out"] for op in self.document["ops"]}
        return {name: slots[slot_by_op[op_name]] for name, op_name in self.document["outputs"].items()}

    def _read_tensor(self, op: Mapping[str, Any], name: str) -> Array:
        start, shape = op.get(name, (0, (0,)))
        return self.weights[start : start + int(np.prod(shape))].reshape(shape)


def load(folder: Path) -> ExportedModel:
    """Load the model in ``folder``.

    Raises Problems if it is missing, corrupt, or has an unsupported format.
    """
    try:
        document = json.loads((folder / MODEL_FILE).read_bytes())
        weights_info = document["weights"]
        data = (folder / weights_info["file"]).read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Problems.from_message(
            f"no exported model in {folder}: {error}", hint="export one: python -m ml.export runs/VERSION"
        ) from None
    if document.get("format") not in {FORMAT, CLASSIFIER_FORMAT}:
        raise Problems.from_message(
            f"{folder / MODEL_FILE} has the unsupported format {document.get('format')!r}; expected {FORMAT}",
            hint="export it again: python -m ml.export runs/VERSION",
        )
    if hashlib.sha256(data).hexdigest() != weights_info["sha256"]:
        raise Problems.from_message(
            f"{folder / weights_info['file']} does not match the checksum in {MODEL_FILE}",
            hint="export it again: python -m ml.export runs/VERSION",
        )
    if document["format"] == CLASSIFIER_FORMAT:
        return ExportedModel(document, np.frombuffer(data, dtype=f"<{weights_info['type']}").astype(np.float32))
    try:
        return ExportedModel(document, _decode_tensors(document, data))
    except (KeyError, ValueError, TypeError) as error:
        raise Problems.from_message(
            f"{folder / MODEL_FILE} is not an exported model: {error!r}",
            hint="export it again: python -m ml.export runs/VERSION",
        ) from None


def _decode_tensors(document: dict[str, Any], data: bytes) -> Array:
    """Return all tensors as float32 in one flat array, and let the references say where: ``[offset, shape]``."""
    parts: list[Array] = []
    offset = 0
    holders = [
        *((op, name) for op in document["ops"] for name in ("weights", "bias")),
        (document["answer"], "prototypes"),
    ]
    for holder, name in holders:
        if reference := holder[name] if name == "prototypes" else holder.get(name):
            values = _decode_tensor(reference, data)
            holder[name] = [offset, list(reference["shape"])]
            parts.append(values)
            offset += len(values)
    return np.concatenate(parts)


def _decode_tensor(reference: Mapping[str, Any], data: bytes) -> Array:
    count = int(np.prod(reference["shape"]))
    values = np.frombuffer(data, f"<{reference['type']}", count, reference["at"]).astype(np.float32)
    if reference["type"] != "i1":
        return values
    scales = np.frombuffer(data, "<f4", reference["shape"][-1], reference["scales"])
    return np.asarray((values.reshape(-1, len(scales)) * scales).ravel(), dtype=np.float32)


def _pad(op: Mapping[str, Any], values: Array) -> Array:
    top, bottom, left, right = op["pad"]
    return np.pad(values, ((0, 0), (top, bottom), (left, right), (0, 0)))


def _iter_kernel_windows(op: Mapping[str, Any], values: Array) -> list[tuple[int, int, Array]]:
    """Return the input window of each kernel position: row, column, (n, height, width, channels)."""
    padded = _pad(op, values)
    (rows, columns), (row_stride, column_stride), (height, width) = op["kernel"], op["stride"], op["shape"][:2]
    row_span, column_span = (height - 1) * row_stride + 1, (width - 1) * column_stride + 1
    return [
        (row, column, padded[:, row : row + row_span : row_stride, column : column + column_span : column_stride])
        for row in range(rows)
        for column in range(columns)
    ]


def _run_convolution(op: Mapping[str, Any], inputs: list[Array], weights: Array, bias: Array) -> Array:
    total = sum(
        window.reshape(-1, window.shape[-1]) @ weights[row, column]
        for row, column, window in _iter_kernel_windows(op, inputs[0])
    )
    return np.asarray(total + bias).reshape(len(inputs[0]), *op["shape"])


def _run_depthwise(op: Mapping[str, Any], inputs: list[Array], weights: Array, bias: Array) -> Array:
    return np.asarray(
        sum(window * weights[row, column] for row, column, window in _iter_kernel_windows(op, inputs[0])) + bias
    )


def _run_softmax(op: Mapping[str, Any], inputs: list[Array], weights: Array, bias: Array) -> Array:
    exponentials = np.exp(inputs[0] - inputs[0].max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def _run_unit_norm(op: Mapping[str, Any], inputs: list[Array], weights: Array, bias: Array) -> Array:
    squares = np.square(inputs[0]).sum(axis=-1, keepdims=True)
    return np.asarray(inputs[0] / np.sqrt(np.maximum(squares, 1e-12)))


KERNELS: Mapping[str, Callable[[Mapping[str, Any], list[Array], Array, Array], Array]] = {
    "input": lambda op, inputs, weights, bias: inputs[0],
    "conv": _run_convolution,
    "depthwise": _run_depthwise,
    "dense": lambda op, inputs, weights, bias: inputs[0] @ weights + bias,
    "affine": lambda op, inputs, weights, bias: inputs[0] * weights + bias,
    "relu": lambda op, inputs, weights, bias: inputs[0],
    "pad": lambda op, inputs, weights, bias: _pad(op, inputs[0]),
    "add": lambda op, inputs, weights, bias: np.asarray(sum(inputs[1:], inputs[0])),
    "average": lambda op, inputs, weights, bias: inputs[0].mean(axis=(1, 2)),
    "softmax": _run_softmax,
    "unit": _run_unit_norm,
}
