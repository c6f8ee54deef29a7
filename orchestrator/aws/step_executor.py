"""Performing steps: the only place from which AWS is changed."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Iterator
from typing import Any, Protocol

import jmespath

from orchestrator.aws import parallel
from orchestrator.aws.errors import AwsError
from orchestrator.aws.log_tail import read_log_tail
from orchestrator.aws.reader import AwsCaller
from orchestrator.redaction.github_masks import mask
from orchestrator.redaction.redact import sanitise
from orchestrator.steps import ApiCall, Batch, Compute, GenerateSecret, LocalCall, Step, Sweep, Wait
from orchestrator.values import Sensitive, Value, reveal

SECRET_ALPHABET = string.ascii_letters + string.digits
MAX_MISSED_POLLS = 4
"""Looks in a row that a wait may miss, each with all its tries: what it waits for goes on without being seen."""


class StepFailedError(Exception):
    """AWS refused a step, or reported that what it began has failed; ``request_id`` when AWS gave one."""

    def __init__(self, message: str, request_id: str = "") -> None:
        super().__init__(message)
        self.request_id = request_id


class WaitTimeoutError(Exception):
    """The calls worked, but the thing did not become well in its time; says what to look at."""


class Clock(Protocol):
    """Time, so that tests need not wait for it; ``time`` itself is one."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float, /) -> None: ...


class StepExecutor:
    """Performs one step at a time; one instance serves all threads of a run."""

    def __init__(self, clients: AwsCaller, clock: Clock = time) -> None:
        self._clients = clients
        self._clock = clock

    def perform(self, step: Step) -> Value:
        """Do what ``step`` says and return its answer.

        Raises StepFailedError when AWS refuses it or it fails, UnsettledError when a wait runs out of patience.
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
            case Batch(calls, _, on_progress):
                parallel.perform_all(calls, self.perform, on_progress)
                return {}
            case LocalCall(_, function, arguments):
                return function(*(reveal(argument) for argument in arguments))

    def _call(self, step: ApiCall) -> Any:
        for remaining in self._iter_attempts(step.timeout_seconds):
            try:
                return self._send(step)
            except AwsError as error:
                if error.code in step.ok_codes and step.ok_message in error.message:
                    return {}
                is_retryable = error.code in step.retry_codes and step.retry_message in error.message
                if not is_retryable or not remaining:
                    raise StepFailedError(_format_error(error, step), error.request_id) from None
        raise AssertionError  # _pace always ends with a last, unrepeated try

    def _send(self, step: ApiCall) -> Any:
        parameters = reveal(step.parameters)
        try:
            return self._clients.call(step.service, step.operation, parameters, step.region)
        except OSError as error:  # of a file that is to be uploaded
            raise StepFailedError(f"{error.filename} cannot be read: {error.strerror}") from None

    def _wait(self, step: Wait) -> Any:
        value: Any = None
        missed_polls = 0
        for _ in self._iter_attempts(step.timeout_seconds):
            try:
                response = self._clients.call(
                    step.call.service, step.call.operation, dict(step.call.parameters), step.call.region
                )
            except AwsError as error:
                if error.code in step.gone_codes:
                    return {}
                missed_polls = missed_polls + 1 if error.is_transient else 0
                if (
                    error.code in step.call.retry_codes or 0 < missed_polls <= MAX_MISSED_POLLS
                ):  # not to be seen yet, or just now
                    continue
                raise StepFailedError(str(error), error.request_id) from None
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
        raise WaitTimeoutError(self._describe_failure(f"still {value} after {step.timeout_seconds:.0f} s", step))

    def _describe_failure(self, failure: str, step: Wait) -> str:
        """What became of a wait, the reason that the log gives, and what to look at."""
        log_tail = read_log_tail(self._clients, str(step.log_group)) if step.log_group else ""
        reason = f", and its log says: {log_tail.rstrip('.')}" if log_tail else ""
        return f"{failure}{reason}. {step.stuck_hint}".strip()

    def _sweep(self, step: Sweep) -> Any:
        while removal := step.remove(self._call(step.listing)):
            errors = self._call(removal).get("Errors")
            if errors:  # a batch answers 200 and says here what it has not done; it would be asked for ever
                message = f"{step.note}: {errors[0].get('Code')}: {errors[0].get('Message')}"
                raise StepFailedError(message)
        return {}

    def _iter_attempts(self, timeout_seconds: float) -> Iterator[float]:
        """Yield the seconds left before each try (0 before the last): quick at first, then every ten seconds."""
        deadline = self._clock.monotonic() + timeout_seconds
        delay = 0.05
        while (remaining := deadline - self._clock.monotonic()) > delay:
            yield remaining
            self._clock.sleep(delay)
            delay = min(delay * 1.6, 10.0)
        yield 0.0


def _format_error(error: AwsError, step: ApiCall) -> str:
    """What AWS said, and what to do about it where that is known."""
    hint = step.hints.get(error.code, "")
    return f"{str(error).rstrip('.')}. {hint}" if hint else str(error)


def _check_delete_errors(step: ApiCall, response: Any) -> Any:
    """The answer of a call that did all of its work: S3 answers 200 and says inside what it has not deleted."""
    errors = response.get("Errors") if step.operation == "delete_objects" else None
    if errors:
        message = f"s3:DeleteObjects: {errors[0].get('Code')}: {errors[0].get('Message')} ({errors[0].get('Key')})"
        raise StepFailedError(message)
    return response
