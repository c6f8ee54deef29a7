"""Rehearse on a real account: create a small stack of its own, change it, delete it, and record how AWS answered.

The environment is named ``rehearsal-DATE``; everything in it may be deleted, and tags say when it expires.  The record
has codes, texts and seconds, no parameters and no secrets, so it can be given to those who correct the emulator.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct

ENVIRONMENT_PREFIX: Final = "rehearsal-"
MAX_HOURS: Final = 3.0
"""Hours after which a rehearsal stops creating and begins to delete."""
RECORD_VERSION: Final = 1


class StepResult(Struct, frozen=True):
    """One step of a rehearsal: whether it went as it should, and what was seen."""

    name: str
    is_ok: bool
    detail: str
    seconds: float


class Leftover(Struct, frozen=True):
    """Something that a deletion left in AWS: what it costs, and how to delete it."""

    name: str
    cost: str
    command: str


class RehearsalRecord(Struct, frozen=True):
    """What ``rehearsal.json`` holds."""

    region: str
    is_emulated: bool
    steps: list[StepResult]
    calls: list[dict[str, Any]]
    leftovers: list[Leftover]
    version: int = RECORD_VERSION

    @property
    def is_ok(self) -> bool:
        return all(step.is_ok for step in self.steps)


def list_unknown_answers(recorded: Iterable[dict[str, Any]], emulated: Iterable[dict[str, Any]]) -> list[str]:
    """Return what recorded calls answered and emulated ones never did: operations, error codes and error texts."""
    known = {(call["service"], call["operation"], call["code"]) for call in emulated}
    return sorted(
        f"{call['service']}:{call['operation']} answered {call['code'] or 'OK'} {call['message']}".strip()
        for call in recorded
        if (call["service"], call["operation"], call["code"]) not in known
    )
