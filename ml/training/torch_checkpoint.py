"""Read the tensors of a PyTorch checkpoint without PyTorch, and without running code that the file names.

The layout is that of ``torch.save`` before PyTorch 1.6 (``torch/serialization.py``, ``_legacy_save``): five pickles
(magic number, protocol, system, state dict, storage keys), then the numbers of each storage behind their count.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from orchestrator.problems import Problems

Array = np.ndarray[Any, np.dtype[Any]]
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
STORAGE_TYPES: Mapping[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A view of a storage: its key and type, offset and strides in numbers, and shape."""

    storage: tuple[str, str]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def read(self, numbers: Array) -> Array:
        """Return the values.  Raises ValueError if they lie outside of the storage."""
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        if not 0 <= self.offset <= last < len(numbers):
            raise ValueError("a tensor exceeds its storage")
        steps = [step * numbers.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, steps).copy()


class _Unpickler(pickle.Unpickler):
    """Accepts what a state dict of plain tensors consists of, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in STORAGE_TYPES:
            return name
        raise pickle.UnpicklingError(f"it refers to {module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        _, storage_type, key, *_ = pid
        return str(key), str(storage_type)


def _rebuild_tensor(storage: tuple[str, str], offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def read(path: Path) -> Mapping[str, Array]:
    """Return the tensors of a checkpoint by name.  Raises Problems if it is none of this layout, or cannot be read."""
    try:
        with path.open("rb") as stream:
            return _read(io.BytesIO(stream.read()))
    except (OSError, pickle.UnpicklingError, ValueError, TypeError, KeyError, AttributeError, EOFError,
            IndexError, struct.error) as error:  # fmt: skip
        raise Problems.from_message(
            f"cannot read {path} as a PyTorch checkpoint: {error}",
            hint="pass a state dict in the format of torch.save before PyTorch 1.6 "
            "(_use_new_zipfile_serialization=False)",
        ) from None


def _read(stream: BinaryIO) -> Mapping[str, Array]:
    if _Unpickler(stream).load() != MAGIC_NUMBER:
        raise ValueError("it does not begin with the magic number")
    _, _, state, keys = (_Unpickler(stream).load() for _ in range(4))
    tensors = {name: item for name, item in state.items() if isinstance(item, _Tensor)}
    types = dict(item.storage for item in tensors.values())
    storages = {}
    for key in keys:
        (count,) = struct.unpack("<q", stream.read(8))
        dtype = STORAGE_TYPES[types[key]]
        storages[key] = np.frombuffer(stream.read(count * dtype.itemsize), dtype)
    return {name: item.read(storages[item.storage[0]]) for name, item in tensors.items()}
