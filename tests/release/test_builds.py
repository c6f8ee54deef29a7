"""What a deploy says while it builds, and when a build fails or is stopped: seen on the command line.

Sources: GitHub's workflow commands (a log group; commands in the output of other programs are executed), POSIX signals.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import shell
from orchestrator.cli.main import main
from orchestrator.emulator import Emulator
from tests.artefacts.images.builder_store import use_private_store
from tests.release.site_checkout import SiteCheckout

PYTHON = sys.executable
MAX_SECONDS = 7.5
"""A job that is cancelled gets SIGTERM so long after SIGINT (GitHub Docs, "Workflow cancellation reference")."""
FAILS = """
print('> vite build')
print('::set-env name=PATH::/tmp')
print('src/App.tsx(2,27): error TS2322: wrong')
for number in range(60): print('later', number)
raise SystemExit(2)
"""
SERVICE = """
---
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: api}
spec:
  image: {repository: shop-api, build: {context: api, resolveBases: false}}
"""


def set_build(shop: SiteCheckout, script: str) -> None:
    """Give the site of the checkout a build command."""
    file = shop.folder / "shop.yaml"
    command = json.dumps([PYTHON, "-u", "-c", script])
    file.write_text(file.read_text().replace("spa: {dir: dist}", f"spa: {{dir: dist, folder: ., build: {command}}}"))


@pytest.fixture
def shop(tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> SiteCheckout:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return SiteCheckout(tmp_path, emulator)


def deploy(shop: SiteCheckout, *arguments: str) -> int:
    return main(["deploy", "--auto-approve", *arguments, "-f", str(shop.folder), "-e", "prod"])


def test_a_failed_site_build_is_told_in_lines(shop: SiteCheckout, capsys: pytest.CaptureFixture[str]) -> None:
    """Its output under a heading as it arrives; then the first error, the command, the last lines and the file."""
    set_build(shop, FAILS)
    shop.emulator.clear_calls()
    code = deploy(shop)
    lines = capsys.readouterr().err.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("error: "))

    assert code == 1
    assert lines[0].startswith("Build bucket.web: ")
    assert "    > vite build" in lines[:start]
    assert r"    \x3a:set-env name=PATH::/tmp" in lines, "the runner executes no commands of a build"
    assert "first error (line 3): src/App.tsx(2,27): error TS2322: wrong" in lines[start]
    assert any(line.startswith("    Command: ") for line in lines[start:])
    assert "      later 59" in lines[start:]
    [file] = {line.partition(": ")[2] for line in lines[start:] if "Complete output" in line}
    assert len(Path(file).read_text().splitlines()) == 63
    assert "hint: to repeat it: (cd " in lines[-1]
    assert [line for line in lines[1:] if r"\n" in line and "Command:" not in line and "hint:" not in line] == [
        lines[2]
    ], "the command alone contains line ends"
    assert not [call for call in shop.emulator.calls if call.operation.startswith(("Put", "Create"))]


def test_a_github_log_has_a_group_for_it(
    shop: SiteCheckout, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And an annotation of several lines."""
    set_build(shop, FAILS)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    deploy(shop)
    lines = capsys.readouterr().err.splitlines()

    assert lines[0].startswith("::group::Build bucket.web: ")
    assert "::endgroup::" in lines
    [annotation] = [line for line in lines if line.startswith("::error")]
    assert "%0A  later 59%0A" in annotation


