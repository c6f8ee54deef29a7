"""A caller that answers from a list, and a clock that never waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.aws import AwsError


class Scripted:
    """Answers calls by a function of (service, operation, parameters); keeps what was asked."""

    def __init__(self, answer: Callable[[str, str, dict[str, Any]], Any]) -> None:
        self._answer = answer
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        self.asked.append((service, operation, parameters))
        answer = self._answer(service, operation, parameters)
        if isinstance(answer, AwsError):
            raise answer
        return answer

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> list[Any]:
        answer: list[Any] = self.call(service, operation, parameters, region)
        return answer


class StillClock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def refusal(code: str, message: str = "no") -> AwsError:
    """An answer that is an error."""
    return AwsError("iam", "create_role", code, message, "req-9")
