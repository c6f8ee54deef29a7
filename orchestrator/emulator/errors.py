"""Define the one exception with which a service, an override or a fault returns an AWS error."""

from __future__ import annotations

from typing import Any


class AwsError(Exception):
    """An AWS error response: ``code`` as sent on the wire (``DBInstanceNotFound``), and a message.

    ``status`` is the HTTP status; None uses the status in the service model, or 400.
    ``fields`` are further members of the error shape, for the protocols that carry them.
    """

    def __init__(self, code: str, message: str, status: int | None = None, **fields: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields
