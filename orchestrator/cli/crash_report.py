"""An error nobody foresaw: one sentence on the screen, the traceback in a file, no secret in either."""

from __future__ import annotations

import os
import platform
import shlex
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

import orchestrator
from orchestrator.redaction.redact import redact, safe


def report(error: Exception, arguments: Sequence[str], *, verbose: bool) -> str:
    """What to print.  The traceback goes to a file of its own, or with ``verbose`` into the answer."""
    trace = str(redact("".join(traceback.format_exception(error))))
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}orchestrator{os.sep}" in frame.filename] or list(frames)
    place = f" in {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    lead = f"error: a bug of the orchestrator: {type(error).__name__}{place}: {safe(str(error))[:500]}"
    if verbose:
        return f"{trace}\n{lead}"
    try:
        return f"{lead}\n    hint: the details are in {_write(trace, arguments)}; --verbose shows them here"
    except OSError:
        return f"{lead}\n    hint: --verbose shows the details"


def _write(trace: str, arguments: Sequence[str]) -> Path:
    """Only its owner may read the file.  Raises OSError."""
    descriptor, path = tempfile.mkstemp(prefix="orchestrator-", suffix=".crash.txt")
    about = f"orchestrator {orchestrator.__version__}, Python {platform.python_version()}, {platform.platform()}"
    command = safe(shlex.join(["orchestrator", *arguments]))
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{about}\n{command}\n\n{trace}")
    return Path(path)
