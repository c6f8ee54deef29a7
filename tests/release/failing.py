"""Clients whose calls fail, or end the run, at a chosen step."""

from __future__ import annotations

from typing import Any

from orchestrator.aws.errors import AwsError
from orchestrator.steps import is_read
from tests.proofs.world import Standing

OF_OURS = ("ledger/", "lease/")


class Killed(BaseException):
    """The end of the run."""


class Failing(Standing):
    """Clients whose ``number``-th write fails, once; of the ledger's own writes where ``ledger`` says so."""

    def __init__(self, number: int, *, ledger: bool = False, deadly: bool = False) -> None:
        super().__init__()
        self.left = number
        self.failed = ""
        self._ledger = ledger
        self._deadly = deadly

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        if self.failed and self._deadly:
            raise Killed
        if not is_read(operation) and str(parameters.get("Key", "")).startswith(OF_OURS) == self._ledger:
            self.left -= 1
            if self.left == 0:
                self.failed = f"{operation} {parameters.get('Key', '')}"
                if self._deadly:
                    raise Killed
                raise AwsError(service, operation, "AccessDenied", "not today")
        return super().call(service, operation, parameters, region)
