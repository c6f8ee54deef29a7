"""Clients that record each call before they make it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.aws import Clients
from orchestrator.steps import to_operation_name


@dataclass
class RecordingClients(Clients):
    """Clients of one role: every call, with its parameters."""

    region: str = "eu-west-1"
    calls: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.region, attempts=2)
        self._lock = threading.Lock()

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        self._append_call(service, operation, parameters)
        return super().call(service, operation, parameters, region)

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> list[Any]:
        self._append_call(service, operation, parameters)
        return super().pages(service, operation, parameters, region)

    def _append_call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> None:
        with self._lock:
            self.calls.append((service, to_operation_name(operation), dict(parameters)))
