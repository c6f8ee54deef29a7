"""Create a temporary image store for the demo, so that its builds leave nothing on the machine.

The store of buildah and podman is configurable; docker is not used, because its daemon has a single store.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from orchestrator import shell
from orchestrator.artefacts import build_process
from orchestrator.artefacts.images import builder_commands
from orchestrator.problems import Problems

ISOLATED_BUILDERS = ("buildah", "podman")
STORAGE_DRIVERS = ("overlay", "vfs")
"""Storage drivers, in order of preference: ``overlay`` is faster, ``vfs`` copies files and works everywhere."""


def write_storage_config(folder: Path, driver: str, tool: str) -> dict[str, str]:
    """Configure ``tool`` to store its images in ``folder``; return the environment variables that do so."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "storage.conf"
    storage_paths = f'graphroot = "{folder / "graph"}"\nrunroot = "{folder / "run"}"'
    file.write_text(f'[storage]\ndriver = "{driver}"\n{storage_paths}\n')
    return {
        "CONTAINERS_STORAGE_CONF": str(file),
        "BUILDAH_ISOLATION": "chroot",
        builder_commands.BUILDER_VARIABLE: tool,
    }


@contextmanager
def open_build_store(environ: MutableMapping[str, str], folder: Path) -> Iterator[tuple[str, str]]:
    """Make a builder use a store in ``folder``, and yield its name, or "" and the reason why there is none.

    Tries a build first: on many machines a builder is installed that lacks the rights to build.
    """
    chosen_builder = environ.get(builder_commands.BUILDER_VARIABLE)
    available_builders = [name for name in ISOLATED_BUILDERS if chosen_builder in {None, name} and shell.which(name)]
    absence_reason = (
        f"{builder_commands.BUILDER_VARIABLE} is {chosen_builder}"
        if chosen_builder
        else "neither buildah nor podman is installed"
    )
    reason = "" if available_builders else absence_reason
    for name in available_builders:
        for driver in STORAGE_DRIVERS:
            store = folder / f"{name}-{driver}"
            variables = write_storage_config(store, driver, name)
            reason = _check_builder(name, folder, variables)
            if not reason:
                previous_values = {key: environ.get(key) for key in variables}
                environ.update(variables)
                try:
                    yield name, ""
                finally:
                    _restore_environment(environ, previous_values)
                    shutil.rmtree(store, ignore_errors=True)
                return
            shutil.rmtree(store, ignore_errors=True)
    yield "", reason


def _check_builder(name: str, folder: Path, variables: dict[str, str]) -> str:
    """Return why ``name`` cannot build a minimal image here, or "" if it can."""
    dockerfile = folder / "Trial"
    dockerfile.write_text("FROM scratch\nCOPY Trial /\n")
    command = [name, "build", "--no-cache", "--quiet", "--file", str(dockerfile), str(folder)]
    try:
        result = build_process.probe(command, variables)
    except Problems as error:
        return error.problems[0].message
    last_line = (result.output.strip().splitlines() or [""])[-1]
    return f"{name} is installed but cannot build ({last_line[:200]})" if result.exit_code else ""


def _restore_environment(environ: MutableMapping[str, str], previous_values: dict[str, str | None]) -> None:
    for key, value in previous_values.items():
        environ.pop(key, None)
        if value is not None:
            environ[key] = value
