"""Settings of one run: which manifests, which environment, and how to talk to the user."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, field

from orchestrator.runs.terminal import Terminal


class Settings(Struct):
    """What every verb may be told; one a process, filled once the command line is parsed."""

    manifests: Path = Path("manifests")
    environment: str | None = None
    verbose: bool = False
    log_format: Literal["text", "json"] = "text"
    terminal: Terminal = field(default_factory=Terminal.from_environment)

    def command_line(self, verb: str, *arguments: str) -> str:
        """A command line for the same manifests and environment, ready to be typed."""
        command_parts = ["orchestrator", verb, *arguments]
        command_parts += ["-f", str(self.manifests)] if self.manifests != Path("manifests") else []
        command_parts += ["-e", self.environment] if self.environment else []
        return shlex.join(command_parts)

    def create_logger(self) -> Any:
        """The log, or None when nothing is to be logged: plain text without ``--verbose`` needs no log."""
        if self.log_format == "text" and not self.verbose:
            return None
        from orchestrator import logs

        terminal = self.terminal
        return logs.configure(terminal.err, self.log_format, verbose=self.verbose, colour=terminal.has_colour)
