"""Clients that record how AWS answered: operations, codes, texts and seconds, and nothing of what was sent."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from orchestrator.aws import AwsError, Clients
from orchestrator.redaction.redact import sanitise
from orchestrator.steps import to_operation_name

T = TypeVar("T")

_IDENTIFIERS: Final = re.compile(
    r"\b\d{12}\b|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b[A-Z0-9]{13,}\b|\b(?:sg|vpc|subnet|eni)-\w+"
)


class RecordingClients(Clients):
    """Clients that keep one entry for each operation and answer."""

    def __init__(self, region: str, *, account: str = "") -> None:
        super().__init__(region, account=account)
        self._answers: dict[tuple[str, str, str, str], list[float]] = {}
        self._answers_lock = threading.Lock()

    def with_session(self, credentials: Mapping[str, Any]) -> Clients:
        """Return clients of a session whose answers are recorded with these."""
        other = super().with_session(credentials)
        assert isinstance(other, RecordingClients)
        other._answers, other._answers_lock = self._answers, self._answers_lock
        return other

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        """Make one API call and record its answer.  Raises as Clients do."""
        return self._record(
            service, operation, lambda: super(RecordingClients, self).call(service, operation, parameters, region)
        )

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> list[Any]:
        """Make one API call for all pages and record its answer.  Raises as Clients do."""
        return self._record(
            service, operation, lambda: super(RecordingClients, self).pages(service, operation, parameters, region)
        )

    def list_answers(self) -> list[dict[str, Any]]:
        """Return the answers: service, operation, error code ("" for success), text without identifiers, seconds."""
        with self._answers_lock:
            return [
                {
                    "service": service,
                    "operation": to_operation_name(operation),
                    "code": code,
                    "message": message,
                    "count": len(seconds),
                    "max_seconds": round(max(seconds), 2),
                }
                for (service, operation, code, message), seconds in sorted(self._answers.items())
            ]

    def _record(self, service: str, operation: str, send: Callable[[], T]) -> T:
        started = time.monotonic()
        code = message = ""
        try:
            return send()
        except AwsError as error:
            code, message = error.code, _IDENTIFIERS.sub("#", sanitise(error.message))
            raise
        finally:
            with self._answers_lock:
                self._answers.setdefault((service, operation, code, message), []).append(time.monotonic() - started)
