"""Perform steps; the only module that changes AWS."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import jmespath
from msgspec.structs import replace

from orchestrator.aws import error_catalogue, parallel_calls
from orchestrator.aws.botocore_hooks import listen_for_retries
from orchestrator.aws.errors import AwsError
from orchestrator.aws.log_tail import read_log_tail
from orchestrator.aws.reader import AwsCaller, Reader
from orchestrator.redaction.github_masks import mask
from orchestrator.redaction.redact import sanitise
from orchestrator.steps import (
    ApiCall,
    Batch,
    Compute,
    GenerateSecret,
    LocalCall,
    Step,
    Sweep,
    Wait,
    to_operation_name,
)
from orchestrator.values import Sensitive, Value, reveal

SECRET_ALPHABET = string.ascii_letters + string.digits
STALE_CODE = "PreconditionFailed"
"""CloudFront's code for an ETag that is not the current one."""
MAX_MISSED_POLLS = 4
"""Consecutive polls of a wait that may fail, each after all its retries: AWS's work continues meanwhile."""
EXISTING_VISIBLE_TIMEOUT_SECONDS = 120.0
"""Seconds for which reads may not show a resource that already exists, according to the creating call."""
MIN_FAILURE_SIGHTINGS = 3
"""Consecutive polls that have to find the reason of a wait's early failure: AWS may try again by itself."""
MAX_POLL_SECONDS = 3.0
"""Seconds between two reads of what somebody watches, such as the log of a task."""
RETRY_REPORT_SECONDS = 5.0
"""Seconds after which a call that is still retried reports what it waits for."""


class StepFailedError(Exception):
    """AWS rejected a step or reported that its operation failed; ``request_id`` if AWS returned one."""

    def __init__(self, message: str, request_id: str = "") -> None:
        super().__init__(message)
        self.request_id = request_id


class WaitTimeoutError(Exception):
    """The calls succeeded, but the resource did not become healthy in time; the message says what to check."""


