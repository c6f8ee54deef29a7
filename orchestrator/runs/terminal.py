"""The terminal of a command: its streams, and what they can display.  The only reader of NO_COLOR, TERM and the like."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from typing import TextIO

from msgspec import Struct

from orchestrator.problems import Problems
from orchestrator.render.style import Style


class Terminal(Struct, frozen=True):
    """Three streams; ``interactive`` when a person can be asked, ``live`` when ``err`` can be drawn over."""

    stdin: TextIO
    out: TextIO
    err: TextIO
    has_colour: bool = False
    is_interactive: bool = False
    is_live: bool = False
    is_github_actions: bool = False
    width: int = 0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, *, no_colour: bool = False) -> Terminal:
        """The terminal of this process.  Colour needs a terminal, or FORCE_COLOR; NO_COLOR and TERM=dumb forbid it."""
        is_tty = sys.stdout.isatty()
        can_redraw = environ.get("TERM") != "dumb"
        wants_colour = (is_tty and can_redraw) or bool(environ.get("FORCE_COLOR"))
        return cls(
            sys.stdin,
            sys.stdout,
            sys.stderr,
            has_colour=wants_colour and not no_colour and not environ.get("NO_COLOR"),
            is_interactive=is_tty and sys.stdin.isatty(),
            is_live=is_tty and can_redraw and sys.stderr.isatty(),
            is_github_actions=environ.get("GITHUB_ACTIONS") == "true",
            width=shutil.get_terminal_size((100, 24)).columns if is_tty else 0,
        )

    @property
    def style(self) -> Style:
        """How text may look on ``out``."""
        return Style(self.has_colour, self.width, getattr(self.out, "encoding", None) or "utf-8")

    def print_out(self, text: str) -> None:
        """Write a result to ``out``.  A reader that has gone away, as ``head`` does, is no failure."""
        _write(self.out, text)

    def print_err(self, text: str) -> None:
        """Write what is not the result to ``err``."""
        _write(self.err, text)

    def prompt(self, question: str) -> str:
        """The line a person types after ``question``; empty at the end of input, and where the terminal has hung up."""
        _write(self.err, question + " ", line_ending="")
        try:
            return self.stdin.readline().strip()
        except OSError:
            return ""


def _write(stream: TextIO, text: str, line_ending: str = "\n") -> None:
    try:
        stream.write(text if text.endswith("\n") and line_ending else text + line_ending)
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except OSError as error:
        hint = "free some disk space and run the command again; completed changes stay"
        raise Problems.from_message(f"cannot write to {stream.name}: {error.strerror}", hint=hint) from None
