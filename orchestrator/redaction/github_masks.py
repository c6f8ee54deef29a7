"""Tells GitHub's runner which words are secret, so that it blots them out of whatever anything prints after.

The second line behind ``redaction``: what this program shows is clean by itself, but tools that it starts (builders,
migrations) print what they like.  Outside of a runner nothing is said: there a mask would be the only leak.
API: GitHub Actions' workflow command ``add-mask``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO

MIN_MASK_LENGTH = 6
"""Characters: a mask of a shorter word would blot out half of a log."""


def mask(secret: str, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """Have ``secret`` blotted out from now on, line by line; gives it back.

    To standard error, which no one sends to a file: the runner reads its commands from either, at the start of a line
    alone, so a line that somebody has begun is ended first.
    """
    if environ.get("GITHUB_ACTIONS") == "true":
        lines = [line for line in secret.splitlines() if len(line.strip()) >= MIN_MASK_LENGTH]
        out = stream or sys.stderr
        out.write("".join(f"\n::add-mask::{line.replace('%', '%25')}\n" for line in lines))
        out.flush()
    return secret
