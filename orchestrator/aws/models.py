"""Reads botocore's service models quickly: half of what a new client costs is the parsing of its model.

Gives botocore the same content as its own loader does, in plain dicts, which keep order as well.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import msgspec

GZIP = zlib.MAX_WBITS | 16


class ModelFiles:
    """What botocore asks of a ``file_loader``; paths come without their ending."""

    def exists(self, file_path: str) -> bool:
        """Whether there is a model, packed or not."""
        return Path(f"{file_path}.json").is_file() or Path(f"{file_path}.json.gz").is_file()

    def load_file(self, file_path: str) -> Any:
        """The content of a model, or None where there is none."""
        for ending in (".json", ".json.gz"):
            try:
                content = Path(f"{file_path}{ending}").read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            return msgspec.json.decode(zlib.decompress(content, GZIP) if ending == ".json.gz" else content)
        return None
