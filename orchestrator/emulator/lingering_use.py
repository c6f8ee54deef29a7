"""Refuse the first deletions of what was in use until now: AWS lets go of it minutes after its user is gone."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request
from orchestrator.emulator.server_protocol import Target, parse_params


@dataclass(frozen=True)
class _Refusal:
    """How AWS says that a resource is in use, by the parameter that names it."""

    parameter: str
    code: str
    message: str
    status: int = 400


_REFUSALS = {
    "apprunner:DeleteVpcConnector": _Refusal(
        "VpcConnectorArn", "InvalidRequestException", "VPC connector {name} is being used by other services."
    ),
    "cloudfront:DeleteFunction": _Refusal(
        "Name", "FunctionInUse", "Cannot delete the function because it's attached to a cache behavior.", 409
    ),
    "cloudfront:DeleteOriginAccessControl": _Refusal(
        "Id",
        "OriginAccessControlInUse",
        "Cannot delete the origin access control because it's in use by one or more distributions.",
        409,
    ),
    "cloudfront:DeleteResponseHeadersPolicy": _Refusal(
        "Id", "ResponseHeadersPolicyInUse", "The response headers policy is attached to a distribution.", 409
    ),
    "ec2:DeleteSecurityGroup": _Refusal("GroupId", "DependencyViolation", "resource {name} has a dependent object"),
    "rds:DeleteDBParameterGroup": _Refusal(
        "DBParameterGroupName",
        "InvalidDBParameterGroupState",
        "One or more database instances are still members of this parameter group {name}.",
    ),
    "rds:DeleteDBSubnetGroup": _Refusal(
        "DBSubnetGroupName",
        "InvalidDBSubnetGroupStateFault",
        "Cannot delete the subnet group '{name}' because at least one database instance is still using it.",
    ),
}
"""Sources: apprunner-roadmap issue 161; terraform-provider-aws (``internal/service/{cloudfront,ec2,rds}``), which
retries these codes after deletions."""


class LingeringUse:
    """Counts the deletions of each resource in one emulator."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._attempts: dict[tuple[str, str], int] = {}

    def clear(self) -> None:
        """Count from zero."""
        with self._lock:
            self._attempts.clear()

    def refuse(self, target: Target, request: Request, in_use_deletions: int) -> AwsError | None:
        """Return the error for one of the first ``in_use_deletions`` deletions of a resource, or None."""
        refusal = _REFUSALS.get(target.name) if in_use_deletions else None
        if refusal is None:
            return None
        try:
            name = str(parse_params(request, target)[refusal.parameter])
        except (AwsError, KeyError):
            return None
        with self._lock:
            attempt = self._attempts[target.name, name] = self._attempts.get((target.name, name), 0) + 1
        if attempt > in_use_deletions:
            return None
        return AwsError(refusal.code, refusal.message.format(name=name), refusal.status)
