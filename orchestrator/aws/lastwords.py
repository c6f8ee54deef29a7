"""The last lines of a log group: what a service says about its own failure.  Reads only, and never fails."""

from __future__ import annotations

from orchestrator.aws.errors import AwsError
from orchestrator.aws.reader import Caller
from orchestrator.redaction import safe

LINES = 3
LONGEST = 300
"""Characters of a line."""


def last_words(clients: Caller, group: str) -> str:
    """The newest lines of its newest stream, in one; empty where there are none, or they may not be read."""
    newest = {"logGroupName": group, "orderBy": "LastEventTime", "descending": True, "limit": 1}
    try:
        streams = clients.call("logs", "describe_log_streams", newest)["logStreams"]
        if not streams:
            return ""
        wanted = {"logGroupName": group, "logStreamName": streams[0]["logStreamName"], "limit": LINES}
        events = clients.call("logs", "get_log_events", wanted)["events"]
    except AwsError:
        return ""
    said = (safe(str(event["message"]).replace("[AppRunner]", "").strip()) for event in events[-LINES:])
    return " ".join(line[:LONGEST] for line in said if line)
