"""AWS's refusals in one shape."""

from __future__ import annotations

import pytest
from botocore import exceptions
from botocore.parsers import ResponseParserError

from orchestrator.aws import AwsError
from orchestrator.aws.errors import translate


def test_a_refusal_names_the_call_the_code_and_the_request() -> None:
    """What a person needs to search for, and what AWS support asks for."""
    response = {
        "Error": {"Code": "LimitExceeded", "Message": "too many"},
        "ResponseMetadata": {"RequestId": "abc-123"},
    }

    error = translate("iam", "create_role", exceptions.ClientError(response, "CreateRole"))

    assert str(error) == "iam:CreateRole: LimitExceeded: too many (request abc-123)"


def test_a_refused_parameter_value_is_not_repeated() -> None:
    """botocore echoes values in its validation errors; a password must not get out that way."""
    report = "Invalid type for parameter MasterUserPassword, value: hunter2, type: <class 'int'>, valid types: str"

    error = translate("rds", "create_db_instance", exceptions.ParamValidationError(report=report))

    assert "hunter2" not in str(error)
    assert "MasterUserPassword" in str(error)


def test_no_answer_and_no_credentials_are_told_apart() -> None:
    """They need different remedies."""
    dead = translate("s3", "list_buckets", exceptions.EndpointConnectionError(endpoint_url="http://127.0.0.1:1"))
    nobody = translate("s3", "list_buckets", exceptions.NoCredentialsError())

    assert (dead.code, nobody.code) == ("Unreachable", "NoCredentials")


@pytest.mark.parametrize(
    ("error", "code", "advice"),
    [
        (
            exceptions.MissingDependencyException(msg='pip install "botocore[crt]"'),
            "MissingDependency",
            "aws configure export-credentials",
        ),
        (exceptions.UnauthorizedSSOTokenError(), "NoCredentials", ""),
        (exceptions.TokenRetrievalError(provider="sso", error_msg="expired"), "NoCredentials", ""),
        (exceptions.CredentialRetrievalError(provider="custom-process", error_msg="exit 1"), "NoCredentials", ""),
        (exceptions.InfiniteLoopConfigError(source_profile="a", visited_profiles=["a"]), "InvalidConfiguration", ""),
        (exceptions.NoRegionError(), "InvalidConfiguration", ""),
        (exceptions.ReadTimeoutError(endpoint_url="https://x"), "Unreachable", ""),
        (exceptions.SSLError(endpoint_url="https://x", error="certificate verify failed"), "Unreachable", "CA_BUNDLE"),
        (ResponseParserError("invalid XML received"), "UnexpectedResponse", "sign-in page"),
    ],
)
def test_an_error_of_botocore_keeps_its_meaning(error: Exception, code: str, advice: str) -> None:
    """Only a network that does not respond is "unreachable" (botocore.exceptions; AWS CLI user guide, aws login)."""
    translated = translate("sts", "get_caller_identity", error)

    assert translated.code == code
    assert advice in translated.advice
    assert bool(translated.advice) == bool(advice)


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large", "clock"),
        ("SignatureDoesNotMatch", "Signature expired: 20261130T080000Z is now earlier than 20261130T090000Z", "clock"),
        (
            "InvalidSignatureException",
            "Signature not yet current: 20261130T1Z is still later than 20261130T0Z",
            "clock",
        ),
        ("SignatureDoesNotMatch", "The request signature we calculated does not match the signature", ""),
        ("ExpiredToken", "The provided token has expired.", "session has expired"),
        ("ExpiredTokenException", "The security token included in the request is expired", "session has expired"),
        ("RequestExpired", "Request has expired.", "session has expired"),
    ],
)
def test_a_wrong_clock_and_an_expired_session_are_recognised(code: str, message: str, advice: str) -> None:
    """A wrong secret key has the same code as a wrong clock (AWS general reference, troubleshooting signatures)."""
    error = AwsError("sts", "get_caller_identity", code, message)

    assert advice in error.advice
    assert bool(error.advice) == bool(advice)
