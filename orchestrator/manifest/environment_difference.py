"""Render what differs between two environments: each field with both values and the file that sets it.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestrator.manifest import dump
from orchestrator.manifest.check import Manifest
from orchestrator.manifest.document import Path, format_path
from orchestrator.vocabulary import Component

_MISSING: Final = object()


def render(first: Manifest, second: Manifest) -> str:
    """Return a block per component that differs: ``-`` is the value in ``first``, ``+`` the one in ``second``."""
    handles = dict.fromkeys(component.handle for manifest in (first, second) for component in manifest.components)
    blocks = ["\n".join(lines) for handle in handles if (lines := list(_component_lines(handle, first, second)))]
    if not blocks:
        return ""
    return "\n".join([f"--- {first.environment}", f"+++ {second.environment}", *blocks])


def _component_lines(handle: str, first: Manifest, second: Manifest) -> Iterator[str]:
    values = [_component_value(handle, manifest) for manifest in (first, second)]
    if _MISSING in values:
        sign, manifest = ("-", first) if values[1] is _MISSING else ("+", second)
        yield f"{sign} {handle}  # only in {manifest.environment}: {manifest.where(handle)}"
        return
    lines = [
        f"{sign}   {format_path(path)}: {dump.format_value(value)}{_origin(manifest, handle, path)}"
        for is_old, path, value in _differences(values[0], values[1], ())
        for sign, manifest in (("-", first) if is_old else ("+", second),)
    ]
    yield from [f"  {handle}", *lines] if lines else ()


def _component_value(handle: str, manifest: Manifest) -> Any:
    component: Component | None = next((one for one in manifest.components if one.handle == handle), None)
    return _MISSING if component is None else {"metadata": {"adopt": component.adopt}, "spec": component.spec}


def _differences(old: Any, new: Any, path: Path) -> Iterator[tuple[bool, Path, Any]]:
    """Yield each value that only one side has, with its path: True of the old side, False of the new."""
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from _differences(old.get(key, _MISSING), new.get(key, _MISSING), (*path, key))
    elif _is_object_list(old) and _is_object_list(new):
        yield from ((True, (*path, index), item) for index, item in enumerate(old) if item not in new)
        yield from ((False, (*path, index), item) for index, item in enumerate(new) if item not in old)
    else:
        yield from ((is_old, path, value) for is_old, value in ((True, old), (False, new)) if value is not _MISSING)


def _is_object_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def _origin(manifest: Manifest, handle: str, path: Path) -> str:
    """Return a comment with the place that sets a value."""
    if manifest.declarations[handle].layer_index(path) < 0:
        return "  # default"
    return f"  # {manifest.where(handle, path).file}:{manifest.where(handle, path).line}"
