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
from orchestrator.aws.log_tail import last_words
from orchestrator.aws.reader import Caller
from orchestrator.redaction.github_masks import mask
from orchestrator.redaction.redact import safe
from orchestrator.steps import Batch, Call, Compute, Generate, Run, Step, Sweep, Wait
from orchestrator.values import Sensitive, Value, reveal

ALPHABET = string.ascii_letters + string.digits
MISSES = 4
"""Looks in a row that a wait may miss, each with all its tries: what it waits for goes on without being seen."""


class StepFailedError(Exception):
    """AWS refused a step, or reported that what it began has failed; ``request_id`` when AWS gave one."""

    def __init__(self, message: str, request_id: str = "") -> None:
        super().__init__(message)
        self.request_id = request_id


class UnsettledError(Exception):
    """The calls worked, but the thing did not become well in its time; says what to look at."""


class Clock(Protocol):
    """Time, so that tests need not wait for it; ``time`` itself is one."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float, /) -> None: ...


class Actuator:
    """Performs one step at a time; one instance serves all threads of a run."""

    def __init__(self, clients: Caller, clock: Clock = time) -> None:
        self._clients = clients
        self._clock = clock

    def perform(self, step: Step) -> Value:
        """Do what ``step`` says and return its answer.

        Raises StepFailedError when AWS refuses it or it fails, UnsettledError when a wait runs out of patience.
        """
        match step:
            case Call():
                answer = _whole(step, self._call(step))
                return Sensitive(answer) if step.sensitive else answer
            case Wait():
                return self._wait(step)
            case Generate(length):
                return Sensitive(mask("".join(secrets.choice(ALPHABET) for _ in range(length))))
            case Compute(_, function, arguments):
                value = function(*(reveal(argument) for argument in arguments))
                return Sensitive(value) if any(isinstance(a, Sensitive) for a in arguments) else value
            case Sweep():
                return self._sweep(step)
            case Batch(calls, _, tell):
                parallel.perform(calls, self.perform, tell)
                return {}
            case Run(_, function, arguments):
                return function(*(reveal(argument) for argument in arguments))

    def _call(self, step: Call) -> Any:
        for remaining in self._pace(step.patience):
            try:
                return self._send(step)
            except AwsError as error:
                if error.code in step.ok and step.ok_text in error.message:
                    return {}
                again = error.code in step.retry and step.retry_text in error.message
                if not again or not remaining:
                    raise StepFailedError(_advised(error, step), error.request_id) from None
        raise AssertionError  # _pace always ends with a last, unrepeated try

    def _send(self, step: Call) -> Any:
        parameters = reveal(step.parameters)
        try:
            return self._clients.call(step.service, step.operation, parameters, step.region)
        except OSError as error:  # of a file that is to be uploaded
            raise StepFailedError(f"{error.filename} cannot be read: {error.strerror}") from None

    def _wait(self, step: Wait) -> Any:
        seen: Any = None
        missed = 0
        for _ in self._pace(step.patience):
            try:
                answer = self._clients.call(
                    step.call.service, step.call.operation, dict(step.call.parameters), step.call.region
                )
            except AwsError as error:
                if error.code in step.gone:
                    return {}
                missed = missed + 1 if error.is_passing else 0
                if error.code in step.call.retry or 0 < missed <= MISSES:  # not to be seen yet, or just now
                    continue
                raise StepFailedError(str(error), error.request_id) from None
            missed = 0
            seen = jmespath.search(step.path, answer)
            if seen in step.until:
                return answer
            if seen in step.failed:
                why = safe(str(jmespath.search(step.why, answer) or "")) if step.why else ""
                said = f" ({why.rstrip('.')})" if why else ""
                raise StepFailedError(self._told(f"{step.what or step.path} became {seen}{said}", step))
        raise UnsettledError(self._told(f"still {seen} after {step.patience:.0f} s", step))

    def _told(self, what: str, step: Wait) -> str:
        """What became of a wait, the reason that the log gives, and what to look at."""
        said = last_words(self._clients, str(step.log)) if step.log else ""
        reason = f", and its log says: {said.rstrip('.')}" if said else ""
        return f"{what}{reason}. {step.stuck}".strip()

    def _sweep(self, step: Sweep) -> Any:
        while removal := step.remove(self._call(step.listing)):
            refused = self._call(removal).get("Errors")
            if refused:  # a batch answers 200 and says here what it has not done; it would be asked for ever
                message = f"{step.note}: {refused[0].get('Code')}: {refused[0].get('Message')}"
                raise StepFailedError(message)
        return {}

    def _pace(self, patience: float) -> Iterator[float]:
        """Yield the seconds left before each try (0 before the last): quick at first, then every ten seconds."""
        end = self._clock.monotonic() + patience
        pause = 0.05
        while (remaining := end - self._clock.monotonic()) > pause:
            yield remaining
            self._clock.sleep(pause)
            pause = min(pause * 1.6, 10.0)
        yield 0.0


def _advised(error: AwsError, step: Call) -> str:
    """What AWS said, and what to do about it where that is known."""
    advice = step.advice.get(error.code, "")
    return f"{str(error).rstrip('.')}. {advice}" if advice else str(error)


def _whole(step: Call, answer: Any) -> Any:
    """The answer of a call that did all of its work: S3 answers 200 and says inside what it has not deleted."""
    refused = answer.get("Errors") if step.operation == "delete_objects" else None
    if refused:
        message = f"s3:DeleteObjects: {refused[0].get('Code')}: {refused[0].get('Message')} ({refused[0].get('Key')})"
        raise StepFailedError(message)
    return answer
