"""Find Go servers: modules with a main package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from orchestrator.scaffold.detection.applications import Api
from orchestrator.scaffold.detection.tree import Tree, is_below, join, relative_to

DEFAULT_VERSION: Final = "1.25"
_PREFERRED: Final = ("cmd/server", "cmd/api", "cmd/web", ".")


def find_apis(tree: Tree) -> Iterator[Api]:
    """Yield a server for each module that has a main package."""
    for folder in tree.folders_with("go.mod"):
        packages = [path for path in tree.files if is_below(path, folder) and _is_main(tree, path)]
        if not packages:
            continue
        relative = [relative_to(path, folder) for path in packages]
        entry = next((name for name in _PREFERRED if name in relative), relative[0])
        match = re.search(r"^go (\d+\.\d+)", tree.read(join(folder, "go.mod")), re.MULTILINE)
        version = match[1] if match else DEFAULT_VERSION
        files = tuple(name for name in ("go.mod", "go.sum") if tree.has(join(folder, name)))
        package = "." if entry == "." else f"./{entry}"
        yield Api(
            "go",
            folder,
            "go",
            version,
            package,
            files,
            description=f"Go {version} server in {folder}, package {package}",
        )


def _is_main(tree: Tree, folder: str) -> bool:
    names = [name for name in tree.files[folder] if name.endswith(".go") and not name.endswith("_test.go")]
    return any(re.search(r"^package main\b", tree.read(join(folder, name)), re.MULTILINE) for name in names)
