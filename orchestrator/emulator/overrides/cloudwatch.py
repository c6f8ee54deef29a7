"""CloudWatch alarms: a new one has no data, one that is not there cannot be deleted."""

from __future__ import annotations

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context, Service

_NEW = "Unchecked: Initial alarm creation"


class CloudWatch(Service):
    """Corrections to alarms, on either backend."""

    service = "cloudwatch"

    def describe_alarms(self, params: Params, context: Context) -> Params:
        """A new alarm is INSUFFICIENT_DATA; what was not given is not there."""
        answer = context.forward(params)
        for alarm in answer.get("MetricAlarms", []):
            if alarm.get("StateReason", "").startswith(_NEW):
                alarm["StateValue"] = "INSUFFICIENT_DATA"
            if not alarm.get("AlarmDescription"):
                alarm.pop("AlarmDescription", None)
        return answer

    def delete_alarms(self, params: Params, context: Context) -> Params:
        """All of them must be there, or none is deleted."""
        names = params["AlarmNames"]
        found = self.world.call("cloudwatch", "DescribeAlarms", context.region, AlarmNames=names)
        known = {each["AlarmName"] for kind in ("MetricAlarms", "CompositeAlarms") for each in found.get(kind, [])}
        missing = [name for name in names if name not in known]
        if missing:
            raise AwsError("ResourceNotFound", f"Alarms not found: {', '.join(missing)}", 404)
        return context.forward(params)
