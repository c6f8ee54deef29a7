"""Reads botocore's service models quickly: half of what a new client costs is finding and parsing them.

Gives botocore the same content as its own loader does, in plain dicts, which keep order as well.
"""

from __future__ import annotations

import os
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from botocore.loaders import Loader

GZIP = zlib.MAX_WBITS | 16


class ModelFiles:
    """What botocore asks of a ``file_loader``; paths come without their ending."""

    def exists(self, file_path: str) -> bool:
        """Whether there is a model, packed or not."""
        return any(Path(f"{file_path}{ending}").is_file() for ending in (".json.gz", ".json"))

    def load_file(self, file_path: str) -> Any:
        """The content of a model, or None where there is none."""
        for ending in (".json", ".json.gz"):
            try:
                content = Path(f"{file_path}{ending}").read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            return msgspec.json.decode(zlib.decompress(content, GZIP) if ending == ".json.gz" else content)
        return None


class Models(Loader):  # type: ignore[misc]
    """botocore's data loader; ``data_path`` is AWS_DATA_PATH or what a profile says instead of it."""

    def __init__(self, data_path: str | None) -> None:
        extra = (data_path or "").split(os.pathsep)
        super().__init__([os.path.expandvars(Path(path).expanduser()) for path in extra if path], ModelFiles())

    def list_available_services(self, type_name: str) -> list[str]:
        """Every folder is taken for a service: botocore looks into all four hundred, once for each type of model."""
        return self._folders

    @cached_property
    def _folders(self) -> list[str]:
        places = [place for place in self.search_paths if Path(place).is_dir()]
        return sorted({found.name for place in places for found in os.scandir(place)})
