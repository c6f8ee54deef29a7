"""Errors as data: a problem has a message, a position in a file and a hint.

May know: the standard library.  May not: read files, talk to AWS, print.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Self

from msgspec import Struct


class ExitCode(IntEnum):
    """Exit codes of every command; scripts depend on them."""

    OK = 0
    FAILED = 1
    CHANGES = 2
    VETOED = 3
    UNHEALTHY = 4
    ROLLED_BACK = 5
    UNREVIEWED = 6
    PINNED = 7
    INTERRUPTED = 130


class Position(Struct, frozen=True, order=True):
    """A position in a text file; line and column count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Problem(Struct, frozen=True):
    """One error: what is wrong, where (if it is in a file), and what to do about it."""

    message: str
    where: Position | None = None
    hint: str | None = None

    def __str__(self) -> str:
        location = f"{self.where}: " if self.where else ""
        hint = f"\n    hint: {self.hint}" if self.hint else ""
        return f"{location}{self.message}{hint}"


class Problems(Exception):  # noqa: N818 - it holds problems; "ProblemsError" would say less
    """All problems of one operation, raised together; ordered by position, without duplicates."""

    def __init__(self, problems: Iterable[Problem], exit_code: ExitCode = ExitCode.FAILED) -> None:
        unique = dict.fromkeys(problems)
        no_position = Position("")
        self.problems = tuple(sorted(unique, key=lambda problem: (problem.where or no_position, problem.message)))
        self.exit_code = exit_code
        super().__init__("\n".join(map(str, self.problems)))

    @classmethod
    def from_message(cls, message: str, *, hint: str | None = None, where: Position | None = None) -> Self:
        """Return Problems with a single problem."""
        return cls([Problem(message, where, hint)])

    @classmethod
    def from_missing_extra(cls, feature: str, extra: str, package: str | None) -> Self:
        """Return the problem that ``feature`` needs an extra of this distribution that is not installed.

        The hint names no package of an index: until this distribution is published, its name could be somebody else's.
        """
        return cls.from_message(
            f"{feature} requires the package {package or 'of its extra'}, which is not installed",
            hint=f"install the wheel with its extra, `WHEEL[{extra}]`, or in a checkout: pip install -e '.[{extra}]'",
        )
