"""The demo's own store for a builder of images: what is built there leaves nothing on the machine.

buildah and podman keep images where they are told to; docker's daemon keeps them in its one store, so it is not asked.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from orchestrator import shell
from orchestrator.artefacts.images import builder_commands
from orchestrator.problems import Problems

ISOLATED_BUILDERS = ("buildah", "podman")
STORAGE_DRIVERS = ("overlay", "vfs")
"""``vfs`` are plain copies, which every file system can do; layers that lie over each other are quicker."""


def write_storage_config(folder: Path, driver: str, tool: str) -> dict[str, str]:
    """The environment in which ``tool`` keeps its images in ``folder``."""
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
    """Turn a builder to a store in ``folder``: its name, or "" and a sentence why there is none.

    A builder counts that has just built something: many machines have one that may not.
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
    """Why ``name`` cannot build the smallest of images here, or nothing."""
    dockerfile = folder / "Trial"
    dockerfile.write_text("FROM scratch\nCOPY Trial /\n")
    command = [name, "build", "--no-cache", "--quiet", "--file", str(dockerfile), str(folder)]
    try:
        result = shell.run(command, environment=variables, timeout=builder_commands.PROBE_TIMEOUT_SECONDS)
    except Problems as error:
        return error.problems[0].message
    last_line = (result.output.strip().splitlines() or [""])[-1]
    return f"{name} is there and cannot build ({last_line[:200]})" if result.exit_code else ""


def _restore_environment(environ: MutableMapping[str, str], previous_values: dict[str, str | None]) -> None:
    for key, value in previous_values.items():
        environ.pop(key, None)
        if value is not None:
            environ[key] = value
