"""`orchestrator init`: Dockerfiles fit for production, and nothing that was there is lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from orchestrator.artefacts.images import dockerfile, dockerfile_parser, dockerignore
from orchestrator.cli.commands.init import TEMPLATES
from orchestrator.cli.main import main
from orchestrator.problems import ExitCode


def write(folder: Path, template: str, *more: str) -> int:
    return main(["init", "--template", template, *more, str(folder)])


@pytest.mark.parametrize("template", TEMPLATES)
class TestTemplate:
    def test_it_is_fit_for_production(self, template: str, tmp_path: Path) -> None:
        """Stages, bases that name a version, no root, port 8080, and a health check on /health."""
        assert write(tmp_path / "app", template) == ExitCode.OK
        text = (tmp_path / "app" / "Dockerfile").read_text()
        said = [(keyword, rest) for _, keyword, rest in dockerfile_parser.parse_instructions(text)]
        last = said[max(index for index, (keyword, _) in enumerate(said) if keyword == "FROM") :]
        final = dict(last)

        assert len(dockerfile.list_stage_names(text)) > 1
        assert [
            base.image for base in dockerfile.find_base_images(text, {}, "linux/amd64") if ":" not in base.image
        ] == []
        assert ":latest" not in text
        assert final["USER"] not in ("", "root", "0")
        assert final["EXPOSE"] == "8080"
        assert "PORT=8080" in final["ENV"]
        assert "/health" in final["HEALTHCHECK"]
        assert "8080" not in final["HEALTHCHECK"] + final["ENTRYPOINT"], "PORT may say otherwise"
        assert final["ENTRYPOINT"].startswith("[")
        assert "exec " in final["ENTRYPOINT"]
        assert [keyword for keyword, _ in last].index("USER") > max(
            index for index, (keyword, _) in enumerate(last) if keyword in ("RUN", "COPY")
        )

    def test_packages_are_installed_anew_only_when_their_list_changes(self, template: str, tmp_path: Path) -> None:
        """The list is copied and the packages installed before the code is copied."""
        write(tmp_path, template)
        said = [
            f"{keyword} {rest}"
            for _, keyword, rest in dockerfile_parser.parse_instructions((tmp_path / "Dockerfile").read_text())
        ]
        install = next(
            index for index, line in enumerate(said) if re.search(r"restore|pip install|npm ci|go mod download", line)
        )

        assert install < said.index("COPY . .")

    def test_no_secret_and_no_history_is_built_in(self, template: str, tmp_path: Path) -> None:
        """.git, .env files and what a build makes stay out of the context."""
        write(tmp_path, template)
        rules = dockerignore.read_patterns(tmp_path / ".dockerignore")

        assert len(rules) > 1, "the readings of all builders"
        for reading in rules:
            ignored = (".git", ".env", "deep/.env.local", "Dockerfile")
            assert all(reading.match(path, reading.no_matches)[0] for path in ignored)
            assert not reading.match("src", reading.no_matches)[0]

    def test_nothing_is_written_over_unasked(
        self, template: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """One file in the way, and none is written; --force writes over it."""
        (tmp_path / "Dockerfile").write_text("mine")

        assert write(tmp_path, template) == ExitCode.FAILED
        assert "--force" in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["Dockerfile"]
        assert (tmp_path / "Dockerfile").read_text() == "mine"
        assert write(tmp_path, template, "--force") == ExitCode.OK
        assert (tmp_path / "Dockerfile").read_text() != "mine"

    @pytest.mark.parametrize("status", [200, 503, None])
    def test_its_health_check_asks_the_application(self, template: str, status: int | None, tmp_path: Path) -> None:
        """Run as an engine runs it, beside a real server on the port that PORT names: 200 is well, nothing else is."""
        write(tmp_path, template)
        command = words(tmp_path, "HEALTHCHECK")
        program = "curl" if template in ("dotnet", "go") else command[0]
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
        with serving(status) as (port, asked):
            done = subprocess.run(command, env={**os.environ, "PORT": str(port)}, capture_output=True, check=False)

        assert (done.returncode == 0) == (status == 200), done.stderr
        assert asked == ([] if status is None else ["/health"])

    def test_what_is_run_is_told_the_port(self, template: str, tmp_path: Path) -> None:
        """And it is the process itself, not a child of a shell, so that it is told to end."""
        write(tmp_path, template)
        stand_in = tmp_path / {"go": "server"}.get(template, template)
        stand_in.write_text('#!/bin/sh\necho "$$ $PORT $ASPNETCORE_HTTP_PORTS $*"\n')
        stand_in.chmod(0o755)
        told = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PORT": "9001", "ENTRY": "what runs", "APP": "what runs"}
        with subprocess.Popen(words(tmp_path, "ENTRYPOINT"), env=told, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            pid, port, *rest = process.stdout.read().split()

        assert (int(pid), port) == (process.pid, "9001")
        assert rest == {"dotnet": ["9001", "what", "runs"], "python": ["-m", "what", "runs"], "go": []}.get(
            template, ["what", "runs"]
        )


def words(folder: Path, keyword: str) -> list[str]:
    """The command of the Dockerfile's last such instruction, as an engine starts it."""
    text = (folder / "Dockerfile").read_text()
    last = [rest for _, found, rest in dockerfile_parser.parse_instructions(text) if found == keyword][-1]
    said = last.partition("CMD ")[2] or last
    found: list[str] = json.loads(said) if said.startswith("[") else ["sh", "-c", said]
    return found


@contextmanager
def serving(status: int | None) -> Iterator[tuple[int, list[str]]]:
    """A server that answers with ``status``, or a port where nobody listens; and the paths that it was asked for."""
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status or 0)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        port = int(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        if status is not None:
            thread.start()
            yield port, asked
            server.shutdown()
            thread.join()
    if status is None:
        yield port, asked


def test_dotnet_is_built_with_its_sdk_and_runs_on_its_runtime(tmp_path: Path) -> None:
    """.NET 10; the runtime image has no curl of its own."""
    write(tmp_path, "dotnet")
    text = (tmp_path / "Dockerfile").read_text()

    assert [base.image for base in dockerfile.find_base_images(text, {}, "linux/amd64")] == [
        "mcr.microsoft.com/dotnet/sdk:10.0",
        "mcr.microsoft.com/dotnet/aspnet:10.0",
    ]
    assert "install --yes --no-install-recommends curl" in text
