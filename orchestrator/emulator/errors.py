"""The one exception by which a service, a correction or a fault answers with an AWS error."""

from __future__ import annotations

from typing import Any


class AwsError(Exception):
    """An AWS error answer: ``code`` as it stands on the wire (``DBInstanceNotFound``), and a message.

    ``status`` is the HTTP status; None takes the one of the service model, or 400.
    ``fields`` are further members of the error shape, for the protocols that carry them.
    """

    def __init__(self, code: str, message: str, status: int | None = None, **fields: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields
