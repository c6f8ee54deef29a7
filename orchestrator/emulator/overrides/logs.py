"""Override CloudWatch Logs: check the retention period, which both backends accept as it is."""

from __future__ import annotations

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, Service

_RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip


class Logs(Service):
    """Overrides log groups, on both backends."""

    service = "logs"

    def describe_log_groups(self, params: Params, context: CallContext) -> Params:
        """Describe log groups, each with its class."""
        response = context.forward(params)
        groups = [{"logGroupClass": "STANDARD", **group} for group in response["logGroups"]]
        return {**response, "logGroups": groups}

    def put_retention_policy(self, params: Params, context: CallContext) -> Params:
        """Set the retention; refuse a number of days that AWS does not offer."""
        if params["retentionInDays"] not in _RETENTION_DAYS:
            raise AwsError("InvalidParameterException", f"Retention must be one of {list(_RETENTION_DAYS)} days.")
        return context.forward(params)
