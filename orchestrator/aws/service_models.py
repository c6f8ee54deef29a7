"""Reads botocore's service models quickly: half of what a new client costs is finding and parsing them.

Gives botocore the same content as its own loader does, in dicts, which keep order as well.  Of a long object each
member is parsed when it is asked for: a plan asks for 30 of EC2's 3,600 shapes.
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
"""Bytes of JSON from which on an object is parsed member by member."""


class LazyObject(dict[str, Any]):
    """A JSON object whose members are parsed when they are first asked for; a dict in all that botocore asks of it."""

    def __getitem__(self, name: str) -> Any:
        """The member, parsed."""
        value = super().__getitem__(name)
        if type(value) is msgspec.Raw:
            value = parse_json(value)
            self[name] = value
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """The member, parsed, or ``default``."""
        try:
            return self[name]
        except KeyError:
            return default

    def __iter__(self) -> Iterator[str]:
        """The names.  A dict with a way of its own to iterate is asked for its members by whoever copies it."""
        return super().__iter__()

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        """Names and members, parsed."""
        return ItemsView(self)

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        """The members, parsed."""
        return ValuesView(self)

    def __eq__(self, other: object) -> bool:
        """Equal to a dict of the same members."""
        return isinstance(other, dict) and dict(self) == dict(other)

    __hash__ = None

    def __repr__(self) -> str:
        return repr(dict(self))


def parse_json(content: bytes | msgspec.Raw) -> Any:
    """The value of some JSON; long objects come as Members."""
    view = memoryview(content)
    match bytes(view[:1]) if len(view) >= MIN_LAZY_BYTES else b"":
        case b"{":
            return LazyObject(msgspec.json.decode(content, type=dict[str, msgspec.Raw]))
        case b"[":
            return [parse_json(item) for item in msgspec.json.decode(content, type=list[msgspec.Raw])]
        case _:
            return msgspec.json.decode(content)


class ModelFileLoader:
    """What botocore asks of a ``file_loader``; paths come without their ending."""

    def exists(self, file_path: str) -> bool:
        """Whether there is a model, packed or not."""
        return any(Path(f"{file_path}{extension}").is_file() for extension in (".json.gz", ".json"))

    def load_file(self, file_path: str) -> Any:
        """The content of a model, or None where there is none."""
        for extension in (".json", ".json.gz"):
            try:
                content = Path(f"{file_path}{extension}").read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            return parse_json(zlib.decompress(content, GZIP_WBITS) if extension == ".json.gz" else content)
        return None


class ServiceModelLoader(Loader):  # type: ignore[misc]
    """botocore's data loader; ``data_path`` is AWS_DATA_PATH or what a profile says instead of it."""

    def __init__(self, data_path: str | None) -> None:
        extra = (data_path or "").split(os.pathsep)
        super().__init__([os.path.expandvars(Path(path).expanduser()) for path in extra if path], ModelFileLoader())

    def list_available_services(self, type_name: str) -> list[str]:
        """Every folder is taken for a service: botocore looks into all four hundred, once for each type of model."""
        return self._services

    @cached_property
    def _services(self) -> list[str]:
        folders = [folder for folder in self.search_paths if Path(folder).is_dir()]
        return sorted({entry.name for folder in folders for entry in os.scandir(folder)})
