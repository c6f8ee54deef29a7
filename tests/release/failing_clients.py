"""Clients whose calls fail, or end the run, at a chosen step."""

from __future__ import annotations

from typing import Any

from orchestrator.aws.errors import AwsError
from orchestrator.steps import is_read
from tests.proofs.real_stack import SharedClients

LEDGER_PREFIXES = ("ledger/", "lease/")


class ProcessKilled(BaseException):
    """The end of the run."""


class FailingClients(SharedClients):
    """Clients whose ``number``-th write fails, once; of the ledger's own writes where ``ledger`` says so."""

    def __init__(self, write_number: int, *, ledger_only: bool = False, is_fatal: bool = False) -> None:
        super().__init__()
        self.remaining_writes = write_number
        self.failed_call = ""
        self._is_ledger_only = ledger_only
        self._is_fatal = is_fatal

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        if self.failed_call and self._is_fatal:
            raise ProcessKilled
        if (
            not is_read(operation)
            and str(parameters.get("Key", "")).startswith(LEDGER_PREFIXES) == self._is_ledger_only
        ):
            self.remaining_writes -= 1
            if self.remaining_writes == 0:
                self.failed_call = f"{operation} {parameters.get('Key', '')}"
                if self._is_fatal:
                    raise ProcessKilled
                raise AwsError(service, operation, "AccessDenied", "not today")
        return super().call(service, operation, parameters, region)
