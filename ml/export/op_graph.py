"""A trained Keras model as a list of plain operations: batch norms folded, shapes and buffers worked out.

The list is what ``ml/web/predict.js`` and ``ml.export.exported_model`` run.  All activations are NHWC with one photo a
time; a shape is (height, width, channels), or (units,).  May know: Keras layers by their configuration.
May not: write files.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from orchestrator.problems import Problems

Array = np.ndarray[Any, np.dtype[Any]]
ONLY_TRAINING = ("Random", "Dropout", "SpatialDropout", "GaussianNoise", "GaussianDropout", "Aug")
"""Layers that do nothing when a model answers: class names begin so."""
WEIGHTED = {"conv", "depthwise", "dense"}


@dataclass(frozen=True, slots=True)
class Op:
    """One operation: what it reads (names of operations), what it makes, and its numbers.

    ``weights`` of conv: (kernel_h, kernel_w, in, out); depthwise: (kernel_h, kernel_w, channels); dense: (in, out).
    """

    kind: str
    name: str
    reads: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: Array | None = None
    bias: Array | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """Operations in an order in which they can run; ``outputs`` name those whose results are wanted."""

    ops: tuple[Op, ...]
    outputs: Mapping[str, str]


def graph_of(model: Any) -> Graph:
    """The operations of a Keras model with one input, folded.

    Raises Problems: a layer that a browser could not run.
    """
    ops: list[Op] = []
    shape = tuple(model.input_shape)
    if len(shape) != 4 or None in shape[1:]:
        raise Problems.one(
            f"the model takes {shape}, not one photo of a fixed size", hint="train it with ml.train_model"
        )
    ops.append(Op("input", "input", (), shape[1:]))
    ends = _walk(model, ["input"], "", ops)
    said = model.get_config().get("output_layers")
    names = list(said) if isinstance(said, Mapping) else ["probabilities"]
    outputs = dict(zip(names, ends, strict=True))
    return _used(Graph(tuple(_folded(ops, set(ends))), outputs))


def _walk(model: Any, inputs: Sequence[str], path: str, ops: list[Op]) -> list[str]:
    """Append the operations of a model, those of models within it too; the names of its outputs."""
    config = model.get_config()
    made: dict[str, list[str]] = {}
    if "input_layers" not in config:  # a Sequential
        ends = list(inputs)
        for layer in model.layers:
            ends = _layer(layer, ends, path, ops)
        return ends
    for index, (one, _) in enumerate(_outs(config["input_layers"])):
        made[one] = [inputs[index]]
    for entry in config["layers"]:
        name = entry["name"] if "name" in entry else entry["config"]["name"]
        if name not in made:
            made[name] = _layer(model.get_layer(name), _inbound(entry, made), path, ops)
    return [made[name][index] for name, index in _outs(config["output_layers"])]


def _outs(said: Any) -> list[tuple[str, int]]:
    """Keras writes one end flat, and several as a list."""
    if isinstance(said, Mapping):
        said = list(said.values())
    if said and isinstance(said[0], str):
        said = [said]
    return [(str(one[0]), int(one[2])) for one in said]


def _inbound(entry: Mapping[str, Any], made: Mapping[str, list[str]]) -> list[str]:
    """The operations that a layer of a functional model reads."""
    nodes = entry["inbound_nodes"]
    if len(nodes) != 1:
        raise Problems.one(f"layer {entry['config']['name']!r} is used {len(nodes)} times", hint="use a layer once")
    return [made[name][index] for name, _, index in _histories(nodes[0]["args"])]


def _histories(value: Any) -> Iterator[tuple[str, int, int]]:
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            yield tuple(value["config"]["keras_history"])
            return
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _histories(item)


def _layer(layer: Any, reads: list[str], path: str, ops: list[Op]) -> list[str]:
    """Append what one layer does; the names of its results."""
    kind, name = type(layer).__name__, f"{path}{layer.name}"
    if hasattr(layer, "layers") and hasattr(layer, "get_layer"):
        return _walk(layer, reads, f"{name}/", ops)
    if kind == "InputLayer" or kind.startswith(ONLY_TRAINING) or _is_linear(layer, kind):
        return reads
    make = MAKERS.get(kind)
    if make is None:
        known = ", ".join(sorted(MAKERS))
        raise Problems.one(
            f"a browser cannot run layer {name!r} ({kind})", hint=f"layers that can be exported: {known}"
        )
    shapes = {op.name: op.shape for op in ops}
    ops += make(layer, name, [(one, shapes[one]) for one in reads])
    return [ops[-1].name]


def _is_linear(layer: Any, kind: str) -> bool:
    return kind == "Activation" and layer.activation.__name__ == "linear"


Read = list[tuple[str, tuple[int, ...]]]


def _spread(layer: Any, shape: Sequence[int], kernel: Sequence[int]) -> tuple[list[int], list[int]]:
    """Padding (top, bottom, left, right) and size of what a convolution makes, as TensorFlow does it."""
    pads: list[int] = []
    size: list[int] = []
    for length, window, stride in zip(shape[:2], kernel, layer.strides, strict=True):
        if layer.padding == "same":
            made = math.ceil(length / stride)
            pad = max((made - 1) * stride + window - length, 0)
        else:
            made, pad = (length - window) // stride + 1, 0
        pads += [pad // 2, pad - pad // 2]
        size.append(made)
    return pads, size


def _convolution(layer: Any, name: str, reads: Read) -> Iterator[Op]:
    """Conv2D and DepthwiseConv2D with their activation."""
    ((source, shape),) = reads
    weights = [np.asarray(one, dtype=np.float64) for one in layer.get_weights()]
    deep = type(layer).__name__ == "DepthwiseConv2D"
    if (
        tuple(layer.dilation_rate) != (1, 1)
        or (not deep and layer.groups != 1)
        or (deep and layer.depth_multiplier != 1)
    ):
        raise Problems.one(f"a browser cannot run layer {name!r}: it is dilated, grouped or multiplied")
    kernel = weights[0][..., 0] if deep else weights[0]
    channels = kernel.shape[-1]
    pads, size = _spread(layer, shape, kernel.shape[:2])
    bias = weights[1] if layer.use_bias else np.zeros(channels)
    settings = {"kernel": [*kernel.shape[:2]], "stride": [*layer.strides], "pad": pads}
    yield Op("depthwise" if deep else "conv", name, (source,), (*size, channels), settings, kernel, bias)
    yield from _activated(layer.activation, name, (*size, channels))


def _dense(layer: Any, name: str, reads: Read) -> Iterator[Op]:
    ((source, _),) = reads
    weights = [np.asarray(one, dtype=np.float64) for one in layer.get_weights()]
    bias = weights[1] if layer.use_bias else np.zeros(layer.units)
    yield Op("dense", name, (source,), (layer.units,), {}, weights[0], bias)
    yield from _activated(layer.activation, name, (layer.units,))


def _activated(function: Any, name: str, shape: tuple[int, ...]) -> Iterator[Op]:
    known = {
        "linear": None,
        "relu": ("relu", {"most": None}),
        "relu6": ("relu", {"most": 6.0}),
        "softmax": ("softmax", {}),
    }
    said = getattr(function, "__name__", "linear")
    if said not in known:
        raise Problems.one(f"a browser cannot run activation {said!r} of layer {name!r}")
    if found := known[said]:
        yield Op(found[0], f"{name}:{said}", (name,), shape, found[1])


def _activation(layer: Any, name: str, reads: Read) -> Iterator[Op]:
    ((source, shape),) = reads
    for op in _activated(layer.activation, source, shape):
        yield replace(op, name=name)


def _relu(layer: Any, name: str, reads: Read) -> Iterator[Op]:
    ((source, shape),) = reads
    if layer.negative_slope or layer.threshold:
        raise Problems.one(f"a browser cannot run layer {name!r}: it is a leaky ReLU")
    yield Op("relu", name, (source,), shape, {"most": None if layer.max_value is None else float(layer.max_value)})


def _norm(layer: Any, name: str, reads: Read) -> Iterator[Op]:
    """Batch norm as a factor and a summand a channel."""
    ((source, shape),) = reads
    found = {one.path.rsplit("/", 1)[-1]: np.asarray(one, dtype=np.float64) for one in layer.weights}
    factor = found.get("gamma", 1.0) / np.sqrt(found["moving_variance"] + layer.epsilon)
    summand = found.get("beta", 0.0) - found["moving_mean"] * factor
    yield Op("affine", name, (source,), shape, {}, factor, summand)


def _rescaling(layer: Any, name: str, reads: Read) -> Iterator[Op]:
    ((source, shape),) = reads
    channels = (shape[-1],)
    factor, summand = (np.broadcast_to(np.asarray(one, np.float64), channels) for one in (layer.scale, layer.offset))
    yield Op("affine", name, (source,), shape, {}, factor, summand)


def _normalization(layer: Any, name: str, reads: Read) -> Iterator[Op]:
    ((source, shape),) = reads
    mean = np.broadcast_to(np.asarray(layer.mean, np.float64).reshape(-1), (shape[-1],))
    deviation = np.sqrt(np.broadcast_to(np.asarray(layer.variance, np.float64).reshape(-1), (shape[-1],)))
    yield Op("affine", name, (source,), shape, {}, 1 / np.maximum(deviation, 1e-7), -mean / np.maximum(deviation, 1e-7))


def _padding(layer: Any, name: str, reads: Read) -> Iterator[Op]:
    ((source, shape),) = reads
    (top, bottom), (left, right) = layer.padding
    size = (shape[0] + top + bottom, shape[1] + left + right, shape[2])
    yield Op("pad", name, (source,), size, {"pad": [top, bottom, left, right]})


def _add(layer: Any, name: str, reads: Read) -> Iterator[Op]:
    yield Op("add", name, tuple(one for one, _ in reads), reads[0][1])


def _simple(kind: str, flat: bool) -> Callable[[Any, str, Read], Iterator[Op]]:
    def make(layer: Any, name: str, reads: Read) -> Iterator[Op]:
        ((source, shape),) = reads
        yield Op(kind, name, (source,), (shape[-1],) if flat else shape)

    return make


MAKERS: dict[str, Callable[[Any, str, Read], Iterator[Op]]] = {
    "Conv2D": _convolution, "DepthwiseConv2D": _convolution, "Dense": _dense, "BatchNormalization": _norm,
    "Rescaling": _rescaling, "Normalization": _normalization, "ReLU": _relu, "Activation": _activation,
    "ZeroPadding2D": _padding, "Add": _add, "GlobalAveragePooling2D": _simple("average", flat=True),
    "Softmax": _simple("softmax", flat=False), "UnitNormalization": _simple("unit", flat=False),
}  # fmt: skip


def _folded(ops: list[Op], kept: set[str]) -> Iterator[Op]:
    """Padding into the convolution after it, batch norm and ReLU into what comes before them.

    What is an output or read twice stays whole.  The result has the name of the last.
    """
    readers = Counter(source for op in ops for source in op.reads)
    done: dict[str, Op] = {}
    for op in ops:
        before = done.get(op.reads[0]) if op.reads else None
        alone = before is not None and readers[op.reads[0]] <= 1 and op.reads[0] not in kept
        merged = _merged(before, op) if before is not None and alone else None
        if before is not None and merged is not None:
            del done[before.name]
        done[op.name] = merged or op
    yield from done.values()


def _merged(before: Op, op: Op) -> Op | None:
    """One operation that does what ``before`` and then ``op`` do, or None."""
    if before.kind == "pad" and op.kind in {"conv", "depthwise"}:
        pads = [a + b for a, b in zip(before.settings["pad"], op.settings["pad"], strict=True)]
        return replace(op, reads=before.reads, settings={**op.settings, "pad": pads})
    if "most" in before.settings or op.kind not in {"affine", "relu"}:
        return None
    if op.kind == "relu" and before.kind in WEIGHTED | {"add"}:
        return replace(before, name=op.name, settings={**before.settings, "most": op.settings["most"]})
    if op.kind == "affine" and before.kind in WEIGHTED and before.weights is not None and before.bias is not None:
        assert op.weights is not None
        weights, bias = before.weights * op.weights, before.bias * op.weights + op.bias
        return replace(before, name=op.name, weights=weights, bias=bias)
    return None


def _used(graph: Graph) -> Graph:
    """Without operations that lead to no output."""
    wanted = set(graph.outputs.values())
    kept: list[Op] = []
    for op in reversed(graph.ops):
        if op.name in wanted:
            kept.append(op)
            wanted |= set(op.reads)
    return Graph(tuple(reversed(kept)), graph.outputs)