def test_a_site_that_is_not_where_dir_says_is_not_deployed(
    shop: SiteCheckout, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written to AWS; a deploy once ended well and served nothing."""
    set_build(shop, "import pathlib; p = pathlib.Path('build'); p.mkdir(); (p / 'index.html').write_text('x')")
    shop.emulator.clear_calls()
    codes = [deploy(shop), deploy(shop, "--no-build")]
    said = capsys.readouterr().err

    assert codes == [1, 1]
    assert "`dir: dist` does not exist" in said
    assert "the build wrote index.html to build" in said
    assert "the site is not built" in said
    assert not [call for call in shop.emulator.calls if call.operation.startswith(("Put", "Create"))]


SLEEPS = "import os, time; open({child!r}, 'w').write(str(os.getpid())); time.sleep(300)"
STUBBORN_BUILDER = """#!/bin/sh
[ "$1" = --version ] && exit 0
trap '' INT TERM
%s
"""


def build_site(shop: SiteCheckout, script: str, _: pytest.MonkeyPatch) -> None:
    set_build(shop, script)


def build_image(shop: SiteCheckout, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a builder that does not listen to signals."""
    shop.build({"index.html": "x"})
    (shop.folder / "shop.yaml").write_text((shop.folder / "shop.yaml").read_text() + SERVICE)
    (shop.folder / "api").mkdir()
    (shop.folder / "api" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    builder = shop.folder / "bin" / "buildah"
    builder.parent.mkdir()
    builder.write_text(STUBBORN_BUILDER % shlex.join([PYTHON, "-c", script]))
    builder.chmod(0o755)
    monkeypatch.setenv("PATH", f"{builder.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("ORCHESTRATOR_BUILDER", "buildah")


def read_command_line(process_id: str) -> str:
    """Return "" for a process that is gone, and for one that has ended though nobody has waited for it."""
    file = Path(f"/proc/{process_id}/cmdline")
    return file.read_text() if file.exists() else ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("set_up", [build_site, build_image])
def test_a_deploy_that_is_stopped_while_a_program_runs_says_so(
    set_up: Callable[[SiteCheckout, str, pytest.MonkeyPatch], None],
    number: signal.Signals,
    shop: SiteCheckout,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 130, and what the program started is gone: no half-built site goes on being written."""
    child = shop.folder / "child"
    set_up(shop, SLEEPS.format(child=str(child)), monkeypatch)
    words = ["deploy", "--auto-approve", "-f", str(shop.folder), "-e", "prod"]
    command = [PYTHON, "-c", "from orchestrator.cli.main import main; main()", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        deadline = time.monotonic() + 60
        while not (child.exists() and child.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        stopped_at = time.monotonic()
        said = process.communicate(timeout=60)[0]
        stopped_after = time.monotonic() - stopped_at

    assert process.returncode == 130, said
    assert said.count("Interrupted") == 1, said
    assert stopped_after < MAX_SECONDS, said
    assert "Dockerfile" not in said.partition("Interrupted")[2], "nothing in it is to be corrected"
    assert read_command_line(child.read_text()) == ""


@pytest.mark.skipif(shell.which("buildah") is None, reason="needs buildah")
@pytest.mark.xdist_group("registry")
def test_a_failed_image_build_is_told_in_lines(
    shop: SiteCheckout, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The builder's output under a heading while it runs, the same in the report, and how to repeat the build."""
    use_private_store(shop.folder / "store", monkeypatch)
    shop.build({"index.html": "x"})
    (shop.folder / "shop.yaml").write_text((shop.folder / "shop.yaml").read_text() + SERVICE)
    (shop.folder / "api").mkdir()
    (shop.folder / "api" / "Dockerfile").write_text("FROM scratch\nCOPY gone /gone\n")
    code = deploy(shop)
    shown = capsys.readouterr()
    report = shown.out[shown.out.index("Root cause: ") :].splitlines()

    assert code == 1
    assert "Output of ecr_image.api:" in shown.err.splitlines()
    assert any(line.startswith("    STEP 2/3: COPY gone /gone") for line in shown.err.splitlines())
    assert "the image build failed: buildah exited with status" in report[0]
    assert "first error (line " in report[0]
    assert any(line.startswith("    Complete output: ") for line in report)
    assert any("to repeat it: buildah build --file" in line for line in report)
    assert r"\n" not in shown.out + shown.err
    assert "characters)" not in shown.out, "nothing is cut out of the middle"
    (path,) = (line.partition("Complete output: ")[2] for line in report if line.startswith("    Complete output: "))
    assert "COPY gone /gone" in Path(path).read_text()


@pytest.mark.skipif(shell.which("buildah") is None, reason="needs buildah")
@pytest.mark.xdist_group("registry")
def test_a_deploy_can_build_again(
    shop: SiteCheckout, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`deploy --rebuild` of an unchanged checkout builds; the next deploy keeps what it built."""
    use_private_store(shop.folder / "store", monkeypatch)
    shop.build({"index.html": "x"})
    (shop.folder / "shop.yaml").write_text((shop.folder / "shop.yaml").read_text() + SERVICE)
    (shop.folder / "api").mkdir()
    (shop.folder / "api" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    built = []
    for arguments in ((), ("--rebuild",), ()):
        deploy(shop, *arguments)
        built.append("STEP 2/" in capsys.readouterr().err)

    assert built == [True, True, False]
