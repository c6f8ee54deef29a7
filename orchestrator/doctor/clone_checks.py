"""Check what a fresh clone on a runner would lack: files that git ignores or does not know, and a lock file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator import shell
from orchestrator.artefacts import repository_paths
from orchestrator.artefacts.sites import node_packages
from orchestrator.doctor import Finding
from orchestrator.manifest.check import Manifest
from orchestrator.problems import Problems
from orchestrator.vocabulary import Component

GIT_TIMEOUT_SECONDS = 10.0


def check_clone(manifest: Manifest, root: Path) -> Iterator[Finding]:
    """Yield what the builds of the manifests need and a clone of ``root`` does not contain."""
    for component in manifest.components:
        try:
            required = list(_required_files(component, root))
        except Problems:
            continue  # the path is reported by the check of the manifests' artefacts
        for path, fix in required:
            if not _is_in_clone(path, root):
                message = (
                    f"{component.handle}: {path.relative_to(root)} is not committed to Git, so workflows cannot use it"
                )
                yield Finding("builder", "missing", message, fix, component.where)
        yield from _check_lock_file(component, root)


def _required_files(component: Component, root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files that have to be in a clone, with how they get there."""
    build = (component.spec.get("image") or {}).get("build")
    if build:
        dockerfile = repository_paths.resolve(component, build["context"], "context") / build["dockerfile"]
        yield dockerfile, f"git add -f {dockerfile.relative_to(root)}"
    spa = component.spec.get("spa") or {}
    if spa and not spa.get("build"):
        index = repository_paths.resolve(component, spa["dir"], "dir") / "index.html"
        yield index, "add `build` to the manifest so that the deploy writes it, or commit it"
    if spa.get("build"):
        folder = repository_paths.resolve(component, spa["folder"], "folder")
        project = node_packages.find_project(folder, root)
        if project is not None:
            yield project.lock_file.resolve(), f"git add -f {project.lock_file.resolve().relative_to(root)}"


def _check_lock_file(component: Component, root: Path) -> Iterator[Finding]:
    spa = component.spec.get("spa") or {}
    if not spa.get("build") or spa.get("install") is not None:
        return
    folder = repository_paths.resolve(component, spa["folder"], "folder")
    package = node_packages.read_package(folder)
    has_packages = any(package.get(field) for field in ("dependencies", "devDependencies"))
    if has_packages and node_packages.find_project(folder, root) is None:
        message = (
            f"{component.handle}: {folder.relative_to(root)} has packages but no lock file, so a runner does "
            "not install them"
        )
        yield Finding(
            "builder",
            "missing",
            message,
            "run `npm install --package-lock-only`, then commit the lock file",
            component.where,
        )


def _is_in_clone(path: Path, root: Path) -> bool:
    """Return whether git tracks the file, or would with the next `git add`."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", str(path)]
    result = shell.run(listing, folder=root, timeout=GIT_TIMEOUT_SECONDS)
    return bool(result.exit_code or result.output.strip())
