"""Read the last lines of a log group, to explain the failure of a service.  Only reads, and never fails."""

from __future__ import annotations

from orchestrator.aws.errors import AwsError
from orchestrator.aws.reader import AwsCaller
from orchestrator.redaction.redact import sanitise

MAX_LINES = 3
MAX_STREAMS = 10
"""Most recently written streams, among which the newest is chosen."""
MAX_LINE_CHARS = 300
"""Characters per line."""


def read_log_tail(clients: AwsCaller, log_group: str) -> str:
    """Return the last lines of the newest stream, joined into one; "" if there are none or they cannot be read.

    Each instance of a service writes its own stream.  The old instances keep running and writing during a deployment,
    so the newest stream belongs to the instance that failed to replace them.
    """
    stream_query = {"logGroupName": log_group, "orderBy": "LastEventTime", "descending": True, "limit": MAX_STREAMS}
    try:
        streams = clients.call("logs", "describe_log_streams", stream_query)["logStreams"]
        if not streams:
            return ""
        newest_stream = max(streams, key=lambda stream: int(stream.get("creationTime", 0)))
        event_query = {"logGroupName": log_group, "logStreamName": newest_stream["logStreamName"], "limit": MAX_LINES}
        events = clients.call("logs", "get_log_events", event_query)["events"]
    except AwsError:
        return ""
    lines = (sanitise(str(event["message"]).replace("[AppRunner]", "").strip()) for event in events[-MAX_LINES:])
    return " ".join(line[:MAX_LINE_CHARS] for line in lines if line)
