"""The numbers that a network begins with: ImageNet's, those of a file, or none.

A file may be what Keras writes (``.weights.h5``, ``.keras``, ``.h5``), of a MobileNetV2 with or without something on
top: layers are found by their names.  Pickles are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ml.atomic_files import sha256
from orchestrator.problems import Problems

IMAGENET = "imagenet"
NONE = "none"


def fingerprint(source: str) -> str:
    """What the weights are, for the fingerprint of a training: a word, or the file's checksum.

    Raises Problems: there is no such file.
    """
    if source in {IMAGENET, NONE}:
        return source
    try:
        return sha256(Path(source))
    except OSError as error:
        raise Problems.from_message(
            f"the weights {source} cannot be read: {error.strerror}",
            hint="--weights imagenet, a file of Keras, or none",
        ) from None


def build_base(source: str, size: int) -> Any:
    """A MobileNetV2 without its top, for pictures of ``size`` pixels, with these weights.

    Raises Problems.
    """
    import keras

    build = keras.applications.MobileNetV2
    shape = (size, size, 3)
    if source == IMAGENET:
        return _download(lambda: build(weights=IMAGENET, include_top=False, input_shape=shape))
    model = build(weights=None, include_top=False, input_shape=shape)
    if source != NONE:
        _load_weights(model, Path(source))
    return model


def _download(build: Any) -> Any:
    try:
        return build()
    except Exception as error:  # noqa: BLE001 - whatever a download ends with
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise Problems.from_message(
            f"the ImageNet weights could not be fetched: {reason}",
            hint="try again on a network, or give a file that you have: --weights PATH",
        ) from None


def _load_weights(model: Any, path: Path) -> None:
    """Give a model the weights of a file, by the names of layers.  Raises Problems."""
    try:
        if path.name.endswith(".weights.h5"):
            model.load_weights(path)
            return
        layer_weights = dict(_read_keras(path) if path.suffix == ".keras" else _read_h5(path))
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise Problems.from_message(
            f"{path} cannot be read as weights of a MobileNetV2: {reason}",
            hint="give .h5, .weights.h5 or .keras, as Keras writes them",
        ) from None
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(_check_shapes(layer, layer_weights.get(layer.name, []), path))


def _check_shapes(layer: Any, file_arrays: list[Any], path: Path) -> list[Any]:
    """The arrays of the file for a layer.  Raises Problems: they are another network's."""
    expected_shapes, file_shapes = (
        [tuple(tensor.shape) for tensor in tensors] for tensors in (layer.weights, file_arrays)
    )
    if expected_shapes == file_shapes:
        return file_arrays
    raise Problems.from_message(
        (
            f"{path} is not of a MobileNetV2 of width 1.0: layer {layer.name!r} "
            f"needs {expected_shapes}, the file has {file_shapes}"
        ),
        hint="give weights of keras.applications.MobileNetV2, alpha=1.0",
    )


def _read_keras(path: Path) -> Iterator[tuple[str, list[Any]]]:
    """Every layer of a saved model, those of models within it too."""
    import keras

    yield from _iter_layers(keras.models.load_model(path, compile=False))


def _iter_layers(model: Any) -> Iterator[tuple[str, list[Any]]]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _iter_layers(layer)
        elif layer.weights:
            yield layer.name, layer.get_weights()


VARIABLE_ORDER = ("kernel", "depthwise_kernel", "gamma", "beta", "bias", "moving_mean", "moving_variance")


def _read_h5(path: Path) -> Iterator[tuple[str, list[Any]]]:
    """Every group of a whole model's file that holds arrays, by the layer's name."""
    import h5py

    groups: dict[str, dict[str, Any]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and "optimizer" not in name:
            group_path, _, variable = name.rpartition("/")
            groups.setdefault(group_path.rpartition("/")[2], {})[variable.removesuffix(":0")] = np.asarray(item)

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    for layer, arrays in groups.items():
        yield layer, [arrays[key] for key in VARIABLE_ORDER if key in arrays]
