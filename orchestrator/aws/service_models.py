"""Load botocore's service models quickly: finding and parsing them is half the cost of a new client.

The content is the same as from botocore's own loader, in dicts, which preserve order.  The members of a large object
are parsed on first access: a plan needs 30 of EC2's 3,600 shapes.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import ItemsView, Iterator, ValuesView
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from botocore.loaders import Loader

GZIP_WBITS = zlib.MAX_WBITS | 16
MIN_LAZY_BYTES = 16_384
"""Bytes of JSON from which an object is parsed lazily."""


class LazyObject(dict[str, Any]):
    """A JSON object whose members are parsed on first access; behaves like a dict wherever botocore uses it."""

    def __getitem__(self, name: str) -> Any:
        """Return the parsed member."""
        value = super().__getitem__(name)
        if type(value) is msgspec.Raw:
            value = parse_json(value)
            self[name] = value
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """Return the parsed member, or ``default``."""
        try:
            return self[name]
        except KeyError:
            return default

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names.  Overridden so that ``dict(...)`` copies through ``__getitem__``, which parses."""
        return super().__iter__()

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        """Return names and parsed members."""
        return ItemsView(self)

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        """Return the parsed members."""
        return ValuesView(self)

    def __eq__(self, other: object) -> bool:
        """Return whether ``other`` is a dict with the same members."""
        return isinstance(other, dict) and dict(self) == dict(other)

    __hash__ = None

    def __repr__(self) -> str:
        return repr(dict(self))


def parse_json(content: bytes | msgspec.Raw) -> Any:
    """Parse JSON; large objects become LazyObjects."""
    view = memoryview(content)
    match bytes(view[:1]) if len(view) >= MIN_LAZY_BYTES else b"":
        case b"{":
            return LazyObject(msgspec.json.decode(content, type=dict[str, msgspec.Raw]))
        case b"[":
            return [parse_json(item) for item in msgspec.json.decode(content, type=list[msgspec.Raw])]
        case _:
            return msgspec.json.decode(content)


class ModelFileLoader:
    """Implements botocore's ``file_loader`` interface; paths come without their extension."""

    def exists(self, file_path: str) -> bool:
        """Return whether a model exists, compressed or not."""
        return any(Path(f"{file_path}{extension}").is_file() for extension in (".json.gz", ".json"))

    def load_file(self, file_path: str) -> Any:
        """Return the content of a model, or None if it does not exist."""
        for extension in (".json", ".json.gz"):
            try:
                content = Path(f"{file_path}{extension}").read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            return parse_json(zlib.decompress(content, GZIP_WBITS) if extension == ".json.gz" else content)
        return None


class ServiceModelLoader(Loader):  # type: ignore[misc]
    """botocore's data loader; ``data_path`` is AWS_DATA_PATH or the profile's setting for it."""

    def __init__(self, data_path: str | None) -> None:
        extra = (data_path or "").split(os.pathsep)
        super().__init__([os.path.expandvars(Path(path).expanduser()) for path in extra if path], ModelFileLoader())

    def list_available_services(self, type_name: str) -> list[str]:
        """Return all folders as services: botocore would open all 400 folders for each model type."""
        return self._services

    @cached_property
    def _services(self) -> list[str]:
        folders = [folder for folder in self.search_paths if Path(folder).is_dir()]
        return sorted({entry.name for folder in folders for entry in os.scandir(folder)})