class Clock(Protocol):
    """The clock, replaceable in tests; the ``time`` module matches."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float, /) -> None: ...


class StepExecutor:
    """Performs one step at a time; one instance serves all threads of a run."""

    def __init__(self, clients: AwsCaller, clock: Clock = time) -> None:
        self._clients = clients
        self._clock = clock

    def perform(self, step: Step) -> Value:
        """Perform ``step`` and return its response.

        Raises StepFailedError if AWS rejects it or it fails, WaitTimeoutError if a wait times out.
        """
        match step:
            case ApiCall():
                response = _check_delete_errors(step, self._call(step))
                return Sensitive(response) if step.is_sensitive else response
            case Wait():
                return self._wait(step)
            case GenerateSecret(length):
                return Sensitive(mask("".join(secrets.choice(SECRET_ALPHABET) for _ in range(length))))
            case Compute(_, function, arguments):
                value = function(*(reveal(argument) for argument in arguments))
                return Sensitive(value) if any(isinstance(a, Sensitive) for a in arguments) else value
            case Sweep():
                return self._sweep(step)
            case Batch(calls, _, on_progress, on_retry):
                parallel_calls.perform_all(
                    calls, lambda call: self.perform(replace(call, on_retry=on_retry)), on_progress
                )
                return {}
            case LocalCall(_, function, arguments):
                options: dict[str, Any] = {"on_output": step.on_output} if step.has_output else {}
                if step.polls_aws:
                    options["poll"] = self._poll
                return function(*(reveal(argument) for argument in arguments), **options)

    def _call(self, step: ApiCall) -> Any:
        report_retry = self._retry_reporter(step.on_retry)
        for remaining in self._iter_attempts(step.timeout_seconds):
            try:
                with listen_for_retries(
                    lambda code: report_retry(f"retry {_operation(step)} while AWS returns {code}")
                ):
                    return self._send(step)
            except AwsError as error:
                if _is_named(error, step.ok_codes):
                    return {}
                if _is_named(error, step.exists_codes):
                    return self._read_existing(step, error, report_retry)
                if error.code == STALE_CODE and step.refresh is not None:
                    return self._call(self._refresh(step, error))
                reason = _retry_reason(step, error)
                if not reason or not remaining:
                    raise StepFailedError(_format_error(error), error.request_id) from None
                report_retry(f"retry {reason} ({sanitise(str(error))})")
        raise AssertionError  # _iter_attempts always ends with a final attempt

    def _retry_reporter(self, on_retry: Callable[[str], None]) -> Callable[[str], None]:
        """Return a function that passes what a call waits for to ``on_retry``, once, after RETRY_REPORT_SECONDS."""
        report_at = self._clock.monotonic() + RETRY_REPORT_SECONDS

        def report(description: str) -> None:
            nonlocal report_at
            if self._clock.monotonic() >= report_at:
                report_at = float("inf")
                on_retry(description)

        return report

    def _send(self, step: ApiCall) -> Any:
        parameters = reveal(step.parameters)
        try:
            return self._clients.call(step.service, step.operation, parameters, step.region)
        except OSError as error:  # from reading the file to upload
            raise StepFailedError(f"cannot read {error.filename}: {error.strerror}") from None

    def _refresh(self, step: ApiCall, error: AwsError) -> ApiCall:
        """Return the call with parameters for the resource as it is now, which is not refreshed again."""
        assert step.refresh is not None
        try:
            parameters = step.refresh(Reader(self._clients), step.parameters)
        except AwsError:
            raise StepFailedError(_format_error(error), error.request_id) from None
        return replace(step, parameters=parameters, refresh=None)

    def _read_existing(self, step: ApiCall, error: AwsError, report_retry: Callable[[str], None]) -> Any:
        """Return the response for a resource that already exists, once reads show it.

        Raises StepFailedError if they never do, Problems if it is not the resource that was to be created.
        """
        for _ in self._iter_attempts(EXISTING_VISIBLE_TIMEOUT_SECONDS):
            try:
                response = step.read_existing(Reader(self._clients), error.message)
            except AwsError as read_error:
                if not read_error.is_transient:
                    raise StepFailedError(str(read_error), read_error.request_id) from None
                continue
            if response is not None:
                return response
            report_retry(f"wait for the resource that already exists according to {_operation(step)}")
        message = (
            f"{str(error).rstrip('.')}. AWS does not return this resource yet. Run the command again in a few minutes."
        )
        raise StepFailedError(message, error.request_id)

    def _wait(self, step: Wait) -> Any:
        value: Any = None
        missed_polls = failure_sightings = 0
        for _ in self._iter_attempts(step.timeout_seconds):
            try:
                response = self._clients.call(
                    step.call.service, step.call.operation, dict(step.call.parameters), step.call.region
                )
            except AwsError as error:
                if _is_named(error, step.deleted_codes):
                    return {}
                missed_polls = missed_polls + 1 if error.is_transient else 0
                if (
                    _is_named(error, step.call.retry_codes) or 0 < missed_polls <= MAX_MISSED_POLLS
                ):  # not visible yet, or a transient error
                    continue
                raise StepFailedError(_format_error(error), error.request_id) from None
            missed_polls = 0
            value = jmespath.search(step.path, response)
            if value in step.target_values:
                return response
            if value in step.failed_values:
                reason = sanitise(str(jmespath.search(step.reason_path, response) or "")) if step.reason_path else ""
                reason_suffix = f" ({reason.rstrip('.')})" if reason else ""
                raise StepFailedError(
                    self._describe_failure(f"{step.description or step.path} became {value}{reason_suffix}", step)
                )
            early_reason = self._find_early_failure(step)
            failure_sightings = failure_sightings + 1 if early_reason else 0
            if failure_sightings >= MIN_FAILURE_SIGHTINGS:
                failure = f"{step.description or step.path} is {value} and cannot succeed ({early_reason.rstrip('.')})"
                raise StepFailedError(self._describe_failure(failure, step))
        raise WaitTimeoutError(
            self._describe_failure(f"still {value} after {_format_timeout(step.timeout_seconds)}", step)
        )

    def _find_early_failure(self, step: Wait) -> str:
        """Return why a wait cannot succeed, or "" if nothing says so."""
        call = step.failure_call
        if call is None:
            return ""
        try:
            response = self._clients.call(call.service, call.operation, dict(reveal(call.parameters)), call.region)
        except AwsError:
            return ""
        return sanitise(str(jmespath.search(step.failure_path, response) or ""))

    def _describe_failure(self, failure: str, step: Wait) -> str:
        """Return the failure of a wait with the last log lines and the hint what to check."""
        log_tail = read_log_tail(self._clients, str(step.log_group)) if step.log_group else ""
        log_suffix = f"; last log lines: {log_tail.rstrip('.')}" if log_tail else ""
        advice = error_catalogue.find_advice(step.call.service, step.call.operation, "", failure)
        return " ".join(filter(None, (f"{failure}{log_suffix}.", advice, step.stuck_hint)))

    def _sweep(self, step: Sweep) -> Any:
        listing = replace(step.listing, on_retry=step.on_retry)
        while removal := step.remove(self._call(listing)):
            errors = self._call(replace(removal, on_retry=step.on_retry)).get("Errors")
            if errors:  # a batch delete returns 200 with its failures in here; the sweep would never end
                message = f"{step.note}: {errors[0].get('Code')}: {errors[0].get('Message')}"
                raise StepFailedError(message)
        return {}

    def _poll(self, timeout_seconds: float) -> Iterator[Reader]:
        """Yield a reader that has read nothing yet, at the intervals of a wait but never more than a few seconds."""
        for _ in self._iter_attempts(timeout_seconds, MAX_POLL_SECONDS):
            yield Reader(self._clients)

    def _iter_attempts(self, timeout_seconds: float, max_delay: float = 10.0) -> Iterator[float]:
        """Yield the seconds left before each attempt (0 before the last), with delays from 50 ms to ``max_delay``."""
        deadline = self._clock.monotonic() + timeout_seconds
        delay = 0.05
        while (remaining := deadline - self._clock.monotonic()) > delay:
            yield remaining
            self._clock.sleep(delay)
            delay = min(delay * 1.6, max_delay)
        yield 0.0


def _format_timeout(seconds: float) -> str:
    return f"{seconds:.0f}s" if seconds < 60 else f"{seconds // 60:.0f}m{seconds % 60:02.0f}s"


def _operation(step: ApiCall) -> str:
    return f"{step.service}:{to_operation_name(step.operation)}"


def _is_named(error: AwsError, names: tuple[str, ...]) -> bool:
    """Return whether one of the names, ``Code`` or ``Code: text``, is the error's."""
    pairs = (name.partition(": ") for name in names)
    return any(code == error.code and text.lower() in error.message.lower() for code, _, text in pairs)


def _retry_reason(step: ApiCall, error: AwsError) -> str:
    """Return what a retry waits for, or "" if a retry cannot help."""
    if _is_named(error, step.retry_codes):
        return f"while AWS returns {error.code}"
    temporary = error_catalogue.find_temporary_error(step.service, step.operation, error.code, error.message)
    return temporary.reason if temporary else ""


def _format_error(error: AwsError) -> str:
    """Return AWS's error message, with advice if its cause is a known one."""
    return f"{str(error).rstrip('.')}. {error.advice}" if error.advice else str(error)


def _check_delete_errors(step: ApiCall, response: Any) -> Any:
    """Return the response if the call deleted everything: S3 returns 200 with the failures inside.

    Raises StepFailedError if there are failures.
    """
    errors = response.get("Errors") if step.operation == "delete_objects" else None
    if errors:
        message = f"s3:DeleteObjects: {errors[0].get('Code')}: {errors[0].get('Message')} ({errors[0].get('Key')})"
        raise StepFailedError(message)
    return response
