"""What a build process gets, and what becomes of its output.

Sources: GitHub, "Security hardening for GitHub Actions" (a step's tokens and files are in its environment); npm's
install scripts, which several worms of 2025 used to read exactly these variables.
"""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import orchestrator
from orchestrator import shell
from orchestrator.artefacts import build_process
from orchestrator.artefacts.build_process import BuildLog
from orchestrator.artefacts.images import builder
from orchestrator.artefacts.images.build_inputs import Recipe
from orchestrator.artefacts.sites.build_command import build_site
from orchestrator.demo.build_store import open_build_store
from orchestrator.problems import ExitCode, Position, Problems
from orchestrator.vocabulary import Component

CREDENTIALS = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_PROFILE"),
    *("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "aws_secret_access_key"),
    *("GITHUB_TOKEN", "GH_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"),
    *("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_RUNTIME_TOKEN"),
    *("ORCHESTRATOR_STATE_TOKEN", "ORCHESTRATOR_ALLOW", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT"),
)
KEPT = {"HTTPS_PROXY": "http://proxy.example", "GITHUB_SHA": "c0ffee", "NODE_AUTH_TOKEN": "npm", "CI": "true"}
SECRET = "canary-of-the-deploy-role"
DOCKERFILE = "FROM scratch\nCOPY . /\n"


@pytest.fixture
def environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that write down their environment, in front of all that a build may start."""
    record, folder = tmp_path / "environments", tmp_path / "programs"
    record.mkdir()
    folder.mkdir()
    for name in ("docker", "buildah", "podman", "git", "npm"):
        shim = folder / name
        shim.write_text(f'#!/bin/sh\nenv > {record}/{name}-$$-"$1"\necho done\n')
        shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name in CREDENTIALS:
        monkeypatch.setenv(name, SECRET)
    for name, value in KEPT.items():
        monkeypatch.setenv(name, value)
    return record


def site(folder: Path, command: list[str], **spa: object) -> Component:
    spec = {"spa": {"dir": "dist", "folder": ".", "build": command, "env": {}, **spa}}
    return Component("Bucket", "web", spec, Position(str(folder / "web.yaml")))


def build_image(folder: Path, name: str) -> None:
    """As far as programs that do nothing let it come."""
    (folder / "Dockerfile").write_text(DOCKERFILE)
    token = base64.b64encode(b"AWS:registry-password").decode()
    login = {"authorizationData": [{"authorizationToken": token, "proxyEndpoint": "http://127.0.0.1:1"}]}
    for sbom in (True, False):
        with pytest.raises(Problems):
            builder.build_and_push(login, Recipe(folder, folder / "Dockerfile", sbom=sbom).fields, name, "x")


@pytest.mark.parametrize("chosen", ["docker", "buildah", "podman", ""])
def test_no_process_of_a_build_sees_a_credential(
    environments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    """Site builds, image builds, probes, pushes, git: every process that a build starts, with every builder.

    The environment that a migration gets is not a build's: it may need AWS.
    """
    monkeypatch.setenv("ORCHESTRATOR_BUILDER", chosen)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "index.html").write_text("x")
    build_site(site(tmp_path, ["npm", "run", "build"], env={"MODE": "production"}), BuildLog("bucket.web"))
    build_image(tmp_path, "shop-api")
    with open_build_store(os.environ, tmp_path / "store"):
        pass
    started = {file.name: file.read_text() for file in environments.iterdir()}

    assert {name.partition("-")[0] for name in started} >= {"npm", "git", chosen or "docker"}
    leaks = [name for name, text in started.items() if SECRET in text or "registry-password" in text]
    assert leaks == []
    for text in started.values():
        assert {f"{name}={value}" for name, value in KEPT.items()} <= set(text.splitlines())
    assert "MODE=production" in next(text for name, text in started.items() if name.startswith("npm"))


def test_builds_start_processes_in_one_place_only() -> None:
    """So that nothing can forget to leave the credentials out: of ``artefacts``, only ``build_process`` starts any.

    A credential helper is no process of a build: it is asked for a login with ours, and runs nobody else's code.
    """
    folder = Path(orchestrator.__file__).parent / "artefacts"
    starts = re.compile(r"\bshell\.(?:run|run_checked|stream)\b|\bsubprocess\b|\bos\.(?:system|exec|spawn|popen)")
    users = {str(file.relative_to(folder)) for file in folder.rglob("*.py") if starts.search(file.read_text())}

    assert users == {"build_process.py", "images/registry_login.py"}


def python(script: str) -> list[str]:
    return [sys.executable, "-u", "-c", script]


def test_output_arrives_line_by_line_while_the_build_runs(tmp_path: Path) -> None:
    """The second line is printed only once somebody has seen the first."""
    flag, lines = tmp_path / "seen", []
    script = f"import os, time\nprint('one')\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.01)\nprint('two')"

    def on_output(line: str) -> None:
        lines.append(line)
        if line == "one":
            flag.touch()

    log = BuildLog("bucket.web", on_output)
    result = log.run(python(script), timeout=30)

    assert (result.exit_code, lines[-2:], log.file.read_text()) == (0, ["one", "two"], "one\ntwo\n")
    assert str(log.file) in lines[0]
    assert lines[1].startswith("$ ")


def test_a_long_output_is_kept_whole_and_not_in_memory(tmp_path: Path) -> None:
    """Also a line without an end: 36 MB of output cost a few MB. 400 MB once cost 1.2 GB."""
    script = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from orchestrator.artefacts.build_process import BuildLog
log = BuildLog("big")
writer = "import sys\\nfor _ in range(30): sys.stdout.write('x' * 1_000_000)\\nfor _ in range(60_000): print('y' * 99)"
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
log.run([sys.executable, "-c", writer], timeout=120)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(log.file.stat().st_size, after - before)
"""
    root = str(Path(orchestrator.__file__).parents[1])
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", script, root], check=True, capture_output=True, text=True, env=environ)
    size, grown_kib = map(int, said.stdout.split())

    assert size == 30 * 1_000_000 + 60_000 * 100
    assert grown_kib < 20_000


def test_lines_are_shown_as_a_terminal_leaves_them() -> None:
    """Without colours, and without what a progress bar overwrote."""
    lines: list[str] = []
    BuildLog("x", lines.append).run(python(r"print('\x1b[31mred\x1b[0m\t|'); print('10%\r100%')"))

    assert lines[2:] == ["red     |", "100%"]


@pytest.mark.parametrize(
    ("output", "first_error"),
    [
        ("> tsc -b\n\nsrc/App.tsx(2,27): error TS2322: no\nnpm ERR! x", (3, "src/App.tsx(2,27): error TS2322: no")),
        (
            "Program.cs(1,1): error CS1002: ; expected\n" + "info\n" * 60,
            (1, "Program.cs(1,1): error CS1002: ; expected"),
        ),
        ("Build succeeded.\n0 Error(s)\nERROR: failed to solve: x", (3, "ERROR: failed to solve: x")),
        ("Traceback (most recent call last):\nModuleNotFoundError: vue", (2, "ModuleNotFoundError: vue")),
        ("sh: 1: vite: not found\nError: Cannot find module", (1, "sh: 1: vite: not found")),
        ("all is well", None),
    ],
)
def test_the_first_error_is_found_however_far_above_the_end(output: str, first_error: tuple[int, str] | None) -> None:
    """An error 60 lines above the end, usual for ``dotnet publish``, is in the message all the same."""
    log = BuildLog("x")
    result = log.run(python(f"print({output!r}); raise SystemExit(1)"))
    message = log.failure(result, "the build failed", repeat="make").problems[0].message

    assert result.first_error == first_error
    assert first_error is None or f"first error (line {first_error[0]}): {first_error[1]}" in message.splitlines()[0]
    assert f"Complete output: {log.file}" in message.splitlines()
    assert message.splitlines()[0].startswith(f"the build failed: {Path(sys.executable).name} exited with status 1")


def test_old_files_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest 20 stay; nobody else can read them."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    files = [BuildLog("x").file for _ in range(build_process.MAX_LOG_FILES + 5)]

    assert len(list(files[0].parent.iterdir())) == build_process.MAX_LOG_FILES
    assert files[-1].exists()
    assert files[-1].stat().st_mode & 0o077 == 0


def test_a_server_that_a_build_leaves_behind_does_not_hang_it() -> None:
    """MSBuild's nodes and Gradle's daemon keep the output open after the build has ended."""
    started_at = time.monotonic()
    result = BuildLog("x").run(["sh", "-c", "echo built; sleep 300 & exit 0"])

    assert (result.exit_code, result.tail, time.monotonic() - started_at < 60) == (0, ("built",), True)


def test_a_build_that_is_stopped_is_an_interruption() -> None:
    """Not a failure of the build: by a signal of its own, or because the run is stopped."""
    with pytest.raises(Problems) as stopped:
        BuildLog("x").run(python("import os, signal; os.kill(os.getpid(), signal.SIGTERM)"))
    timer = threading.Timer(0.5, shell.stop_streams)
    timer.start()
    with pytest.raises(Problems) as interrupted:
        BuildLog("x").run(python("import time; time.sleep(60)"))

    assert [stopped.value.exit_code, interrupted.value.exit_code] == [ExitCode.INTERRUPTED] * 2
    assert "was interrupted" in stopped.value.problems[0].message


def test_what_a_build_started_is_stopped_with_it(tmp_path: Path) -> None:
    """Ctrl-C reaches the whole tree: npm's shell and the bundler in it."""
    child = tmp_path / "child"
    timer = threading.Timer(1.0, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        BuildLog("x").run(["sh", "-c", f"sleep 300 & echo $! > {child}; wait"])
    time.sleep(0.2)
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", child.read_text().strip()], check=False, capture_output=True, text=True
    )

    assert state.stdout.strip()[:1] in {"", "Z"}


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="needs root, to become somebody else")
def test_a_build_cannot_read_the_environment_of_the_deploy(tmp_path: Path) -> None:
    """Not through /proc either, where a process of the same user finds its parent's. Source: proc(5), prctl(2)."""
    script = """
import ctypes, sys, os
sys.path.insert(0, sys.argv[1])
from orchestrator import shell
os.setgid(65534)
os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1)  # as a process of this user starts
shell.stream(["sh", "-c", "cat /proc/$PPID/environ; echo; echo ended"], lambda chunk: os.write(1, chunk),
    folder=None, environment={"PATH": os.environ["PATH"]}, timeout=30)
"""
    root = str(Path(orchestrator.__file__).parents[1])
    environ = {"PATH": os.environ["PATH"], "AWS_SECRET_ACCESS_KEY": SECRET}
    command = [sys.executable, "-c", script, root]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=environ, cwd="/")

    assert "ended" in said.stdout
    assert SECRET not in said.stdout
