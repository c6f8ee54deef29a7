"""Detect GPUs, and check that there is enough memory to train."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.tensorflow_import import import_tensorflow
from orchestrator.problems import Problems

MIN_MEMORY_MB = 1200
"""Memory that TensorFlow and MobileNetV2 need to start."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """The devices to train on; ``strategy`` is TensorFlow's distribution strategy."""

    strategy: Any
    gpu_count: int
    mixed_precision: bool

    def __str__(self) -> str:
        """Return a description for the training log."""
        if not self.gpu_count:
            return f"{os.cpu_count()} processors, no GPU"
        return (
            f"{self.gpu_count} "
            f"GPU{'s' if self.gpu_count > 1 else ''}{', mixed precision' if self.mixed_precision else ''}"
        )


def detect(device: str = "auto", mixed_precision: bool | None = None) -> Hardware:
    """Detect the hardware; ``device`` is "auto", "cpu" or "gpu", ``mixed_precision`` None enables it on GPUs.

    Raises Problems if ``device`` is "gpu" and there is none.
    """
    tf = import_tensorflow()
    gpus = [] if device == "cpu" else tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise Problems.from_message(
            "TensorFlow found no GPU", hint="install the driver and tensorflow[and-cuda], or omit --device gpu"
        )
    for gpu in gpus:
        with suppress(RuntimeError):  # already initialised, as in a notebook
            tf.config.experimental.set_memory_growth(gpu, True)
    strategy = tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()
    if device == "cpu":
        with suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")
    return Hardware(strategy, len(gpus), bool(gpus) if mixed_precision is None else mixed_precision)


def require_memory(meminfo: Path = Path("/proc/meminfo")) -> None:
    """Raises Problems if too little memory is available; passes if the system does not report it."""
    available_mb = None
    with suppress(OSError, ValueError, IndexError):
        lines = [line.split() for line in meminfo.read_text().splitlines()]
        available_mb = next((int(line[1]) // 1024 for line in lines if line[:1] == ["MemAvailable:"]), None)
    if available_mb is not None and available_mb < MIN_MEMORY_MB:
        raise Problems.from_message(
            f"not enough memory: {available_mb} MB available, training needs {MIN_MEMORY_MB} MB to start",
            hint="close other programs (browsers first), then run the command again",
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error from Python or TensorFlow means out of memory."""
    if isinstance(error, MemoryError):
        return True
    text = f"{type(error).__name__}: {error}"
    return any(word in text for word in ("ResourceExhausted", "OOM when allocating", "out of memory"))
