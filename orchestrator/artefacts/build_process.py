"""Run the commands of a build: without credentials, with their output shown as it arrives and kept in a file.

Whatever a build runs (the scripts of every npm package, a Dockerfile's instructions) is other people's code. It gets
neither the credentials of the deploy nor the files through which a workflow step talks to its runner. Registry logins
reach a builder through a private file (``registry_login``), variables of a site through ``spa.env``.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from msgspec import Struct

from orchestrator import shell
from orchestrator.problems import ExitCode, Position, Problem, Problems
from orchestrator.redaction.output_redactor import OutputRedactor

WITHHELD_PREFIXES = ("AWS_", "ACTIONS_", "ORCHESTRATOR_")
"""Prefixes of variables that no build gets: AWS's credentials, the runner's tokens (OIDC), the orchestrator's own."""
WITHHELD_NAMES = frozenset(
    {
        *("GITHUB_TOKEN", "GH_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_PAT"),
        *("GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY"),
    }
)
"""More such variables: tokens, and the files that set variables and results of a workflow step."""
MAX_TAIL_LINES = 30
"""Lines of output that a failure shows."""
MAX_LINE_CHARS = 2000
MAX_LOG_FILES = 20
"""Files of earlier builds to keep."""
PROBE_TIMEOUT_SECONDS = 30.0
"""Seconds to wait when checking whether a program works."""
OnOutput = Callable[[str], None]
_ANSI_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_ERROR_LINE = re.compile(
    r"\berror(?:\s+[A-Z]+[0-9]+)?\s*:|\berror [A-Z]{2,}[0-9]+\b|^\W*(?:error|fatal|panic|E:)\b|\bERR!|"
    r"^[A-Z]\w*(?:Error|Exception)\b|\b(?:command|file) not found\b|: not found$|\bno such file\b|\bfailed to\b",
    re.IGNORECASE | re.MULTILINE,
)
_NO_ERROR_LINE = re.compile(r"\b(?:0|no) error", re.IGNORECASE)


def ignore_output(_: str) -> None:
    """Ignore a line of output."""


