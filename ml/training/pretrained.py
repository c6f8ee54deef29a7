"""Load the initial weights of the network: ImageNet, a file, or random.

A file is a Keras file (``.weights.h5``, ``.keras``, ``.h5``) of a MobileNetV2, with or without a head: layers are
matched by name.  Pickles are not supported.
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
    """Return "imagenet", "none" or the file's checksum, for the fingerprint of a training.

    Raises Problems if the file cannot be read.
    """
    if source in {IMAGENET, NONE}:
        return source
    try:
        return sha256(Path(source))
    except OSError as error:
        raise Problems.from_message(
            f"cannot read the weights {source}: {error.strerror}",
            hint="pass --weights imagenet, a Keras file, or none",
        ) from None


def build_base(source: str, size: int) -> Any:
    """Build a MobileNetV2 without its top, for images of ``size`` pixels, with the weights of ``source``.

    Raises Problems if the weights cannot be loaded.
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
    except Exception as error:  # noqa: BLE001 - a download can fail in any way
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise Problems.from_message(
            f"cannot download the ImageNet weights: {reason}",
            hint="check the network connection, or use a local file: --weights PATH",
        ) from None


def _load_weights(model: Any, path: Path) -> None:
    """Load a file's weights into a model, matching layers by name.  Raises Problems if they do not fit."""
    try:
        if path.name.endswith(".weights.h5"):
            model.load_weights(path)
            return
        layer_weights = dict(_read_keras(path) if path.suffix == ".keras" else _read_h5(path))
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise Problems.from_message(
            f"cannot read {path} as MobileNetV2 weights: {reason}",
            hint="pass an .h5, .weights.h5 or .keras file written by Keras",
        ) from None
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(_check_shapes(layer, layer_weights.get(layer.name, []), path))


def _check_shapes(layer: Any, file_arrays: list[Any], path: Path) -> list[Any]:
    """Return the file's arrays for a layer.  Raises Problems if their shapes do not match."""
    expected_shapes, file_shapes = (
        [tuple(tensor.shape) for tensor in tensors] for tensors in (layer.weights, file_arrays)
    )
    if expected_shapes == file_shapes:
        return file_arrays
    raise Problems.from_message(
        (
            f"{path} does not contain MobileNetV2 weights of width 1.0: layer {layer.name!r} "
            f"needs {expected_shapes}, the file has {file_shapes}"
        ),
        hint="pass weights of keras.applications.MobileNetV2 with alpha=1.0",
    )


def _read_keras(path: Path) -> Iterator[tuple[str, list[Any]]]:
    """Yield the layers of a saved model, nested models included."""
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
    """Yield the arrays of each layer in an HDF5 file of a complete model."""
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
