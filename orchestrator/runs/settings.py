"""Settings that every command shares: manifests, environment, log and terminal."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, field

from orchestrator.runs.terminal import Terminal


class Settings(Struct):
    """Options of every command; one object per process, filled when the command line is parsed."""

    manifests: Path = Path("manifests")
    environment: str | None = None
    verbose: bool = False
    log_format: Literal["text", "json"] = "text"
    terminal: Terminal = field(default_factory=Terminal.from_environment)

    def command_line(self, verb: str, *arguments: str) -> str:
        """Return a command line for these manifests and this environment, quoted for a shell."""
        command_parts = ["orchestrator", verb, *arguments]
        command_parts += ["-f", str(self.manifests)] if self.manifests != Path("manifests") else []
        command_parts += ["-e", self.environment] if self.environment else []
        return shlex.join(command_parts)

    def create_logger(self) -> Any:
        """Return the logger, or None if logging is off: text format without ``--verbose``."""
        if self.log_format == "text" and not self.verbose:
            return None
        from orchestrator import logs

        terminal = self.terminal
        return logs.configure(terminal.err, self.log_format, verbose=self.verbose, colour=terminal.has_colour)
