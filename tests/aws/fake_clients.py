"""A caller that answers from a list, and a clock that never waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.aws import AwsError


class ScriptedCaller:
    """Answers calls by a function of (service, operation, parameters); keeps what was asked."""

    def __init__(self, respond: Callable[[str, str, dict[str, Any]], Any]) -> None:
        self._respond = respond
        self.calls: list[tuple[str, str, dict[str, Any]]] = []

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        self.calls.append((service, operation, parameters))
        response = self._respond(service, operation, parameters)
        if isinstance(response, AwsError):
            raise response
        return response

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> list[Any]:
        responses: list[Any] = self.call(service, operation, parameters, region)
        return responses


class FakeClock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


def make_aws_error(code: str, message: str = "no") -> AwsError:
    """An answer that is an error."""
    return AwsError("iam", "create_role", code, message, "req-9")
