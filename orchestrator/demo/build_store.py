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

OWN_STORE = ("buildah", "podman")
DRIVERS = ("overlay", "vfs")
"""``vfs`` are plain copies, which every file system can do; layers that lie over each other are quicker."""


def settings(folder: Path, driver: str, tool: str) -> dict[str, str]:
    """The environment in which ``tool`` keeps its images in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "storage.conf"
    places = f'graphroot = "{folder / "graph"}"\nrunroot = "{folder / "run"}"'
    file.write_text(f'[storage]\ndriver = "{driver}"\n{places}\n')
    return {"CONTAINERS_STORAGE_CONF": str(file), "BUILDAH_ISOLATION": "chroot", builder_commands.CHOICE: tool}


@contextmanager
def opened(environ: MutableMapping[str, str], folder: Path) -> Iterator[tuple[str, str]]:
    """Turn a builder to a store in ``folder``: its name, or "" and a sentence why there is none.

    A builder counts that has just built something: many machines have one that may not.
    """
    chosen = environ.get(builder_commands.CHOICE)
    there = [name for name in OWN_STORE if chosen in {None, name} and shell.which(name)]
    unasked = f"{builder_commands.CHOICE} is {chosen}" if chosen else "neither buildah nor podman is on this machine"
    why = "" if there else unasked
    for name in there:
        for driver in DRIVERS:
            store = folder / f"{name}-{driver}"
            variables = settings(store, driver, name)
            why = _trial(name, folder, variables)
            if not why:
                before = {key: environ.get(key) for key in variables}
                environ.update(variables)
                try:
                    yield name, ""
                finally:
                    _restore(environ, before)
                    shutil.rmtree(store, ignore_errors=True)
                return
            shutil.rmtree(store, ignore_errors=True)
    yield "", why


def _trial(name: str, folder: Path, variables: dict[str, str]) -> str:
    """Why ``name`` cannot build the smallest of images here, or nothing."""
    dockerfile = folder / "Trial"
    dockerfile.write_text("FROM scratch\nCOPY Trial /\n")
    command = [name, "build", "--no-cache", "--quiet", "--file", str(dockerfile), str(folder)]
    try:
        ran = shell.run(command, environment=variables, timeout=builder_commands.ASK)
    except Problems as error:
        return error.problems[0].message
    last = (ran.output.strip().splitlines() or [""])[-1]
    return f"{name} is there and cannot build ({last[:200]})" if ran.status else ""


def _restore(environ: MutableMapping[str, str], before: dict[str, str | None]) -> None:
    for key, value in before.items():
        environ.pop(key, None)
        if value is not None:
            environ[key] = value
