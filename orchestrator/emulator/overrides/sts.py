"""Override STS: sessions of roles, which the emulator knows again, and whose trust policy is evaluated."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.emulator import policy_evaluation
from orchestrator.emulator.authorization.sessions import Session
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.overrides.iam import load_document
from orchestrator.emulator.policy_evaluation import PolicyRequest
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, Service

_DEFAULT_DURATION_SECONDS = 3600
_WEB_IDENTITY_ACTION = "sts:AssumeRoleWithWebIdentity"


class Sts(Service):
    """Overrides the operations that give sessions and the one that says whose they are."""

    service = "sts"

    def assume_role(self, params: Params, context: CallContext) -> Params:
        """Start a session of a role that trusts the caller's account."""
        role = self._read_role(params["RoleArn"])
        principals = {"*", context.account, f"arn:aws:iam::{context.account}:root"}
        conditions = {"aws:userid": self._caller_id(context)}
        if role is None or not _trusts(role, "sts:AssumeRole", {"AWS": principals}, conditions):
            caller = self._caller_arn(context)
            raise _denial(
                f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {params['RoleArn']}"
            )
        session = self._start_session(role, params)
        return _describe_session(session, role, self._duration_seconds(session))

    def assume_role_with_web_identity(self, params: Params, context: CallContext) -> Params:
        """Start a session of a role that trusts the token's issuer and claims; signatures are not checked."""
        claims = _decode_claims(params["WebIdentityToken"])
        issuer = str(claims.get("iss", "")).removeprefix("https://")
        provider = f"arn:aws:iam::{context.account}:oidc-provider/{issuer}"
        conditions = {f"{issuer}:{name}": str(value) for name, value in claims.items()}
        role = self._read_role(params["RoleArn"])
        if role is None or not _trusts(role, _WEB_IDENTITY_ACTION, {"Federated": {provider}}, conditions):
            raise _denial(f"Not authorized to perform {_WEB_IDENTITY_ACTION}")
        session = self._start_session(role, params)
        return {
            **_describe_session(session, role, self._duration_seconds(session)),
            "SubjectFromWebIdentityToken": str(claims.get("sub", "")),
            "Audience": str(claims.get("aud", "")),
            "Provider": provider,
        }

    def get_caller_identity(self, params: Params, context: CallContext) -> Params:
        """Return the session's role, or the backend's answer for other keys."""
        session = self.state.sessions.find(context.request)
        if session is None:
            return context.forward(params)
        return {"UserId": _session_id(session), "Account": context.account, "Arn": session.arn}

    def _caller_id(self, context: CallContext) -> str:
        session = self.state.sessions.find(context.request)
        if session is not None:
            return _session_id(session)
        return str(self.state.call("sts", "GetCallerIdentity", context.region)["UserId"])

    def _caller_arn(self, context: CallContext) -> str:
        session = self.state.sessions.find(context.request)
        return session.arn if session else f"arn:aws:iam::{context.account}:user/orchestrator"

    def _read_role(self, arn: str) -> Params | None:
        try:
            role: Params = self.state.call("iam", "GetRole", RoleName=arn.rpartition("/")[2])["Role"]
        except AwsError:
            return None
        return role if role["Arn"] == arn else None

    def _start_session(self, role: Params, params: Params) -> Session:
        duration = params.get("DurationSeconds", _DEFAULT_DURATION_SECONDS)
        if duration > role.get("MaxSessionDuration", _DEFAULT_DURATION_SECONDS):
            message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            raise AwsError("ValidationError", message, 400)
        limit = self.state.faults.max_session_seconds
        duration = duration if limit is None else min(limit, duration)
        return self.state.sessions.start(role["Arn"], params["RoleSessionName"], duration)

    def _duration_seconds(self, session: Session) -> float:
        """Return how long a session's token is accepted, which the fault settings may shorten."""
        limit = self.state.faults.session_expires_after_seconds
        duration = session.expires_at - session.started_at
        return duration if limit is None else min(limit, duration)


def _session_id(session: Session) -> str:
    return f"AROAEXAMPLE:{session.name}"


def _trusts(role: Params, action: str, principals: Mapping[str, set[str]], conditions: Mapping[str, str]) -> bool:
    """Return whether a role's trust policy allows one of the principals, with these values of condition keys."""
    statements = [
        statement
        for statement in load_document(role["AssumeRolePolicyDocument"])["Statement"]
        if _names_principal(statement.get("Principal", {}), principals)
    ]
    request = PolicyRequest(action, "*", conditions)
    return policy_evaluation.decide([{"Statement": statements}], None, request) == "allowed"


def _names_principal(principal: Any, expected: Mapping[str, set[str]]) -> bool:
    if principal == "*":
        return True
    named = {kind: {value} if isinstance(value, str) else set(value) for kind, value in principal.items()}
    return any(named.get(kind, set()) & values for kind, values in expected.items())


def _decode_claims(token: str) -> Mapping[str, Any]:
    """Return the claims of a token.  Raises AwsError InvalidIdentityToken if it is none."""
    try:
        payload = token.split(".")[1]
        claims: Mapping[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError) as error:
        raise AwsError("InvalidIdentityToken", "The ID Token provided is not a valid JWT.", 400) from error
    return claims


def _describe_session(session: Session, role: Params, duration_seconds: float) -> Params:
    return {
        "Credentials": {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": secrets.token_urlsafe(30),
            "SessionToken": secrets.token_urlsafe(120),
            "Expiration": datetime.now(UTC) + timedelta(seconds=duration_seconds),
        },
        "AssumedRoleUser": {"AssumedRoleId": f"{role['RoleId']}:{session.name}", "Arn": session.arn},
    }


def _denial(message: str) -> AwsError:
    return AwsError("AccessDenied", message, 403)
