"""Interrupt a deploy from outside: kill its process, or let its session with AWS expire.

API: IAM CreateRole, PutRolePolicy, DeleteRolePolicy, DeleteRole; STS AssumeRole, GetCallerIdentity.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from orchestrator import shell
from orchestrator.aws import AwsError, Clients
from orchestrator.aws.s3_object import PAUSES_SECONDS

SERVICE: Final = "ecs_express_service.api"
KILLED_AT: Final = {
    "while it changes the service": re.compile(rf"^\s*[\d.ms]+\s+(?!prob)\w+\s+{re.escape(SERVICE)}"),
    "while it probes the new version": re.compile(r"^\s*[\d.ms]+\s+probing\s"),
}
"""Moments of a deploy, by the line that it prints then."""
DEPLOY_TIMEOUT_SECONDS: Final = 3600.0
SESSION_SECONDS: Final = 900
"""The shortest session that STS starts (API reference, AssumeRole)."""
REMAINING_SECONDS: Final = 150.0
"""What is left of the session when the deploy starts: a canary deployment of ECS Express takes six minutes."""
_NOT_ASSUMABLE_CODE: Final = "AccessDenied"
_MISSING_CODE: Final = "NoSuchEntity"
_POLICY_NAME: Final = "rehearsal"
_DEPLOY_STATEMENTS: Final = (
    {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"},
    {"Effect": "Allow", "Action": ["iam:Get*", "iam:List*", "iam:PassRole"], "Resource": "*"},
)
"""Everything that a deploy does which changes no role; the role exists for a quarter of an hour."""


def kill_deploy(folder: Path, environment: str, moment: re.Pattern[str]) -> bool:
    """Start `orchestrator deploy` and kill it (SIGKILL) when it prints a matching line; return whether it came to that.

    Raises Problems if it cannot be started.
    """
    options = ["-f", str(folder), "-e", environment, "--auto-approve", "--without-record", "--no-color"]
    command = [sys.executable, "-m", "orchestrator", "deploy", *options]
    return shell.kill_at_line(command, lambda line: bool(moment.match(line)), DEPLOY_TIMEOUT_SECONDS)


@contextmanager
def start_short_session(clients: Clients, role: str, pause: Callable[[float], None]) -> Iterator[Clients]:
    """Yield clients whose session expires after REMAINING_SECONDS; delete its role afterwards.

    Raises AwsError.
    """
    delete_role(clients, role)
    arn = _create_role(clients, role)
    try:
        short = clients.with_session(_assume_role(clients, arn, pause))
        pause(SESSION_SECONDS - REMAINING_SECONDS)
        yield short
    finally:
        delete_role(clients, role)


def delete_role(clients: Clients, role: str) -> None:
    """Delete the role of a short session, if it exists.  Raises AwsError."""
    for operation, parameters in (
        ("delete_role_policy", {"RoleName": role, "PolicyName": _POLICY_NAME}),
        ("delete_role", {"RoleName": role}),
    ):
        try:
            clients.call("iam", operation, parameters)
        except AwsError as error:
            if error.code != _MISSING_CODE:
                raise


def _create_role(clients: Clients, role: str) -> str:
    """Create a role that only these credentials may assume, and return its ARN."""
    identity = clients.call("sts", "get_caller_identity", {})
    trust: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{identity['Account']}:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:userid": identity["UserId"]}},
    }
    request = {"RoleName": role, "AssumeRolePolicyDocument": _to_document(trust)}
    arn = str(clients.call("iam", "create_role", request)["Role"]["Arn"])
    policy = {"RoleName": role, "PolicyName": _POLICY_NAME, "PolicyDocument": _to_document(*_DEPLOY_STATEMENTS)}
    clients.call("iam", "put_role_policy", policy)
    return arn


def _assume_role(clients: Clients, arn: str, pause: Callable[[float], None]) -> Mapping[str, Any]:
    """Return the credentials of a session.  A new role cannot be assumed at once."""
    request = {"RoleArn": arn, "RoleSessionName": "rehearsal", "DurationSeconds": SESSION_SECONDS}
    for pause_seconds in (*PAUSES_SECONDS, 0.0):
        try:
            credentials: Mapping[str, Any] = clients.call("sts", "assume_role", request)["Credentials"]
        except AwsError as error:
            if error.code != _NOT_ASSUMABLE_CODE or not pause_seconds:
                raise
            pause(pause_seconds)
        else:
            return credentials
    raise AssertionError  # the last attempt returns or raises


def _to_document(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