def build_environment(additions: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of every process of a build: our own without credentials, with ``additions``."""
    inherited = {name: value for name, value in os.environ.items() if not is_withheld(name)}
    return {**inherited, **(additions or {})}


def is_withheld(name: str) -> bool:
    """Return whether a build does not get the variable ``name``."""
    return name.upper().startswith(WITHHELD_PREFIXES) or name.upper() in WITHHELD_NAMES


def probe(command: Sequence[str], environment: Mapping[str, str] | None = None) -> shell.ProcessResult:
    """Run a short command that belongs to a build and shows nothing.  Raises Problems if it cannot be started."""
    return shell.run(command, inherited=build_environment(environment), timeout=PROBE_TIMEOUT_SECONDS)


class BuildResult(Struct, frozen=True):
    """A finished command: its last lines, and its first line that looks like an error, with its number in the file."""

    command: tuple[str, ...]
    exit_code: int
    tail: tuple[str, ...]
    first_error: tuple[int, str] | None = None


class CommandOutput:
    """The output of one command, without secrets, on its way to a file and a screen."""

    def __init__(
        self, command: Sequence[str], redactor: OutputRedactor, line_number: int, file: IO[bytes], on_output: OnOutput
    ) -> None:
        self._command = command
        self._redactor = redactor
        self.line_number = line_number
        self._file = file
        self._on_output = on_output
        self._tail: deque[str] = deque(maxlen=MAX_TAIL_LINES)
        self._first_error: tuple[int, str] | None = None

    def add(self, chunk: bytes) -> None:
        """Show one line with its end, or a part of a very long one."""
        self._show(self._redactor.feed(chunk))

    def finish(self) -> None:
        """Show what was held back because it could have been the beginning of a secret."""
        self._show(self._redactor.finish())

    def result(self, exit_code: int) -> BuildResult:
        """Return what is known of the command, which exited with ``exit_code``."""
        return BuildResult(tuple(self._command), exit_code, tuple(self._tail), self._first_error)

    def _show(self, chunk: bytes) -> None:
        if not chunk:
            return
        _write(self._file, chunk)
        line = _clean_line(chunk)
        if line.strip():
            self._tail.append(line)
            if self._first_error is None and _ERROR_LINE.search(line) and not _NO_ERROR_LINE.search(line):
                self._first_error = self.line_number, line.strip()
        self.line_number += chunk.endswith(b"\n")
        self._on_output(line)


class BuildLog:
    """The output of one build: every command's, in ``file``, and line by line to ``on_output``.

    Neither of them shows ``secrets`` or what looks like one.
    """

    def __init__(self, name: str, on_output: OnOutput = ignore_output, secrets: Iterable[str] = ()) -> None:
        self._redactor = OutputRedactor(secrets)
        self.file = _new_log_file(name)
        self._on_output = on_output
        self._line_number = 1
        self._show(f"Complete output: {self.file}")

    def run(
        self,
        command: Sequence[str],
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        timeout: float = 3600.0,
        is_trusted: bool = False,
    ) -> BuildResult:
        """Run one command of the build, with ``environment`` added to that of every build; ``timeout`` in seconds.

        A command that ``is_trusted`` gets our own environment with all credentials.
        Raises Problems if it cannot be started, times out or is interrupted.
        """
        complete = {**os.environ, **(environment or {})} if is_trusted else build_environment(environment)
        with self.capture(command) as output:
            exit_code = shell.stream(command, output.add, folder=folder, environment=complete, timeout=timeout)
        return output.result(exit_code)

    @contextmanager
    def capture(self, command: Sequence[str]) -> Iterator[CommandOutput]:
        """Yield where the output of one command goes, whatever runs it; what is held back is shown at the end."""
        self._show(f"$ {shlex.join(command)}")
        with self.file.open("ab") as file:
            output = CommandOutput(command, self._redactor, self._line_number, file, self._show)
            try:
                yield output
            finally:
                output.finish()
                self._line_number = output.line_number

    def failure(
        self, result: BuildResult, message: str, *, repeat: str = "", hint: str = "", where: Position | None = None
    ) -> Problems:
        """Return the problem that a command failed: its first error, its last lines, and how to ``repeat`` it."""
        headline = f"{message}: {Path(result.command[0]).name} exited with status {result.exit_code}"
        if result.first_error:
            number, text = result.first_error
            headline += f"; first error (line {number}): {text}"
        lines = [headline, f"Command: {shlex.join(result.command)}"]
        if result.tail:
            lines += ["Last lines:", *(f"  {line}" for line in result.tail)]
        lines.append(f"Complete output: {self.file}")
        hints = [f"to repeat it: {repeat}"] if repeat else []
        return Problems([Problem("\n".join(lines), where, "; ".join([*hints, *filter(None, [hint])]) or None)])

    def _show(self, line: str) -> None:
        try:
            self._on_output(line)
        except (OSError, ValueError, Problems):  # the output was closed: the build continues
            self._on_output = ignore_output


def interruption(error: Problems, message: str) -> Problems:
    """Return ``error``, or the problem that the build was interrupted if it was."""
    if error.exit_code is not ExitCode.INTERRUPTED:
        return error
    return Problems([Problem(message, hint="run the same command again")], ExitCode.INTERRUPTED)


def format_repeat(folder: Path, command: Sequence[str]) -> str:
    """Return a line for a shell that runs ``command`` in ``folder``."""
    return f"(cd {shlex.quote(str(folder))} && {shlex.join(command)})"


def _write(log: IO[bytes], chunk: bytes) -> None:
    try:
        log.write(chunk)
        log.flush()
    except OSError:  # a full disk: the build goes on, and fails by itself if it needs the space
        return


def _clean_line(chunk: bytes) -> str:
    """Return a line as a terminal would leave it: without colours and without what a carriage return overwrites."""
    text = _ANSI_SEQUENCE.sub("", chunk.decode("utf-8", "replace")).rstrip("\r\n")
    return text.rpartition("\r")[2].expandtabs()[:MAX_LINE_CHARS]


def _new_log_file(name: str) -> Path:
    """Return a new file in a folder of this user, and remove the oldest ones of earlier builds."""
    safe_name = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    try:
        folder = _log_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old_file in sorted(folder.glob("*.log"), key=lambda file: file.stat().st_mtime)[: 1 - MAX_LOG_FILES]:
            old_file.unlink(missing_ok=True)
        file = folder / f"{stamp}-{safe_name}.log"
        file.touch(0o600, exist_ok=False)
    except OSError:
        file = Path(tempfile.mkdtemp(prefix="orchestrator-build-")) / f"{safe_name}.log"
        file.touch(0o600)
    return file


def _log_folder() -> Path:
    """Return the folder of the build logs: never below a build context, where a log would change the image's tag."""
    state_folder = os.environ.get("RUNNER_TEMP") or os.environ.get("XDG_STATE_HOME")
    return Path(state_folder or Path.home() / ".local" / "state") / "orchestrator" / "builds"
