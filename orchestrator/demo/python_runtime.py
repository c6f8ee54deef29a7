"""Python of this machine as the files of an image: the interpreter, the modules a small server needs, its libraries.

A base image from a registry would need a network; what runs here needs none, and is a real Python.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from orchestrator import shell
from orchestrator.problems import Problems

_LOADED = """
import __future__, json, sys
import encodings.idna, encodings.latin_1, http.server, socketserver, socket, select, os, signal, traceback
files = [getattr(each, "__file__", None) for each in list(sys.modules.values())]
print(json.dumps({"files": [each for each in files if each], "stdlib": os.path.dirname(os.__file__)}))
"""
_PATH = re.compile(r"(?:=> )?(/\S+) \(0x")


def copy(root: Path) -> None:
    """Put it below ``root``, every file at the place that it has here, and as ``/bin/python3``.

    Raises Problems where there is no Linux, or no ``ldd``.
    """
    program = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    if sys.platform != "linux" or not program.exists():
        raise Problems.one("the sample runs this machine's own Python, which is possible on Linux only")
    told = json.loads(shell.demand([str(program), "-I", "-c", _LOADED], what="Python cannot list its modules"))
    modules = {Path(each) for each in told["files"]}
    cached = {found for each in modules for found in (each.parent / "__pycache__").glob(f"{each.stem}.*[0-9].pyc")}
    native = {program.resolve(), *(each for each in modules if ".so" in each.suffixes)}
    for path in {*modules, *cached, program, *native, *_libraries(native)}:
        _place(path, root)
    (root / told["stdlib"].lstrip("/") / "lib-dynload").mkdir(parents=True, exist_ok=True)
    link = root / "bin" / "python3"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(program.resolve())


def _libraries(programs: Iterable[Path]) -> set[Path]:
    listed = shell.demand(["ldd", *map(str, programs)], what="the libraries of Python cannot be listed")
    return {Path(each) for each in _PATH.findall(listed)}


def _place(path: Path, root: Path) -> None:
    """A copy of a file's bytes; a link becomes what it leads to."""
    there = root / str(path).lstrip("/")
    there.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path.resolve(), there)
    there.chmod(0o755 if path.stat().st_mode & 0o111 or ".so" in path.suffixes else 0o644)
