"""Override CloudWatch alarms: a new alarm has no data, and deleting a missing alarm is an error."""

from __future__ import annotations

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, Service

_INITIAL_STATE_REASON = "Unchecked: Initial alarm creation"


class CloudWatch(Service):
    """Overrides alarms, on both backends."""

    service = "cloudwatch"

    def describe_alarms(self, params: Params, context: CallContext) -> Params:
        """Describe alarms: a new one is INSUFFICIENT_DATA, and an unset description is absent."""
        response = context.forward(params)
        for alarm in response.get("MetricAlarms", []):
            if alarm.get("StateReason", "").startswith(_INITIAL_STATE_REASON):
                alarm["StateValue"] = "INSUFFICIENT_DATA"
            if not alarm.get("AlarmDescription"):
                alarm.pop("AlarmDescription", None)
        return response

    def delete_alarms(self, params: Params, context: CallContext) -> Params:
        """Delete all the named alarms, or none if one of them is missing."""
        names = params["AlarmNames"]
        response = self.state.call("cloudwatch", "DescribeAlarms", context.region, AlarmNames=names)
        existing_names = {
            alarm["AlarmName"] for kind in ("MetricAlarms", "CompositeAlarms") for alarm in response.get(kind, [])
        }
        missing = [name for name in names if name not in existing_names]
        if missing:
            raise AwsError("ResourceNotFound", f"Alarms not found: {', '.join(missing)}", 404)
        return context.forward(params)
