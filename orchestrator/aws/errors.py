"""Represent failed AWS calls as one exception type, without secrets in its message."""

from __future__ import annotations

import re

from botocore import exceptions

from orchestrator.steps import to_operation_name

_DENIED_CODES = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "Forbidden", "403"}
)
_TRANSIENT_CODES = frozenset(
    {
        *("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException"),
        *("TooManyRequestsException", "RequestLimitExceeded", "EC2ThrottledException", "SlowDown"),
        *("PriorRequestNotComplete", "RequestTimeout", "RequestTimeoutException"),
        *("InternalError", "InternalFailure", "InternalServerError", "InternalServiceError", "Unavailable"),
        *("ServiceUnavailable", "ServiceUnavailableException", "500", "502", "503", "504", "Unreachable"),
    }
)
BODY_READ_ERRORS = (exceptions.BotoCoreError,)
"""Exceptions that reading the body of a response may raise."""
_ECHOED_VALUE = re.compile(r"value: .*?(?=, (?:type|valid)|$)", re.MULTILINE)


class AwsError(Exception):
    """One failed call: ``service:Operation``, AWS's error code, its message, its request id.

    ``code`` is AWS's own, or ``Unreachable`` (no response), ``NoCredentials``, ``InvalidParameters`` (rejected before
    it was sent).
    """

    def __init__(self, service: str, operation: str, code: str, message: str, request_id: str = "") -> None:
        self.action = f"{service}:{to_operation_name(operation)}"
        self.code = code
        self.message = message
        self.request_id = request_id
        request = f" (request {request_id})" if request_id else ""
        super().__init__(f"{self.action}: {code}: {message}{request}")

    @property
    def is_denied(self) -> bool:
        """Whether the credentials lack the permission."""
        return self.code in _DENIED_CODES

    @property
    def is_transient(self) -> bool:
        """Whether AWS was busy or unreachable, so that a later retry may succeed."""
        return self.code in _TRANSIENT_CODES


def translate(service: str, operation: str, error: Exception) -> AwsError:
    """Return botocore's exception as an AwsError, without the parameter values that botocore echoes."""
    match error:
        case exceptions.ClientError():
            detail = error.response.get("Error", {})
            request_id = str(error.response.get("ResponseMetadata", {}).get("RequestId", ""))
            message = str(detail.get("Message") or detail.get("message") or "no message")
            return AwsError(service, operation, str(detail.get("Code", "Unknown")), message, request_id)
        case exceptions.NoCredentialsError() | exceptions.PartialCredentialsError() | exceptions.ProfileNotFound():
            return AwsError(service, operation, "NoCredentials", str(error))
        case exceptions.ParamValidationError():
            return AwsError(service, operation, "InvalidParameters", _ECHOED_VALUE.sub("value: ...", str(error)))
        case _:
            return AwsError(service, operation, "Unreachable", f"{type(error).__name__}: {error}")
