"""List what AWS refuses to some accounts, as data: an account may be new, unverified, on the Free plan or a member.

``Faults.account_limits`` names the limits in force.  Codes and wordings are those that users of AWS have reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

from orchestrator.emulator.errors import AwsError

AccountLimit = Literal[
    "app-runner-closed", "cloudfront-unverified", "free-plan", "linked-account", "no-load-balancers", "rds-unused"
]
ACCOUNT_LIMITS: tuple[str, ...] = get_args(AccountLimit)

NO_LOAD_BALANCERS_REASON = (
    "OperationNotPermitted: This AWS account currently does not support creating load balancers. "
    "For more information, please contact AWS Support."
)
NO_LINKED_ROLE_MESSAGE = (
    "Unable to create the resource. Verify that you have permission to create service linked role. "
    "Otherwise wait and try again later"
)
NO_CREDENTIALS_MESSAGE = "Missing necessary credentials"
MAX_FREE_BACKUP_DAYS = 1


@dataclass(frozen=True)
class _Refusal:
    """A call that an account limit refuses."""

    service: str
    operation: str
    code: str
    message: str
    status: int = 400


_REFUSALS = {
    "app-runner-closed": _Refusal(
        "apprunner",
        "Create*",
        "AccessDeniedException",
        "AWS App Runner is in maintenance mode and is no longer available to new customers",
    ),
    "cloudfront-unverified": _Refusal(
        "cloudfront",
        "CreateDistribution*",
        "AccessDenied",
        "Your account must be verified before you can add new CloudFront resources. To verify your account, please "
        "contact AWS Support (https://console.aws.amazon.com/support/home#/) and include this error message.",
        403,
    ),
    "linked-account": _Refusal(
        "budgets",
        "Create*",
        "AccessDeniedException",
        "Account is a linked account. To enable budgets for your account, ask the payer account to enable budgets "
        "first.",
    ),
}
"""Limits that refuse a call whatever its parameters; the services apply the others."""


def refuse_call(limits: tuple[str, ...], service: str, operation: str) -> AwsError | None:
    """Return the error with which one of the limits refuses a call, or None."""
    for limit in limits:
        refusal = _REFUSALS.get(limit)
        if refusal and refusal.service == service and fnmatchcase(operation, refusal.operation):
            return AwsError(refusal.code, refusal.message, refusal.status)
    return None


def check_backup_days(limits: tuple[str, ...], days: object) -> None:
    """Refuse backups that the Free plan does not include.

    Raises AwsError FreeTierRestrictionError.
    """
    if "free-plan" in limits and isinstance(days, int) and days > MAX_FREE_BACKUP_DAYS:
        message = "The specified backup retention period exceeds the maximum available to free tier customers."
        raise AwsError("FreeTierRestrictionError", message, 400)
