"""Report an unexpected error: one line on the terminal, the traceback in a file, secrets redacted in both."""

from __future__ import annotations

import os
import platform
import shlex
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

import orchestrator
from orchestrator.redaction.redact import describe_exception, redact, sanitise


def report(error: Exception, arguments: Sequence[str], *, verbose: bool) -> str:
    """Return what to print.  The traceback goes to a file, or with ``verbose`` into the returned text."""
    traceback_text = str(redact("".join(traceback.format_exception(error))))
    headline = f"error: internal error (please report it): {describe_exception(error)}"
    if verbose:
        return f"{traceback_text}\n{headline}"
    try:
        return (
            f"{headline}\n    hint: see {_write(traceback_text, arguments)} for details, or run the command again "
            "with --verbose"
        )
    except OSError:
        return f"{headline}\n    hint: run the command again with --verbose for details"


def _write(traceback_text: str, arguments: Sequence[str]) -> Path:
    """Write the traceback to a new file that only its owner can read, and return its path.  Raises OSError."""
    descriptor, path = tempfile.mkstemp(prefix="orchestrator-", suffix=".crash.txt")
    version_line = f"orchestrator {orchestrator.__version__}, Python {platform.python_version()}, {platform.platform()}"
    command = sanitise(shlex.join(["orchestrator", *arguments]))
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{version_line}\n{command}\n\n{traceback_text}")
    return Path(path)
