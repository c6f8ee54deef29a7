"""The last lines of a log group: what a service says about its own failure.  Reads only, and never fails."""

from __future__ import annotations

from orchestrator.aws.errors import AwsError
from orchestrator.aws.reader import AwsCaller
from orchestrator.redaction.redact import sanitise

MAX_LINES = 3
MAX_STREAMS = 10
"""Streams that were written to last, among which the youngest is looked for."""
MAX_LINE_CHARS = 300
"""Characters of a line."""


def read_log_tail(clients: AwsCaller, log_group: str) -> str:
    """The newest lines of its youngest stream, in one; empty where there are none, or they may not be read.

    Each copy of a service has a stream of its own: while what was before goes on answering, and writing, the youngest
    is that of what was to take its place.
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
