"""The table of errors whose meaning is in their wording."""

from __future__ import annotations

import pytest

from orchestrator.aws import AwsError, Reader, StepExecutor
from orchestrator.aws.error_catalogue import (
    ERROR_ADVICE,
    MISSING_ERRORS,
    TEMPORARY_ERRORS,
    ErrorPattern,
    find_advice,
    find_temporary_error,
)
from orchestrator.steps import ApiCall
from tests.aws.fake_clients import FakeClock, ScriptedCaller

ENTRIES = (*MISSING_ERRORS, *TEMPORARY_ERRORS, *ERROR_ADVICE)
ROLE_WORDINGS = (
    ("AccessDeniedException", "Cannot assume role arn:aws:iam::123456789012:role/x."),
    ("AccessDeniedException", "User: x is not authorized to perform: sts:AssumeRole on resource: y"),
    ("ClientException", "AWS was not able to validate the provided access credentials"),
    ("InvalidParameterException", "Unable to assume the service linked role. Please verify that it exists."),
)


def sample(pattern: ErrorPattern) -> tuple[str, str, str, str]:
    """Return service, operation, code and message of an error of this kind."""
    service = "ecs" if pattern.service == "*" else pattern.service
    operation = pattern.operations[0].replace("*", "x_role_x")
    fragment = pattern.fragments[0] if pattern.fragments else "no"
    return service, operation, pattern.codes[0] if pattern.codes else "Refused", f"It is: {fragment.title()}."


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: "-".join(sample(entry.pattern)[:3]))
class TestEntries:
    def test_it_matches_in_any_case_and_nothing_near(self, entry: object) -> None:
        """Another service, code or text is another error."""
        pattern: ErrorPattern = entry.pattern  # type: ignore[attr-defined]
        service, operation, code, message = sample(pattern)

        assert pattern.matches(service, operation, code, message)
        assert pattern.matches(service, operation, code, message.upper())
        assert pattern.service == "*" or not pattern.matches("other", operation, code, message)
        assert not pattern.codes or not pattern.matches(service, operation, "Other", message)
        assert not pattern.fragments or not pattern.matches(service, operation, code, "something else")
        assert "*" in pattern.operations or not pattern.matches(service, "other", code, message)

    def test_its_texts_are_comparable_and_its_source_is_named(self, entry: object) -> None:
        """Fragments are lower case, because messages are compared in lower case."""
        pattern: ErrorPattern = entry.pattern  # type: ignore[attr-defined]

        assert [text for text in pattern.fragments if text != text.lower()] == []
        assert pattern.codes or pattern.fragments
        assert entry.source  # type: ignore[attr-defined]


@pytest.mark.parametrize("operation", ["create_express_gateway_service", "update_express_gateway_service"])
@pytest.mark.parametrize(("code", "message"), ROLE_WORDINGS)
def test_create_and_update_wait_for_the_same_roles(operation: str, code: str, message: str) -> None:
    """An update may bring a new role as well (terraform-provider-aws retries both)."""
    answers = iter([AwsError("ecs", operation, code, message), {"service": {}}])
    executor = StepExecutor(ScriptedCaller(lambda *_: next(answers)), FakeClock())

    assert executor.perform(ApiCall("ecs", operation, {})) == {"service": {}}


def test_a_denied_call_is_not_retried() -> None:
    """The credentials of the run lack a permission: no time heals that."""
    message = "User: x is not authorized to perform: ecs:CreateExpressGatewayService on resource: y"

    assert find_temporary_error("ecs", "create_express_gateway_service", "AccessDeniedException", message) is None
    assert find_advice("ecs", "create_express_gateway_service", "AccessDeniedException", message) == ""


def test_a_missing_express_service_is_missing_in_both_wordings() -> None:
    """To every reader: reads, deletions and waits look at the code only."""
    error = AwsError("ecs", "describe_express_gateway_service", "InvalidParameterException", "Resource Not Found")
    reader = Reader(ScriptedCaller(lambda *_: error))

    assert reader.get("ecs", "describe_express_gateway_service", missing=("ResourceNotFoundException",)) is None
    assert "InvalidParameterException" in str(error)
