"""AWS's refusals in one shape."""

from __future__ import annotations

from botocore import exceptions

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
