"""Run a container once, to its end, and write its output to its log stream while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable

from orchestrator.emulator.container_runtime.container import Instance
from orchestrator.emulator.container_runtime.image_puller import ImageError
from orchestrator.emulator.container_runtime.secret_values import SecretError
from orchestrator.emulator.errors import AwsError

POLL_SECONDS = 0.1


class TaskProcess:
    """One run: ``exit_code`` is None until it ends, ``failure`` says why it never began."""

    def __init__(self, start: Callable[[], Instance], write_log: Callable[[list[str]], None]) -> None:
        self._start = start
        self._write_log = write_log
        self._stopped = threading.Event()
        self.is_started = False
        self.failure = ""
        self.exit_code: int | None = None

    def stop(self) -> None:
        """Stop the container."""
        self._stopped.set()

    def execute(self) -> None:
        """Run the container to its end."""
        try:
            instance = self._start()
        except (ImageError, SecretError, AwsError, OSError) as error:
            self.failure = f"CannotPullContainerError: {error}"
            return
        self.is_started = True
        written = 0
        exit_code = None
        while exit_code is None and not self._stopped.wait(POLL_SECONDS):
            exit_code = instance.exit_code
            lines = instance.read_lines(is_over=exit_code is not None)
            self._write_log(lines[written:])
            written = len(lines)
        instance.stop()
        self.exit_code = 143 if exit_code is None else exit_code
