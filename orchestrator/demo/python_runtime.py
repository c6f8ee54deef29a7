"""Copy this machine's Python into an image: the interpreter, the modules of a small server and their libraries.

Unlike a base image from a registry, this needs no network.
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

_LIST_MODULES_SCRIPT = """
import __future__, json, sys
import encodings.idna, encodings.latin_1, http.server, socketserver, socket, select, os, signal, traceback
files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
print(json.dumps({"files": [file for file in files if file], "stdlib": os.path.dirname(os.__file__)}))
"""
_LDD_PATH = re.compile(r"(?:=> )?(/\S+) \(0x")


def copy_python(root: Path) -> None:
    """Copy Python below ``root``, every file at its path on this machine, with a link ``/bin/python3``.

    Raises Problems if this is not Linux, or ``ldd`` is missing.
    """
    program = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    if sys.platform != "linux" or not program.exists():
        raise Problems.from_message("the sample application runs on Linux only")
    listing = json.loads(
        shell.run_checked(
            [str(program), "-I", "-c", _LIST_MODULES_SCRIPT], failure_message="cannot list the modules of Python"
        )
    )
    modules = {Path(module_path) for module_path in listing["files"]}
    cached_files = {
        cached_path
        for module_path in modules
        for cached_path in (module_path.parent / "__pycache__").glob(f"{module_path.stem}.*[0-9].pyc")
    }
    native_files = {program.resolve(), *(module_path for module_path in modules if ".so" in module_path.suffixes)}
    for path in {*modules, *cached_files, program, *native_files, *_shared_libraries(native_files)}:
        _copy_file(path, root)
    (root / listing["stdlib"].lstrip("/") / "lib-dynload").mkdir(parents=True, exist_ok=True)
    link = root / "bin" / "python3"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(program.resolve())


def _shared_libraries(programs: Iterable[Path]) -> set[Path]:
    ldd_output = shell.run_checked(["ldd", *map(str, programs)], failure_message="cannot list the libraries of Python")
    return {Path(library_path) for library_path in _LDD_PATH.findall(ldd_output)}


def _copy_file(path: Path, root: Path) -> None:
    """Copy a file to its path below ``root``; a link is copied as the file that it points to."""
    target = root / str(path).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path.resolve(), target)
    target.chmod(0o755 if path.stat().st_mode & 0o111 or ".so" in path.suffixes else 0o644)
