"""Capture a terminal with tmux, including colours, and render it as HTML."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from io import StringIO
from pathlib import Path

TIMEOUT_SECONDS = 90.0
PAGE_TEMPLATE = """<!doctype html><meta charset="utf-8"><style>
html {{ background: #fff; }} body {{ margin: 0; padding: 14px; }}
.window {{ background: #14181d; border-radius: 9px; box-shadow: 0 2px 8px #0005; overflow: hidden; }}
.bar {{ background: #262b31; color: #9aa4ae; font: 12px "DejaVu Sans", sans-serif; height: 26px; line-height: 26px;
  text-align: center; position: relative; }}
.bar i {{ position: absolute; top: 8px; width: 10px; height: 10px; border-radius: 5px; }}
pre {{ margin: 0; padding: 10px 16px 14px; font: 13px/18px "DejaVu Sans Mono", monospace; color: #d5dbe1; }}
</style><div class="window"><div class="bar"><i style="left:12px;background:#ef6a5e"></i>
<i style="left:29px;background:#f5bf4f"></i><i style="left:46px;background:#62c554"></i>{title}</div>
<pre>{body}</pre></div>"""


class Screen:
    """A tmux session with ``columns`` x ``rows`` characters, in ``folder``."""

    def __init__(self, socket: str, columns: int, rows: int, folder: Path, environment: Mapping[str, str]) -> None:
        self._tmux = ["tmux", "-L", socket, "-f", os.devnull]
        shell = ["env", "-i", *(f"{name}={value}" for name, value in environment.items()), "bash", "--norc", "-i"]
        size = ["-x", str(columns), "-y", str(rows)]
        self._run_tmux("new-session", "-d", *size, "-c", str(folder), *shell)
        self._run_tmux("set", "-g", "status", "off")
        self.wait_for("$")

    def _run_tmux(self, *words: str) -> str:
        completed = subprocess.run([*self._tmux, *words], capture_output=True, text=True, check=True, timeout=20)
        return completed.stdout

    def type_line(self, line: str) -> None:
        """Type ``line`` and press Enter."""
        self._run_tmux("send-keys", "-l", line)
        self._run_tmux("send-keys", "Enter")

    def read_text(self, *, colours: bool = False) -> str:
        """Return the current text of the screen."""
        return self._run_tmux("capture-pane", "-p", *(["-e"] if colours else [])).rstrip("\n ")

    def wait_for(self, *texts: str) -> str:
        """Wait until the screen shows one of ``texts``; return its text with colour codes."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if any(text in self.read_text() for text in texts):
                return self.read_text(colours=True)
            time.sleep(0.02)
        raise TimeoutError(f"the screen shows none of {texts}:\n{self.read_text()}")

    def close(self) -> None:
        self._run_tmux("kill-server")


@contextmanager
def open_screen(columns: int, rows: int, folder: Path, environment: Mapping[str, str]) -> Iterator[Screen]:
    """Open a terminal with a shell prompt."""
    base_environment = {
        "PS1": "$ ",
        "HISTFILE": os.devnull,
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
    }
    terminal = Screen(f"pictures-{os.getpid()}", columns, rows, folder, base_environment | dict(environment))
    try:
        yield terminal
    finally:
        terminal.close()


def render_page(ansi: str, title: str) -> str:
    """Render terminal text as an HTML page."""
    from rich.console import Console
    from rich.terminal_theme import TerminalTheme
    from rich.text import Text

    colours = [(20, 24, 29), (240, 113, 120), (140, 200, 110), (229, 192, 105), (97, 160, 235), (198, 140, 230),
              (86, 190, 200), (213, 219, 225)]  # fmt: skip
    theme = TerminalTheme((20, 24, 29), (213, 219, 225), colours, colours)
    console = Console(record=True, width=500, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(ansi), soft_wrap=True)
    body = console.export_html(theme=theme, inline_styles=True, code_format="{code}").rstrip()
    return PAGE_TEMPLATE.format(title=escape(title), body=body)
