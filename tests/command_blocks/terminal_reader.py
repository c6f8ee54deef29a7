"""A reader with a terminal: types shell commands, and answers what they ask."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

Answer = tuple[str, str]
"""A pattern of a question, and what is typed."""
ANSWERS: tuple[Answer, ...] = ((r"Only 'yes' is accepted: ?\Z", "yes"),)
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\r")


def run_line(
    line: str, folder: Path, environment: Mapping[str, str], answers: Sequence[Answer] = ()
) -> tuple[int, str]:
    """Run a line of shell; return its exit code, and everything shown without escapes."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", line],
        cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder),
            "LANG": "C.UTF-8", "TERM": "dumb", "COLUMNS": "160", "LINES": "50", **environment,
        },
    )  # fmt: skip
    os.close(theirs)
    shown, unanswered = "", ""
    try:
        while chunk := os.read(ours, 65_536):
            text = ESCAPES.sub("", chunk.decode(errors="replace"))
            shown, unanswered = shown + text, unanswered + text
            for question, answer in (*answers, *ANSWERS):
                if re.search(question, unanswered):
                    os.write(ours, f"{answer}\n".encode())
                    unanswered = ""
    except OSError:  # how Linux says that the other side has closed
        pass
    os.close(ours)
    return process.wait(), shown
