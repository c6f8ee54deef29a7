"""Decide for each call which fault or crash to inject. Executes nothing itself.

An injector belongs to one emulator. Its random draws come from a generator seeded by the faults, so a run with one
thread is repeatable.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from orchestrator.emulator.account_limits import refuse_call
from orchestrator.emulator.authorization.operation_actions import list_actions
from orchestrator.emulator.call_log import classify_access
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.faults import Faults, Rule
from orchestrator.emulator.http_messages import Response
from orchestrator.emulator.server_protocol import Target

CrashTiming = Literal["before", "after"]
UNSIGNED_OPERATIONS = ("AssumeRoleWithWebIdentity",)
"""Operations that no credentials sign."""

_THROTTLING_ERRORS = {
    "s3": ("SlowDown", 503),
    "ec2": ("RequestLimitExceeded", 503),
    "rds": ("Throttling", 400),
    "iam": ("Throttling", 400),
    "sns": ("Throttling", 400),
    "sts": ("Throttling", 400),
    "cloudwatch": ("Throttling", 400),
    "cloudfront": ("Throttling", 400),
    "elbv2": ("Throttling", 400),
}
_EXPIRED_TOKEN_ERRORS = {
    "s3": ("ExpiredToken", "The provided token has expired.", 400),
    "ec2": ("RequestExpired", "Request has expired.", 400),
}
_PROXY_PAGE = Response(
    200,
    (("Content-Type", "text/html"),),
    b"<!DOCTYPE html><html><head><title>Sign in to the network</title></head><body>Please sign in.</body></html>",
)
_ACCESS_DENIED_ERRORS = {"s3": ("AccessDenied", 403), "ec2": ("UnauthorizedOperation", 403)}
_XML_PROTOCOL_SERVICES = frozenset({"rds", "iam", "sns", "sts", "cloudfront", "elbv2", "cloudwatch"})


def expired_token_error(service: str) -> AwsError:
    """Return the error of a service for an expired token."""
    is_xml = service in _XML_PROTOCOL_SERVICES
    code, message, status = _EXPIRED_TOKEN_ERRORS.get(service) or (
        "ExpiredToken" if is_xml else "ExpiredTokenException",
        "The security token included in the request is expired",
        403 if is_xml else 400,
    )
    return AwsError(code, message, status)


def access_denied_error(service: str, message: str) -> AwsError:
    """Return the error of a service for a call that the caller's policies do not allow."""
    code, status = _ACCESS_DENIED_ERRORS.get(service) or (
        ("AccessDenied", 403) if service in _XML_PROTOCOL_SERVICES else ("AccessDeniedException", 400)
    )
    return AwsError(code, message, status)


@dataclass(frozen=True)
class DropConnection:
    """Close the connection without a response; with ``executed``, execute the call first."""

    executed: bool
    fault: str


class Injector:
    """Applies the fault settings of one emulator."""

    def __init__(self, faults: Faults, account: str) -> None:
        self._lock = threading.Lock()
        self._account = account
        self._writes_until_crash: int | None = None
        self._crash_timing: CrashTiming = "before"
        self.is_crashed = False
        self.set_faults(faults)

    def set_faults(self, faults: Faults) -> None:
        """Replace the fault settings, seed the generator again and count limits from zero."""
        with self._lock:
            self.faults = faults
            self._random = random.Random(faults.seed)  # noqa: S311 - repeatable faults, not secrets
            self._rule_use_counts: dict[int, int] = {}
            self._faults_set_at = time.monotonic()

    def crash_at(self, write_number: int, when: CrashTiming) -> None:
        """Drop the n-th write from now (from 1), before or after it executes, and every call after it.

        Raises ValueError for an invalid argument.
        """
        if write_number < 1 or when not in ("before", "after"):
            raise ValueError(
                f"invalid crash at write {write_number}, {when!r}: use a number of at least 1, and 'before' or 'after'"
            )
        with self._lock:
            self.is_crashed, self._writes_until_crash, self._crash_timing = False, write_number, when

    def revive(self) -> None:
        """Answer again after a crash, and disarm a crash that has not happened yet."""
        with self._lock:
            self.is_crashed, self._writes_until_crash = False, None

    def latency_seconds(self, base_ms: float) -> float:
        """Return how many seconds to delay a call."""
        return (base_ms + self.faults.latency_ms) / 1000

    def choose_fault(
        self, target: Target, session_started_at: float | None = None
    ) -> DropConnection | AwsError | Response | None:
        """Return the fault for this call: a dropped connection, an error, a page that is not AWS's, or None.

        ``session_started_at``: when the session of the caller began, by the monotonic clock; None for other keys.
        """
        access = classify_access(target.operation)
        with self._lock:
            crash = self._choose_crash(access)
            if crash is not None:
                return crash
            for index, rule in enumerate(self.faults.rules):
                if self._should_apply(index, rule, target, access):
                    return _apply_rule(rule, target)
        if self._is_session_expired(target, session_started_at):
            return expired_token_error(target.service)
        return self._deny_access(target, access) or refuse_call(
            self.faults.account_limits, target.service, target.operation
        )

    def _is_session_expired(self, target: Target, session_started_at: float | None) -> bool:
        seconds = self.faults.session_expires_after_seconds
        if seconds is None or target.operation in UNSIGNED_OPERATIONS:
            return False
        started_at = self._faults_set_at if session_started_at is None else session_started_at
        return time.monotonic() - started_at >= seconds

    def _choose_crash(self, access: str) -> DropConnection | None:
        if self.is_crashed:
            return DropConnection(False, "crashed")
        if self._writes_until_crash is None or access == "read":
            return None
        self._writes_until_crash -= 1
        if self._writes_until_crash > 0:
            return None
        self.is_crashed, self._writes_until_crash = True, None
        return DropConnection(self._crash_timing == "after", f"crash {self._crash_timing}")

    def _should_apply(self, index: int, rule: Rule, target: Target, access: str) -> bool:
        use_count = self._rule_use_counts.get(index, 0)
        if not rule.matches(target.service, target.operation, access) or (
            rule.limit is not None and use_count >= rule.limit
        ):
            return False
        if self._random.random() >= rule.probability:
            return False
        self._rule_use_counts[index] = use_count + 1
        return True

    def _deny_access(self, target: Target, access: str) -> AwsError | None:
        actions = list_actions(target.service, target.operation)
        is_denied_write = self.faults.deny_writes and access == "write"
        denied_actions = [
            action for action in actions if any(fnmatchcase(action, pattern) for pattern in self.faults.denied)
        ]
        if not is_denied_write and not denied_actions:
            return None
        user = f"arn:aws:iam::{self._account}:user/orchestrator"
        action = denied_actions[0] if denied_actions else actions[-1]
        message = f"User: {user} is not authorized to perform: {action} because no identity-based policy allows it"
        return access_denied_error(target.service, message)


def _apply_rule(rule: Rule, target: Target) -> DropConnection | AwsError | Response:
    if rule.kind == "throttle":
        code, status = _THROTTLING_ERRORS.get(target.service, ("ThrottlingException", 400))
        return AwsError(code, "Rate exceeded", status)
    if rule.kind == "error":
        code = rule.code or ("ServiceUnavailable" if rule.status == 503 else "InternalFailure")
        return AwsError(code, rule.message or "We encountered an internal error. Please try again.", rule.status)
    if rule.kind == "html":
        return _PROXY_PAGE
    return DropConnection(rule.kind == "reset_after", rule.kind)


def wait_latency(seconds: float) -> None:
    """Sleep for the latency of a call, in seconds."""
    if seconds > 0:
        time.sleep(seconds)
