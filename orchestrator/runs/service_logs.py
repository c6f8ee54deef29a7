"""Read what the containers of a service printed.  API: CloudWatch Logs, FilterLogEvents."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from orchestrator.aws import AwsError, Clients, Reader
from orchestrator.problems import Problems
from orchestrator.redaction.redact import sanitise
from orchestrator.runs.service_lookup import find_service, read_live
from orchestrator.vocabulary import DesiredState, LiveResource, Resource

POLL_SECONDS = 2.0
OVERLAP_MILLISECONDS = 10_000
"""How far back a poll reads again, because CloudWatch shows events some seconds after their time."""


class LogLine(Struct, frozen=True):
    """One line: its id, its time in milliseconds since 1970, and the text without control characters and secrets."""

    id: str
    at_milliseconds: int
    text: str


class LogQuery(Struct, frozen=True):
    """Which lines to read: since a time in seconds since 1970, and only those that ``pattern`` matches."""

    since: float
    pattern: re.Pattern[str] | None = None
    follow: bool = False


def find_log_group(desired: DesiredState, component: str, clients: Clients) -> str:
    """Return the log group of a service's containers.

    ``component`` is a handle or its name.  Raises Problems if it is not a service, or is not in AWS yet.
    """
    service = find_service(desired, component)
    live = read_live(desired, service, Reader(clients), "cannot read the logs of")
    return _log_group(service, live)


def read_lines(
    clients: Clients, log_group: str, query: LogQuery, *, pause: Callable[[float], None] = time.sleep
) -> Iterator[LogLine]:
    """Yield the lines in the order of their times; with ``follow``, wait for more until the caller stops.

    Raises Problems if CloudWatch refuses.  A log group that does not exist yet has no lines.
    """
    start = int(query.since * 1000)
    printed_times: dict[str, int] = {}
    while True:
        for line in _read_page(clients, log_group, start):
            if line.id in printed_times:
                continue
            printed_times[line.id] = line.at_milliseconds
            if query.pattern is None or query.pattern.search(line.text):
                yield line
        if not query.follow:
            return
        if printed_times:
            start = max(start, max(printed_times.values()) - OVERLAP_MILLISECONDS)
            printed_times = {identity: at for identity, at in printed_times.items() if at >= start}
        pause(POLL_SECONDS)


def _read_page(clients: Clients, log_group: str, start: int) -> list[LogLine]:
    try:
        pages = clients.pages("logs", "filter_log_events", {"logGroupName": log_group, "startTime": start})
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            return []
        raise Problems.from_message(f"cannot read the log group {log_group}: {error}") from None
    return sorted(
        (_to_line(event) for page in pages for event in page["events"]),
        key=lambda line: (line.at_milliseconds, line.id),
    )


def _to_line(event: Mapping[str, object]) -> LogLine:
    return LogLine(str(event["eventId"]), int(str(event["timestamp"])), sanitise(str(event["message"]).rstrip()))


def _log_group(service: Resource, live: LiveResource) -> str:
    if service.type == "apprunner_service":
        return f"/aws/apprunner/{service.physical}/{live.outputs['id']}/application"
    return str(live.spec["log_group"])
