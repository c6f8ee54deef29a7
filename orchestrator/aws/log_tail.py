"""The last lines of a log group: what a service says about its own failure.  Reads only, and never fails."""

from __future__ import annotations

from orchestrator.aws.errors import AwsError
from orchestrator.aws.reader import Caller
from orchestrator.redaction.redact import safe

LINES = 3
STREAMS = 10
"""Streams that were written to last, among which the youngest is looked for."""
LONGEST = 300
"""Characters of a line."""


def last_words(clients: Caller, group: str) -> str:
    """The newest lines of its youngest stream, in one; empty where there are none, or they may not be read.

    Each copy of a service has a stream of its own: while what was before goes on answering, and writing, the youngest
    is that of what was to take its place.
    """
    newest = {"logGroupName": group, "orderBy": "LastEventTime", "descending": True, "limit": STREAMS}
    try:
        streams = clients.call("logs", "describe_log_streams", newest)["logStreams"]
        if not streams:
            return ""
        youngest = max(streams, key=lambda stream: int(stream.get("creationTime", 0)))
        wanted = {"logGroupName": group, "logStreamName": youngest["logStreamName"], "limit": LINES}
        events = clients.call("logs", "get_log_events", wanted)["events"]
    except AwsError:
        return ""
    said = (safe(str(event["message"]).replace("[AppRunner]", "").strip()) for event in events[-LINES:])
    return " ".join(line[:LONGEST] for line in said if line)
