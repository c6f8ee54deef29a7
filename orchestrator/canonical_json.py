"""Encode structs as canonical JSON and decode them strictly.  Pure.

May know: the vocabulary's structs, through their types.  May not: know what a document is for, or touch files.
The canonical form is compact UTF-8 with sorted keys, so equal values have equal bytes and one digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from orchestrator.problems import Problem, Problems

T = TypeVar("T")
DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError)
"""What a decoder raises for bytes that are not the expected JSON; RecursionError if they are nested too deeply."""


def dump(value: object) -> bytes:
    """Return ``value`` (a struct, or JSON) in canonical form.

    Raises TypeError if it is not plain data, such as an Unknown that was not passed through ``to_plain``.
    """
    return msgspec.json.encode(value, order="sorted")


def digest(value: object) -> str:
    """Return the SHA-256 of the canonical form, as 64 hexadecimal digits."""
    return hashlib.sha256(dump(value)).hexdigest()


def load(data: bytes, expected_type: type[T], source: str = "the document") -> T:
    """Decode a document that ``dump`` wrote into ``expected_type``; ``source`` names the document in problems.

    Raises Problems if it is not JSON, or a field is missing, unknown or of the wrong type.
    """
    try:
        raw = msgspec.json.decode(data)
        value = msgspec.convert(raw, expected_type)
        unknown_paths = list(_iter_unknown_paths("", raw, msgspec.to_builtins(value)))
    except msgspec.ValidationError as error:
        raise Problems.from_message(f"{source}: {_format_error(str(error))}") from None
    except RecursionError:
        raise Problems.from_message(
            f"{source} is nested too deeply; the orchestrator does not write such files"
        ) from None
    except DECODE_ERRORS as error:
        raise Problems.from_message(f"{source} is not valid JSON: {error}") from None
    if unknown_paths:
        raise Problems(Problem(f"{source}: unknown field `{path}`") for path in unknown_paths)
    return value


def _format_error(message: str) -> str:
    """Return msgspec's "Expected `int`, got `str` - at `$.changes[0].where`" with the location first."""
    reason, _, path = message.partition(" - at `$")
    location = path.rstrip("`").lstrip(".") or "top level"
    return f"{location}: {reason[:1].lower()}{reason[1:]}"


def _iter_unknown_paths(path: str, raw: Any, converted: Any) -> Iterator[str]:
    """Yield the paths of fields in ``raw`` that msgspec ignored because the type does not have them."""
    if isinstance(raw, Mapping) and isinstance(converted, Mapping):
        for key, item in raw.items():
            item_path = f"{path}.{key}".lstrip(".")
            if key not in converted:
                yield item_path
            else:
                yield from _iter_unknown_paths(item_path, item, converted[key])
    elif isinstance(raw, list) and isinstance(converted, list | tuple):
        for index, (item, converted_item) in enumerate(zip(raw, converted, strict=False)):
            yield from _iter_unknown_paths(f"{path}[{index}]", item, converted_item)
