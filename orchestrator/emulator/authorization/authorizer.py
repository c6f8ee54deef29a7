"""Refuse what the policies of the caller's role do not allow, and calls of sessions that have expired."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestrator.emulator import policy_evaluation
from orchestrator.emulator.authorization.account_state import AccountState
from orchestrator.emulator.authorization.call_requests import CallRequests
from orchestrator.emulator.authorization.sessions import Session
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.fault_injector import UNSIGNED_OPERATIONS, access_denied_error, expired_token_error
from orchestrator.emulator.http_messages import Request
from orchestrator.emulator.overrides.iam import Iam
from orchestrator.emulator.policy_evaluation import PolicyRequest
from orchestrator.emulator.server_protocol import Target, is_supported_protocol, parse_params
from orchestrator.emulator.service_base import EmulatorState

_REASONS = {
    "explicitDeny": "with an explicit deny in an identity-based policy",
    "boundary": "because no permissions boundary allows the {action} action",
    "implicitDeny": "because no identity-based policy allows the {action} action",
}
"""The endings of AWS's messages (IAM user guide, "Troubleshoot access denied error messages")."""
_TAG_KEY = "aws:resourcetag/"


@dataclass(frozen=True)
class _RolePolicies:
    """What a role may do, and the services for which that depends on tags."""

    documents: list[dict[str, Any]]
    boundary: dict[str, Any] | None

    @cached_property
    def tag_services(self) -> frozenset[str]:
        """Return the services whose actions a statement allows or denies by the tags of a resource."""
        limits = [self.boundary] if self.boundary else []
        return frozenset(
            action.partition(":")[0]
            for document in [*self.documents, *limits]
            for statement in document["Statement"]
            if any(key.lower().startswith(_TAG_KEY) for keys in statement.get("Condition", {}).values() for key in keys)
            for action in policy_evaluation.as_list(statement.get("Action", ()))
        )


class Authorizer:
    """The judge of one emulator; it keeps the policies of roles until IAM is written to."""

    def __init__(self, state: EmulatorState) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._policies: dict[str, _RolePolicies] = {}

    def forget_policies(self) -> None:
        """Read the policies of all roles again from now on."""
        with self._lock:
            self._policies.clear()

    def refuse(self, target: Target, request: Request) -> AwsError | None:
        """Return the error with which AWS refuses a call, or None."""
        if target.operation in UNSIGNED_OPERATIONS:
            return None
        session, faults = self._state.sessions.find(request), self._state.faults
        if session is not None and session.is_expired:
            return expired_token_error(target.service)
        role = session.role_name if session else faults.caller_role
        if not faults.enforce_policies or not role:
            return None
        for judged in self._iter_requests(target, request, role):
            decision = self._decide(role, judged)
            if decision != "allowed":
                return self._denial(target, session, role, judged, decision)
        return None

    def _iter_requests(self, target: Target, request: Request, role: str) -> Iterator[PolicyRequest]:
        if not is_supported_protocol(target, request):
            return
        try:
            parameters = parse_params(request, target)
        except AwsError:  # the service refuses these parameters itself
            return
        account = AccountState(self._state, target.region, self._load_policies(role).tag_services)
        yield from CallRequests(account, target.service, target.operation, parameters).iter_all()

    def _decide(self, role: str, judged: PolicyRequest) -> str:
        policies = self._load_policies(role)
        context = {**judged.context, "aws:RequestedRegion": self._state.region}
        request = PolicyRequest(judged.action, judged.arn, context)
        decision: str = policy_evaluation.decide(policies.documents, policies.boundary, request)
        is_limited = (
            decision == "implicitDeny" and policy_evaluation.decide(policies.documents, None, request) == "allowed"
        )
        return "boundary" if is_limited else decision

    def _load_policies(self, role: str) -> _RolePolicies:
        """Return the policies of a role, read once until IAM is written to."""
        with self._state.lock, self._lock:
            if role not in self._policies:
                iam = self._state.find_service("iam")
                assert isinstance(iam, Iam)
                self._policies[role] = _RolePolicies(*iam.load_role_policies(role))
            return self._policies[role]

    def _denial(
        self, target: Target, session: Session | None, role: str, judged: PolicyRequest, decision: str
    ) -> AwsError:
        user = session.arn if session else f"arn:aws:sts::{self._state.account}:assumed-role/{role}/orchestrator"
        reason = _REASONS[decision].format(action=judged.action)
        message = f"User: {user} is not authorized to perform: {judged.action} on resource: {judged.arn} {reason}"
        return access_denied_error(target.service, message)
