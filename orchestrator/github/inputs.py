"""Check the inputs of a workflow again before they are used."""

from __future__ import annotations

import re

from orchestrator.problems import Problems


def check_input(text: str, pattern: str, input_name: str, rule: str) -> None:
    """Raise Problems unless all of ``text`` matches ``pattern``; ``rule`` is the pattern in words."""
    if not re.fullmatch(pattern, text):
        raise Problems.from_message(f"invalid {input_name}: {text[:80]!r}", hint=f"use {rule}")


def check_veto_token(text: str) -> None:
    """Raise Problems unless ``text`` is empty or the token of a vetoed plan."""
    check_input(text, r"([0-9a-f]{32})?", "token for `allow`", "the 32 hexadecimal digits shown in the vetoed plan")
