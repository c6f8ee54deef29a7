"""CloudWatch alarms: a new one has no data, one that is not there cannot be deleted."""

from __future__ import annotations

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, Service

_INITIAL_STATE_REASON = "Unchecked: Initial alarm creation"


class CloudWatch(Service):
    """Corrections to alarms, on either backend."""

    service = "cloudwatch"

    def describe_alarms(self, params: Params, context: CallContext) -> Params:
        """A new alarm is INSUFFICIENT_DATA; what was not given is not there."""
        response = context.forward(params)
        for alarm in response.get("MetricAlarms", []):
            if alarm.get("StateReason", "").startswith(_INITIAL_STATE_REASON):
                alarm["StateValue"] = "INSUFFICIENT_DATA"
            if not alarm.get("AlarmDescription"):
                alarm.pop("AlarmDescription", None)
        return response

    def delete_alarms(self, params: Params, context: CallContext) -> Params:
        """All of them must be there, or none is deleted."""
        names = params["AlarmNames"]
        response = self.state.call("cloudwatch", "DescribeAlarms", context.region, AlarmNames=names)
        existing_names = {
            alarm["AlarmName"] for kind in ("MetricAlarms", "CompositeAlarms") for alarm in response.get(kind, [])
        }
        missing = [name for name in names if name not in existing_names]
        if missing:
            raise AwsError("ResourceNotFound", f"Alarms not found: {', '.join(missing)}", 404)
        return context.forward(params)
