"""Find the files of a site that its bundler has named after their content, in the manifests that bundlers write.

Only such a file may be kept for a year: the manifest says which name the bundler started from, and what it added to it.
A name that only looks like that may be a person's. Read are Vite's ``build.manifest``, the manifests of webpack,
Create React App, Rsbuild, Gatsby, Parcel and gulp-rev, webpack's stats, and esbuild's metafile (also Angular's stats).
Sources: Vite, "Backend Integration"; webpack, "Stats Data" (``info.immutable``); esbuild, "Metafile"; README of
webpack-manifest-plugin.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.artefacts.sites import http_headers

MANIFEST_FILES = (
    *(".vite/manifest.json", "manifest.json", "asset-manifest.json", "assets-manifest.json", "webpack-manifest.json"),
    *("rev-manifest.json", "parcel-manifest.json", "chunk-map.json", "webpack.stats.json", "stats.json", "meta.json"),
)
"""Where bundlers write them by default, relative to the site's folder."""
MAX_MANIFEST_BYTES = 32 * 1024**2
SOURCE_MAP_SUFFIX = ".map"
"""A source map changes with a comment, which the hash of its script does not cover."""
_ADDED_HASH = re.compile(r"(?=.*[0-9])[A-Za-z0-9_-]{6,64}\Z|[A-Za-z_-]{8}\Z")
"""A hash that a bundler adds: with a digit, or Vite's and Rollup's eight characters that happen to have none."""
_WORD = re.compile(r"[a-z]+\Z|[A-Z]*\Z|[A-Z]?[a-z]*[0-9]{0,2}\Z")
"""What a person adds to a name, such as ``bundle`` or ``Legacy2``."""
_ESBUILD_HASH = re.compile(r"-[A-Z2-7]{8}\.[^.]+\Z")
_SEPARATORS = (".", "-", "_")
NamedOutput = tuple[str, str]
"""The name that the bundler started from, and the path that it wrote."""


def find_immutable(folder: Path, paths: Collection[str], prefix: str = "") -> frozenset[str]:
    """Return those of ``paths`` (below the site's folder) whose name contains a hash of their content.

    ``prefix``: where the site is served, which manifests may write before paths.  A manifest that cannot be read says
    nothing.
    """
    site_paths = frozenset(paths)
    immutable: set[str] = set()
    for name in MANIFEST_FILES:
        if name not in site_paths:
            continue
        manifest = _read_json(folder / name)
        certain = (*_list_immutable_assets(manifest), *_list_esbuild_outputs(manifest))
        immutable |= {_find_path(path, site_paths, prefix) for path in certain}
        for source, output in _list_outputs("", manifest):
            path = _find_path(output, site_paths, prefix)
            if path and _has_added_hash(source, path):
                immutable.add(path)
    return frozenset(path for path in immutable if path and not path.endswith(SOURCE_MAP_SUFFIX))


def _read_json(file: Path) -> Any:
    try:
        if file.stat().st_size > MAX_MANIFEST_BYTES:
            return None
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _list_immutable_assets(manifest: Any) -> Iterator[str]:
    """Yield the assets that webpack itself calls immutable, in its stats."""
    assets = manifest.get("assets") if isinstance(manifest, Mapping) else None
    for asset in assets if isinstance(assets, list) else ():
        info = asset.get("info") if isinstance(asset, Mapping) else None
        if isinstance(info, Mapping) and info.get("immutable") is True and isinstance(asset.get("name"), str):
            yield asset["name"]


def _list_esbuild_outputs(manifest: Any) -> Iterator[str]:
    """Yield the outputs of esbuild whose name has its hash: eight characters of base32."""
    outputs = manifest.get("outputs") if isinstance(manifest, Mapping) else None
    if isinstance(outputs, Mapping) and isinstance(manifest.get("inputs"), Mapping):
        yield from (str(path) for path in outputs if _ESBUILD_HASH.search(str(path)))


def _list_outputs(key: str, value: Any) -> Iterator[NamedOutput]:
    """Yield every output in a manifest with the name it comes from: a chunk's name, a source, or the key above it."""
    match value:
        case str():
            yield key, value
        case list():
            for item in value:
                yield from _list_outputs(key, item)
        case {"file": str(file)}:  # Vite
            for source in (value.get("name"), value.get("src"), key):
                yield from ([(source, file)] if isinstance(source, str) else [])
            yield from _list_outputs(str(value.get("name") or value.get("src") or key), value.get("css"))
        case Mapping():
            for name, item in value.items():
                yield from _list_outputs(str(name), item)


def _find_path(output: str, site_paths: frozenset[str], prefix: str) -> str:
    """Return the file of the site that a manifest means, or "": paths in it begin with a URL or an output folder."""
    path = re.sub(r"\A(?:https?:)?//[^/]+", "", output).removeprefix("./").lstrip("/").partition("?")[0]
    candidates = [path, path.removeprefix(prefix)]
    while "/" in path:
        path = path.partition("/")[2]
        candidates.append(path)
    return next((candidate for candidate in candidates if candidate in site_paths), "")


def _has_added_hash(source: str, path: str) -> bool:
    """Return whether the name of ``path`` is that of ``source``, and a hash that the bundler added.

    A chunk without a name is listed under its own: then the hash has to look like one by itself.
    """
    name, source_name = path.rpartition("/")[2], source.rpartition("/")[2].removeprefix("_")
    if name == source_name:
        return http_headers.has_hash(path)
    for stem in _list_stems(source_name):
        if name.startswith(stem) and name[len(stem) :].startswith(_SEPARATORS):
            added = name[len(stem) + 1 :].partition(".")[0]
            if _ADDED_HASH.match(added) and not _WORD.match(added):
                return True
    return False


def _list_stems(name: str) -> Iterator[str]:
    """Yield what a bundler takes from the name of a source: all of it, and less and less of its extensions."""
    while name:
        yield name
        name = name.rpartition(".")[0]
