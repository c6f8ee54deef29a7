"""Represent failed AWS calls as one exception type, without secrets in its message."""

from __future__ import annotations

import re

from botocore import exceptions

from orchestrator.aws.error_catalogue import canonical_code, find_advice
from orchestrator.iam_actions import list_required_actions
from orchestrator.steps import to_operation_name

_DENIED_CODES = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "Forbidden", "403"}
)
TRANSIENT_CODES = frozenset(
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
_CREDENTIAL_ERRORS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.ProfileNotFound,
    exceptions.CredentialRetrievalError,
    exceptions.TokenRetrievalError,
    exceptions.UnknownCredentialError,
    exceptions.MetadataRetrievalError,
    exceptions.NoAuthTokenError,
    exceptions.RefreshWithMFAUnsupportedError,
    exceptions.SSOError,
    *(getattr(exceptions, name) for name in ("LoginError",) if hasattr(exceptions, name)),  # botocore since 2025-11
)
_NETWORK_ERRORS = (
    exceptions.ConnectionError,
    exceptions.HTTPClientError,
    exceptions.IncompleteReadError,
    exceptions.CapacityNotAvailableError,
)
_STILL_EXPIRED = "refreshed credentials are still expired"
_ECHOED_VALUE = re.compile(r"value: .*?(?=, (?:type|valid)|$)", re.MULTILINE)


class UnexpectedPageError(exceptions.BotoCoreError):  # type: ignore[misc]
    """Something between this machine and AWS responded with a web page, which botocore may read as an empty result."""

    fmt = "{host} returned a web page (HTTP {status_code}: {title}) instead of an AWS response"


class AwsError(Exception):
    """One failed call: ``service:Operation``, AWS's error code, its message, its request id.

    ``code`` is AWS's own (that of a missing resource if the message says so; see ``error_catalogue.py``), or ours:
    ``Unreachable`` (no response), ``NoCredentials``, ``MissingDependency``, ``UnexpectedResponse`` (not from AWS),
    ``InvalidParameters`` and ``InvalidConfiguration`` (rejected before it was sent).
    """

    def __init__(self, service: str, operation: str, code: str, message: str, request_id: str = "") -> None:
        self.action = f"{service}:{to_operation_name(operation)}"
        self.code = canonical_code(service, operation, code, message)
        self.advice = find_advice(service, operation, code, message)
        self.message = message
        self.request_id = request_id
        request = f" (request {request_id})" if request_id else ""
        super().__init__(f"{self.action}: {code}: {message}{request}")

    @property
    def iam_actions(self) -> str:
        """The IAM actions that the call requires, for advice: ``s3:ListBucket`` for ``s3:ListObjectsV2``."""
        return ", ".join(list_required_actions([self.action]))

    @property
    def is_denied(self) -> bool:
        """Whether the credentials lack the permission: other denials have advice of their own."""
        return self.code in _DENIED_CODES and not self.advice

    @property
    def is_transient(self) -> bool:
        """Whether AWS was busy or unreachable, so that a later retry may succeed."""
        return self.code in TRANSIENT_CODES


def translate(service: str, operation: str, error: Exception) -> AwsError:
    """Return botocore's exception as an AwsError, without the parameter values that botocore echoes.

    Any RuntimeError but botocore's own, for credentials that are new and have expired, is raised again.
    """
    match error:
        case RuntimeError():
            if _STILL_EXPIRED not in str(error):
                raise error
            message = "the refreshed credentials have already expired: check this machine's clock"
            return AwsError(service, operation, "NoCredentials", message)
        case exceptions.ClientError():
            detail = error.response.get("Error", {})
            request_id = str(error.response.get("ResponseMetadata", {}).get("RequestId", ""))
            message = str(detail.get("Message") or detail.get("message") or "no message")
            return AwsError(service, operation, str(detail.get("Code", "Unknown")), message, request_id)
        case _:
            return AwsError(service, operation, *_describe_local_error(error))


def _describe_local_error(error: Exception) -> tuple[str, str]:
    """Return code and message of an error that botocore raised itself."""
    description = f"{type(error).__name__}: {error}"
    match error:
        case exceptions.MissingDependencyException():
            return "MissingDependency", str(error)
        case exceptions.ParamValidationError():
            return "InvalidParameters", _ECHOED_VALUE.sub("value: ...", str(error))
        case UnexpectedPageError():
            return "UnexpectedResponse", str(error)
        case _ if isinstance(error, _CREDENTIAL_ERRORS):
            return "NoCredentials", str(error).strip()
        case _ if isinstance(error, _NETWORK_ERRORS):
            return "Unreachable", description
        case exceptions.BotoCoreError():
            return "InvalidConfiguration", description
        case _:  # botocore could not parse the response
            return "UnexpectedResponse", description
