"""The terminal of a command: its streams and what they can display.  Only this module reads NO_COLOR and TERM."""

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
    """The three streams.  ``is_interactive``: the user can be asked.  ``is_live``: lines on ``err`` can be redrawn."""

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
        """Return the terminal of this process.

        It has colour on a TTY (unless TERM is dumb) or if FORCE_COLOR is set, but never if NO_COLOR is set.
        """
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
        """The style that ``out`` supports."""
        return Style(self.has_colour, self.width, getattr(self.out, "encoding", None) or "utf-8")

    def print_out(self, text: str) -> None:
        """Write a result to ``out``.  A closed pipe, as with ``| head``, is ignored."""
        _write(self.out, text)

    def print_err(self, text: str) -> None:
        """Write progress, hints and errors to ``err``."""
        _write(self.err, text)

    def prompt(self, question: str) -> str:
        """Ask ``question`` and return the typed line; "" at the end of input, or if the terminal has hung up."""
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
