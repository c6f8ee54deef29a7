"""Run local processes; the only module that starts any.

Secrets reach a process through its standard input or environment, never through its command line.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from msgspec import Struct

from orchestrator.problems import ExitCode, Problem, Problems

MAX_OUTPUT_CHARS = 4000
"""Characters of a failed process's output that the error message shows."""
MAX_CHUNK_BYTES = 64 * 1024
"""Bytes of a line that are read at once, so that a line without an end cannot fill the memory."""
STOP_TIMEOUT_SECONDS = 5.0
"""Seconds that a stopped process has to end, and that processes it left behind may keep its output open."""
PR_SET_DUMPABLE = 4
"""Operation of Linux's prctl(2)."""
INTERRUPT_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ProcessResult(Struct, frozen=True):
    """A finished process: its exit code and its output, both streams in order of arrival."""

    exit_code: int
    output: str


def which(program: str) -> str | None:
    """Return the path of a program, or None if it is not installed."""
    return shutil.which(program)


def run(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout: float = 3600.0,
    inherited: Mapping[str, str] | None = None,
) -> ProcessResult:
    """Run one command and wait for it; ``timeout`` in seconds.

    Its environment is ``inherited``, or our own if that is None, with ``environment`` added.  Raises Problems if it
    cannot be started or times out.
    """
    try:
        completed = subprocess.run(
            list(command),
            cwd=folder,
            env={**(os.environ if inherited is None else inherited), **(environment or {})},
            input=stdin,
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except OSError as error:
        raise _start_problem(command, error) from None
    except subprocess.TimeoutExpired:
        raise _timeout_problem(command, timeout) from None
    return ProcessResult(completed.returncode, completed.stdout)


def run_checked(command: Sequence[str], *, failure_message: str, hint: str | None = None, **options: object) -> str:
    """Run a command and return its output.

    Raises Problems with ``failure_message`` and the end of the output if it fails.
    """
    result = run(command, **options)  # type: ignore[arg-type]
    if result.exit_code:
        message = (
            f"{failure_message}: {command[0]} exited with status "
            f"{result.exit_code}\n{result.output[-MAX_OUTPUT_CHARS:].strip()}"
        )
        raise Problems.from_message(message, hint=hint)
    return result.output


def stream(
    command: Sequence[str],
    on_chunk: Callable[[bytes], None],
    *,
    folder: Path | None,
    environment: Mapping[str, str],
    timeout: float,
) -> int:
    """Run one command in exactly ``environment``, pass on its output while it runs, and return its exit code.

    ``on_chunk`` gets one line with its end, or a part of a very long one, from another thread.  The process has a group
    of its own, so that everything it started is stopped with it.  Raises Problems if it cannot be started or times
    out, and Problems with ``ExitCode.INTERRUPTED`` if it is stopped, also through ``stop_streams``.
    """
    _hide_own_environment()
    try:
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise _start_problem(command, error) from None
    assert process.stdout is not None
    reader = threading.Thread(target=_read_chunks, args=(process.stdout, on_chunk), name="build-output", daemon=True)
    reader.start()
    try:
        is_stopped = _wait_for(process, timeout)
    except subprocess.TimeoutExpired:
        raise _timeout_problem(command, timeout) from None
    finally:
        reader.join(STOP_TIMEOUT_SECONDS)
        if reader.is_alive():  # a server that the build left behind keeps the output open
            _signal_group(process, signal.SIGKILL)
            reader.join(STOP_TIMEOUT_SECONDS)
    if is_stopped or -process.returncode in INTERRUPT_SIGNALS:
        raise Problems([Problem(f"{command[0]} was interrupted")], ExitCode.INTERRUPTED)
    return process.returncode


def kill_at_line(command: Sequence[str], is_last: Callable[[str], bool], timeout: float) -> bool:
    """Run a program in our environment and kill it as `kill -9` does, with what it started, at the line that is last.

    Returns whether that line came: not if the program ends before, or is killed after ``timeout`` seconds.
    Raises Problems if it cannot be started.
    """
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise _start_problem(command, error) from None
    assert process.stdout is not None
    timer = threading.Timer(timeout, _signal_group, (process, signal.SIGKILL))
    timer.daemon = True
    timer.start()
    try:
        with process.stdout as lines:
            return any(is_last(line.decode("utf-8", "replace")) for line in lines)
    finally:
        timer.cancel()
        _signal_group(process, signal.SIGKILL)
        process.wait()


def run_interactive(command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Run a program on this terminal and return its exit code; Ctrl-C is the program's business.

    Its environment is ours with ``environment`` added.  Raises Problems if it cannot be started.
    """
    try:
        process = subprocess.Popen(list(command), env={**os.environ, **(environment or {})})
    except OSError as error:
        raise _start_problem(command, error) from None
    while True:
        with suppress(KeyboardInterrupt):
            return process.wait()


@contextmanager
def run_in_background(command: Sequence[str]) -> Iterator[Callable[[], int | None]]:
    """Run a program for the length of a ``with`` block; yield a function that returns its exit code once it has ended.

    Its output is dropped.  It has a process group of its own, which is stopped at the end.
    """
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise _start_problem(command, error) from None
    try:
        yield process.poll
    finally:
        _stop_group(process)


def _wait_for(process: subprocess.Popen[bytes], timeout: float) -> bool:
    """Wait for a process and return whether ``stop_streams`` stopped it; stop it on Ctrl-C and after ``timeout``."""
    _streams.add(process)
    try:
        process.wait(timeout)
    except BaseException:
        _stop_group(process)
        raise
    is_stopped = process not in _streams
    _streams.discard(process)
    return is_stopped


_streams: set[subprocess.Popen[bytes]] = set()


def stop_streams() -> None:
    """Stop all processes that ``stream`` runs in any thread, because the run was interrupted."""
    for process in tuple(_streams):
        _streams.discard(process)
        _signal_group(process, signal.SIGTERM)
        killer = threading.Timer(STOP_TIMEOUT_SECONDS, _signal_group, (process, signal.SIGKILL))
        killer.daemon = True
        killer.start()


def _hide_own_environment() -> None:
    """Keep processes of the same user from reading our environment and memory through ``/proc``, on Linux.

    What a process gets in its own environment says nothing if it can read its parent's.  Root still can.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _read_chunks(stdout: IO[bytes], on_chunk: Callable[[bytes], None]) -> None:
    with stdout:
        while chunk := stdout.readline(MAX_CHUNK_BYTES):
            on_chunk(chunk)


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    _signal_group(process, signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _start_problem(command: Sequence[str], error: OSError) -> Problems:
    return Problems.from_message(f"cannot run {command[0]}: {error.strerror}")


def _timeout_problem(command: Sequence[str], timeout: float) -> Problems:
    return Problems.from_message(f"{command[0]} timed out after {timeout:.0f}s and was stopped")
