"""Register secrets with the GitHub Actions runner, which masks them in all later output.

The second line of defence behind ``redact``: our own output is redacted, but tools that we start (builders,
migrations) may print anything.  Does nothing outside a runner, where printing the mask would itself leak the secret.
API: GitHub Actions' workflow command ``add-mask``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO

MIN_MASK_LENGTH = 6
"""In characters: masking shorter words would make a log unreadable."""


def mask(secret: str, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """Mask every line of ``secret`` in later output of the runner and return ``secret``.

    Writes to standard error, which is not redirected to files.  The runner reads commands from both streams, but only
    at the start of a line, so the command begins with a newline.
    """
    if environ.get("GITHUB_ACTIONS") == "true":
        lines = [line for line in secret.splitlines() if len(line.strip()) >= MIN_MASK_LENGTH]
        out = stream or sys.stderr
        out.write("".join(f"\n::add-mask::{line.replace('%', '%25')}\n" for line in lines))
        out.flush()
    return secret
