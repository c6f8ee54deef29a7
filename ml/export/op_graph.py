"""Convert a trained Keras model to a graph of plain operations, with batch norms and activations folded.

``ml/web/predict.js`` and ``ml.export.exported_model`` run the graph.  All activations are NHWC without the batch
dimension; a shape is (height, width, channels) or (units,).  Reads Keras layers by their configuration; does no I/O.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from orchestrator.problems import Problems
from orchestrator.quantities import format_count

Array = np.ndarray[Any, np.dtype[Any]]
TRAINING_ONLY_PREFIXES = ("Random", "Dropout", "SpatialDropout", "GaussianNoise", "GaussianDropout", "Aug")
"""Class-name prefixes of layers that do nothing at inference time."""
WEIGHTED_KINDS = {"conv", "depthwise", "dense"}


@dataclass(frozen=True, slots=True)
class Op:
    """One operation: its inputs (names of operations), output shape, attributes and weights.

    ``weights`` of conv: (kernel_h, kernel_w, in, out); depthwise: (kernel_h, kernel_w, channels); dense: (in, out).
    """

    kind: str
    name: str
    inputs: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    weights: Array | None = None
    bias: Array | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """Operations in topological order; ``outputs`` maps output names to operations."""

    ops: tuple[Op, ...]
    outputs: Mapping[str, str]


def build_graph(model: Any) -> Graph:
    """Build the folded graph of a Keras model with one input.

    Raises Problems if the model has a layer that the browser runtime does not support.
    """
    ops: list[Op] = []
    shape = tuple(model.input_shape)
    if len(shape) != 4 or None in shape[1:]:
        raise Problems.from_message(
            f"unsupported model input shape {shape}: expected one photo of a fixed size",
            hint="train it with: python -m ml.train_model",
        )
    ops.append(Op("input", "input", (), shape[1:]))
    output_ops = _append_model_ops(model, ["input"], "", ops)
    output_layers = model.get_config().get("output_layers")
    output_names = list(output_layers) if isinstance(output_layers, Mapping) else ["embedding"]
    outputs = dict(zip(output_names, output_ops, strict=True))
    return _drop_unused(Graph(tuple(_fold(ops, set(output_ops))), outputs))


def _append_model_ops(model: Any, inputs: Sequence[str], path: str, ops: list[Op]) -> list[str]:
    """Append the operations of a model, nested models included; return the names of its outputs."""
    config = model.get_config()
    layer_outputs: dict[str, list[str]] = {}
    if "input_layers" not in config:  # a Sequential
        outputs = list(inputs)
        for layer in model.layers:
            outputs = _append_layer_ops(layer, outputs, path, ops)
        return outputs
    for index, (layer_name, _) in enumerate(_parse_layer_refs(config["input_layers"])):
        layer_outputs[layer_name] = [inputs[index]]
    for entry in config["layers"]:
        name = entry["name"] if "name" in entry else entry["config"]["name"]
        if name not in layer_outputs:
            layer_outputs[name] = _append_layer_ops(
                model.get_layer(name), _resolve_inbound_ops(entry, layer_outputs), path, ops
            )
    return [layer_outputs[name][index] for name, index in _parse_layer_refs(config["output_layers"])]


def _parse_layer_refs(layer_refs: Any) -> list[tuple[str, int]]:
    """Return (name, tensor index) pairs; Keras writes a single reference flat, several as a list."""
    if isinstance(layer_refs, Mapping):
        layer_refs = list(layer_refs.values())
    if layer_refs and isinstance(layer_refs[0], str):
        layer_refs = [layer_refs]
    return [(str(layer_ref[0]), int(layer_ref[2])) for layer_ref in layer_refs]


def _resolve_inbound_ops(entry: Mapping[str, Any], layer_outputs: Mapping[str, list[str]]) -> list[str]:
    """Return the operations that a layer of a functional model reads."""
    nodes = entry["inbound_nodes"]
    if len(nodes) != 1:
        raise Problems.from_message(
            f"layer {entry['config']['name']!r} is used {format_count(len(nodes), 'time')}", hint="use each layer once"
        )
    return [layer_outputs[name][index] for name, _, index in _iter_keras_histories(nodes[0]["args"])]


def _iter_keras_histories(value: Any) -> Iterator[tuple[str, int, int]]:
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            yield tuple(value["config"]["keras_history"])
            return
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _iter_keras_histories(item)


def _append_layer_ops(layer: Any, inputs: list[str], path: str, ops: list[Op]) -> list[str]:
    """Append the operations of one layer; return the names of its outputs."""
    kind, name = type(layer).__name__, f"{path}{layer.name}"
    if hasattr(layer, "layers") and hasattr(layer, "get_layer"):
        return _append_model_ops(layer, inputs, f"{name}/", ops)
    if kind == "InputLayer" or kind.startswith(TRAINING_ONLY_PREFIXES) or _is_linear(layer, kind):
        return inputs
    convert = CONVERTERS.get(kind)
    if convert is None:
        supported = ", ".join(sorted(CONVERTERS))
        raise Problems.from_message(
            f"the browser runtime does not support layer {name!r} ({kind})", hint=f"use only these layers: {supported}"
        )
    shapes = {op.name: op.shape for op in ops}
    ops += convert(layer, name, [(source, shapes[source]) for source in inputs])
    return [ops[-1].name]


def _is_linear(layer: Any, kind: str) -> bool:
    return kind == "Activation" and layer.activation.__name__ == "linear"


OpInputs = list[tuple[str, tuple[int, ...]]]


def _compute_padding(layer: Any, shape: Sequence[int], kernel: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return a convolution's padding (top, bottom, left, right) and output size, by TensorFlow's rules."""
    padding: list[int] = []
    size: list[int] = []
    for length, window, stride in zip(shape[:2], kernel, layer.strides, strict=True):
        if layer.padding == "same":
            output_length = math.ceil(length / stride)
            total_padding = max((output_length - 1) * stride + window - length, 0)
        else:
            output_length, total_padding = (length - window) // stride + 1, 0
        padding += [total_padding // 2, total_padding - total_padding // 2]
        size.append(output_length)
    return padding, size


def _convert_convolution(layer: Any, name: str, inputs: OpInputs) -> Iterator[Op]:
    """Convert Conv2D or DepthwiseConv2D with its activation."""
    ((source, shape),) = inputs
    weights = [np.asarray(value, dtype=np.float64) for value in layer.get_weights()]
    is_depthwise = type(layer).__name__ == "DepthwiseConv2D"
    if (
        tuple(layer.dilation_rate) != (1, 1)
        or (not is_depthwise and layer.groups != 1)
        or (is_depthwise and layer.depth_multiplier != 1)
    ):
        raise Problems.from_message(
            f"the browser runtime does not support layer {name!r}: dilation, groups or a depth multiplier"
        )
    kernel = weights[0][..., 0] if is_depthwise else weights[0]
    channels = kernel.shape[-1]
    padding, size = _compute_padding(layer, shape, kernel.shape[:2])
    bias = weights[1] if layer.use_bias else np.zeros(channels)
    attributes = {"kernel": [*kernel.shape[:2]], "stride": [*layer.strides], "pad": padding}
    yield Op("depthwise" if is_depthwise else "conv", name, (source,), (*size, channels), attributes, kernel, bias)
    yield from _convert_activation_function(layer.activation, name, (*size, channels))


def _convert_dense(layer: Any, name: str, inputs: OpInputs) -> Iterator[Op]:
    ((source, _),) = inputs
    weights = [np.asarray(value, dtype=np.float64) for value in layer.get_weights()]
    bias = weights[1] if layer.use_bias else np.zeros(layer.units)
    yield Op("dense", name, (source,), (layer.units,), {}, weights[0], bias)
    yield from _convert_activation_function(layer.activation, name, (layer.units,))


def _convert_activation_function(function: Any, name: str, shape: tuple[int, ...]) -> Iterator[Op]:
    supported = {
        "linear": None,
        "relu": ("relu", {"most": None}),
        "relu6": ("relu", {"most": 6.0}),
        "softmax": ("softmax", {}),
    }
    function_name = getattr(function, "__name__", "linear")
    if function_name not in supported:
        raise Problems.from_message(
            f"the browser runtime does not support activation {function_name!r} of layer {name!r}"
        )
    if activation := supported[function_name]:
        yield Op(activation[0], f"{name}:{function_name}", (name,), shape, activation[1])


def _convert_activation(layer: Any, name: str, inputs: OpInputs) -> Iterator[Op]:
    ((source, shape),) = inputs
    for op in _convert_activation_function(layer.activation, source, shape):
        yield replace(op, name=name)


def _convert_relu(layer: Any, name: str, inputs: OpInputs) -> Iterator[Op]:
    ((source, shape),) = inputs
    if layer.negative_slope or layer.threshold:
        raise Problems.from_message(f"the browser runtime does not support layer {name!r}: a leaky ReLU")
    yield Op("relu", name, (source,), shape, {"most": None if layer.max_value is None else float(layer.max_value)})


def _convert_batch_norm(layer: Any, name: str, inputs: OpInputs) -> Iterator[Op]:
    """Convert batch norm to a scale and an offset per channel."""
    ((source, shape),) = inputs
    variables = {variable.path.rsplit("/", 1)[-1]: np.asarray(variable, dtype=np.float64) for variable in layer.weights}
    scale = variables.get("gamma", 1.0) / np.sqrt(variables["moving_variance"] + layer.epsilon)
    offset = variables.get("beta", 0.0) - variables["moving_mean"] * scale
    yield Op("affine", name, (source,), shape, {}, scale, offset)


def _convert_rescaling(layer: Any, name: str, inputs: OpInputs) -> Iterator[Op]:
    ((source, shape),) = inputs
    channels = (shape[-1],)
    scale, offset = (np.broadcast_to(np.asarray(value, np.float64), channels) for value in (layer.scale, layer.offset))
    yield Op("affine", name, (source,), shape, {}, scale, offset)


def _convert_normalization(layer: Any, name: str, inputs: OpInputs) -> Iterator[Op]:
    ((source, shape),) = inputs
    mean = np.broadcast_to(np.asarray(layer.mean, np.float64).reshape(-1), (shape[-1],))
    deviation = np.sqrt(np.broadcast_to(np.asarray(layer.variance, np.float64).reshape(-1), (shape[-1],)))
    yield Op("affine", name, (source,), shape, {}, 1 / np.maximum(deviation, 1e-7), -mean / np.maximum(deviation, 1e-7))


def _convert_padding(layer: Any, name: str, inputs: OpInputs) -> Iterator[Op]:
    ((source, shape),) = inputs
    (top, bottom), (left, right) = layer.padding
    size = (shape[0] + top + bottom, shape[1] + left + right, shape[2])
    yield Op("pad", name, (source,), size, {"pad": [top, bottom, left, right]})


def _convert_add(layer: Any, name: str, inputs: OpInputs) -> Iterator[Op]:
    yield Op("add", name, tuple(source for source, _ in inputs), inputs[0][1])


def _make_converter(kind: str, is_flat: bool) -> Callable[[Any, str, OpInputs], Iterator[Op]]:
    def convert(layer: Any, name: str, inputs: OpInputs) -> Iterator[Op]:
        ((source, shape),) = inputs
        yield Op(kind, name, (source,), (shape[-1],) if is_flat else shape)

    return convert


CONVERTERS: dict[str, Callable[[Any, str, OpInputs], Iterator[Op]]] = {
    "Conv2D": _convert_convolution,
    "DepthwiseConv2D": _convert_convolution,
    "Dense": _convert_dense,
    "BatchNormalization": _convert_batch_norm,
    "Rescaling": _convert_rescaling,
    "Normalization": _convert_normalization,
    "ReLU": _convert_relu,
    "Activation": _convert_activation,
    "ZeroPadding2D": _convert_padding,
    "Add": _convert_add,
    "GlobalAveragePooling2D": _make_converter("average", is_flat=True),
    "Softmax": _make_converter("softmax", is_flat=False),
    "UnitNormalization": _make_converter("unit", is_flat=False),
}


def _fold(ops: list[Op], output_names: set[str]) -> Iterator[Op]:
    """Fold padding into the next convolution, and batch norm and ReLU into the previous operation.

    An operation that is an output or read twice is not folded.  The merged operation gets the name of the last one.
    """
    readers = Counter(source for op in ops for source in op.inputs)
    folded: dict[str, Op] = {}
    for op in ops:
        previous = folded.get(op.inputs[0]) if op.inputs else None
        can_merge = previous is not None and readers[op.inputs[0]] <= 1 and op.inputs[0] not in output_names
        merged = _merge(previous, op) if previous is not None and can_merge else None
        if previous is not None and merged is not None:
            del folded[previous.name]
        folded[op.name] = merged or op
    yield from folded.values()


def _merge(previous: Op, op: Op) -> Op | None:
    """Return one operation equivalent to ``previous`` followed by ``op``, or None."""
    if previous.kind == "pad" and op.kind in {"conv", "depthwise"}:
        padding = [a + b for a, b in zip(previous.attributes["pad"], op.attributes["pad"], strict=True)]
        return replace(op, inputs=previous.inputs, attributes={**op.attributes, "pad": padding})
    if "most" in previous.attributes or op.kind not in {"affine", "relu"}:
        return None
    if op.kind == "relu" and previous.kind in WEIGHTED_KINDS | {"add"}:
        return replace(previous, name=op.name, attributes={**previous.attributes, "most": op.attributes["most"]})
    if (
        op.kind == "affine"
        and previous.kind in WEIGHTED_KINDS
        and previous.weights is not None
        and previous.bias is not None
    ):
        assert op.weights is not None
        weights, bias = previous.weights * op.weights, previous.bias * op.weights + op.bias
        return replace(previous, name=op.name, weights=weights, bias=bias)
    return None


def _drop_unused(graph: Graph) -> Graph:
    """Return the graph without operations that no output depends on."""
    needed = set(graph.outputs.values())
    used_ops: list[Op] = []
    for op in reversed(graph.ops):
        if op.name in needed:
            used_ops.append(op)
            needed |= set(op.inputs)
    return Graph(tuple(reversed(used_ops)), graph.outputs)
