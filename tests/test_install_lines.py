"""The install lines of docs/how-to/install.md, in empty environments, with the wheel; needs the package index.

The environment of pip then runs the demo and every command of the tutorial: nothing of this checkout is on its path.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from orchestrator.emulator import start
from tests.command_blocks.terminal_reader import run_line
from tests.documentation import DOCS, ROOT, read_page, type_examples

pytestmark = [pytest.mark.slow, pytest.mark.real_parts, pytest.mark.timeout(900)]
INSTALLERS = ("pip", "pipx", "uvx")
NO_TERMINAL = "< /dev/null 2>&1 | cat"
"""On a terminal the demo's dashboard stays open until Ctrl-C."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the built wheel in `dist`, and pipx and uv in `tools`."""
    folder = tmp_path_factory.mktemp("machine")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=ROOT, check=True)
    venv.create(folder / "tools", with_pip=True)
    subprocess.run([folder / "tools" / "bin" / "pip", "install", "--quiet", "pipx", "uv"], check=True)
    return folder


def environment_of(machine: Path) -> dict[str, str]:
    """Python and the tools; the index is the one that pip of this machine uses."""
    index = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_"))}
    path = [str(machine / "tools" / "bin"), str(machine / ".local" / "bin"), "/usr/local/bin", "/usr/bin", "/bin"]
    return {**index, "PATH": os.pathsep.join(path)}


@pytest.mark.parametrize("installer", INSTALLERS)
def test_an_install_line_works_with_the_wheel(installer: str, machine: Path) -> None:
    """Line by line, as the page has them."""
    blocks = [text for _, text in read_page(DOCS / "how-to" / "install.md").blocks("sh")]
    block = next(text for text, name in zip(blocks, INSTALLERS, strict=False) if name == installer)
    failed = [
        f"$ {line}\n{shown}"
        for line in block.splitlines()
        for exit_code, shown in [run_line(f"{line} {NO_TERMINAL}", machine, environment_of(machine))]
        if exit_code
    ]

    assert f"{installer} " in block
    assert failed == []


def test_the_tutorial_works_with_what_pip_has_installed(machine: Path, tmp_path: Path) -> None:
    """Its every command prints what it shows."""
    programs = machine / "orchestrator-env" / "bin"
    if not (programs / "orchestrator").exists():
        pytest.fail("run it together with the lines of pip")
    where = [str(programs / "python"), "-c", "import orchestrator; print(orchestrator.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert found.startswith(str(machine))
    with start() as emulator:
        page = read_page(DOCS / "tutorial" / "first-deploy.md")
        assert type_examples(page, tmp_path, emulator.environment, programs) == []
