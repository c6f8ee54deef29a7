"""Choose the encoder that a training starts from: MobileNetV2, EfficientNet-Lite0, or a model in a Keras file.

All encoders keep one contract: the input is (size, size, 3) photos scaled to -1 to 1, the output a feature map of
operations that browsers run.  Layers up to the cut stay as they are, those above it are fine-tuned.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml.atomic_files import sha256
from ml.export import op_graph
from ml.training import efficientnet_lite, pretrained
from orchestrator.problems import Problems

MOBILENET_V2, EFFICIENTNET_LITE0 = "mobilenet_v2", "efficientnet_lite0"
NAMES = (MOBILENET_V2, EFFICIENTNET_LITE0)


def build(encoder: str, weights: str, size: int) -> Any:
    """Build an encoder with the weights of ``weights``: "imagenet", "none" or a file; a Keras file has its own.

    Raises Problems if the encoder or its weights cannot be loaded, or browsers could not run it.
    """
    if encoder == MOBILENET_V2:
        return pretrained.build_base(weights, size)
    if encoder == EFFICIENTNET_LITE0:
        return efficientnet_lite.build_base(_find_weights(weights), size)
    return _load(Path(encoder), size)


def _find_weights(weights: str) -> Path | None:
    if weights == pretrained.NONE:
        return None
    return efficientnet_lite.find_weights() if weights == pretrained.IMAGENET else Path(weights)


def fingerprint(encoder: str, weights: str) -> str:
    """Return what a training depends on of its encoder: the name or the file's checksum, and the weights'.

    Raises Problems if a file cannot be read.
    """
    if encoder in NAMES:
        return f"{encoder}:{pretrained.fingerprint(weights)}"
    if weights != pretrained.IMAGENET:
        raise Problems.from_message(
            "--weights cannot be used with an encoder file, which contains its weights", hint="omit --weights"
        )
    try:
        return sha256(Path(encoder))
    except OSError as error:
        raise Problems.from_message(
            f"cannot read the encoder {encoder}: {error.strerror}",
            hint=f"pass --encoder {', '.join(NAMES)}, or a Keras file",
        ) from None


def _load(path: Path, size: int) -> Any:
    """Load a Keras file.  Raises Problems if it is no encoder for photos of ``size`` pixels."""
    import keras

    try:
        model = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise Problems.from_message(
            f"cannot read the encoder {path}: {reason}", hint="pass a .keras file that Keras saved"
        ) from None
    if tuple(model.input_shape[1:]) != (size, size, 3) or len(model.output_shape) != 4:
        raise Problems.from_message(
            f"the encoder {path} has input {tuple(model.input_shape[1:])} and output {tuple(model.output_shape[1:])}, "
            f"but photos are ({size}, {size}, 3) and the output must be a feature map (height, width, channels)",
            hint="save the model without its pooling and its head, or pass its input size: --size PIXELS",
        )
    op_graph.build_graph(model)
    return model


def find_cut_layer(base: Any) -> str:
    """Return the layer to train above: the first of the narrowest at the final resolution that all values pass.

    Fewer numbers to cache for each photo, and a few blocks to fine-tune: block 13 of 16 in MobileNetV2.
    """
    ops = op_graph.build_graph(base).ops
    last_use = {source: index for index, op in enumerate(ops) for source in op.inputs}
    candidates = []
    for index, op in enumerate(ops):
        is_passed = all(last_use[earlier.name] <= index for earlier in ops[:index])
        if is_passed and op.shape[:2] == ops[-1].shape[:2]:
            candidates.append(op)
    return min(candidates, key=lambda op: op.shape[-1]).name
