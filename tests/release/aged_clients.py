"""An S3 whose own time passes faster than that of the tests."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from tests.proofs.real_stack import SharedClients


class AgedClients(SharedClients):
    """Clients whose S3 is ahead by what ``advance`` was given; what was written before that is older by as much."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds = 0.0
        self._written_at: dict[str, float] = {}

    def advance(self, seconds: float) -> None:
        self._seconds += seconds

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        response = super().call(service, operation, parameters, region)
        key = str(parameters.get("Key", ""))
        if operation == "put_object":
            self._written_at[key] = self._seconds
        if operation == "get_object":
            headers = response["ResponseMetadata"]["HTTPHeaders"]
            date = parsedate_to_datetime(headers["date"]) + timedelta(seconds=self._seconds)
            headers["date"] = format_datetime(date, usegmt=True)
            response["LastModified"] += timedelta(seconds=self._written_at.get(key, 0.0))
        return response
