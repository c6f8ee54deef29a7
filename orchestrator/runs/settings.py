"""Settings that every command shares: manifests, environment, log and terminal."""

from __future__ import annotations

import shlex
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator.runs.terminal import Terminal


class Settings(Struct):
    """Options of every command; one object per process, filled when the command line is parsed.

    ``captured_output`` captures the output of the command ``command_name`` for the document that ends it.
    """

    manifests: Path = Path("manifests")
    environment: str | None = None
    verbose: bool = False
    log_format: Literal["text", "json"] = "text"
    terminal: Terminal = field(default_factory=Terminal.from_environment)
    command_name: str = ""
    captured_output: StringIO | None = None

    def set_terminal(self, *, no_colour: bool) -> None:
        """Use the terminal of this process, or with ``captured_output`` one whose output is plain and captured."""
        terminal = Terminal.from_environment(no_colour=no_colour)
        if self.captured_output is not None:
            terminal = replace(terminal, out=self.captured_output, has_colour=False, width=0)
        self.terminal = terminal

    def choose_environment(self) -> None:
        """Ask for the environment on a terminal, if there are several and none was given."""
        if self.environment is not None or not self.terminal.is_interactive:
            return
        from orchestrator.manifest import overlay

        names = overlay.list_names(self.manifests)
        if len(names) < 2 or not self.manifests.is_dir():
            return
        for _ in range(3):
            answer = self.terminal.prompt(f"Environment ({', '.join(names)}):")
            if answer in names:
                self.environment = answer
            if answer in names or not answer:
                return

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
