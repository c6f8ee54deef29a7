"""Warn open pull requests whose plans change the same fields, from what the state service records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.runs import reporter
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.github.notifications import GitHubNotifier
    from orchestrator.state.client.api_client import StateClient
    from orchestrator.state.protocol.records import Conflict
    from orchestrator.vocabulary import Plan


def report_overlaps(settings: Settings, notifier: GitHubNotifier, plan: Plan) -> str:
    """Record the fields that this plan changes, warn the overlapping pull requests, and return a text that lists them.

    Empty if nothing overlaps or no state service is configured.
    """
    client, pull_request = reporter.find_client(), notifier.run.pull_request
    if client is None or pull_request is None or notifier.github is None:
        return ""
    from orchestrator.github import comment_body
    from orchestrator.state.client import payloads
    from orchestrator.state.protocol.records import Conflict

    event_pull_request = notifier.run.event["pull_request"]
    title, url = str(event_pull_request.get("title") or ""), str(event_pull_request.get("html_url") or "")
    pull_payload = payloads.build_pull_request_plan(
        plan, pull_request.number, pull_request.head, notifier.run.actor, title, url
    )
    conflicts: list[Conflict] = []

    def sync_pull_request() -> None:
        path = f"/environments/{pull_payload.environment}/pulls/{pull_payload.number}"
        others = client.request_record(
            list[Conflict], "PUT", path, pull_payload, timeout_seconds=reporter.BEST_EFFORT_TIMEOUT_SECONDS
        )
        # A job of a pull request may not record that others are closed; the next deploy does.
        conflicts.extend(conflict for conflict in others if _is_open(notifier, conflict.number))
        for conflict in conflicts:
            _comment_overlaps(notifier, client, pull_payload.environment, conflict.number)

    with client:
        reporter.try_recording(settings, "the plan of this pull request", sync_pull_request)
    return comment_body.render_overlaps((conflict.number, conflict.title, conflict.fields) for conflict in conflicts)


def close_merged(settings: Settings, notifier: GitHubNotifier, environment: str) -> None:
    """Record in the state service which of its open pull requests have been merged or closed."""
    client = reporter.find_client()
    if client is None or notifier.github is None:
        return
    from orchestrator.state.protocol.records import PullRequestPlan

    def close_pull_requests() -> None:
        open_pull_requests = client.request_record(
            list[PullRequestPlan],
            "GET",
            f"/environments/{environment}/pulls",
            timeout_seconds=reporter.BEST_EFFORT_TIMEOUT_SECONDS,
        )
        for open_pull_request in open_pull_requests:
            if not _is_open(notifier, open_pull_request.number):
                _record_closed(client, environment, open_pull_request.number)

    with client:
        reporter.try_recording(settings, "which pull requests are closed", close_pull_requests)


def _is_open(notifier: GitHubNotifier, number: int) -> bool:
    assert notifier.github is not None
    return bool(notifier.github.get(f"/pulls/{number}")["state"] == "open")


def _record_closed(client: StateClient, environment: str, number: int) -> None:
    """Record in the state service that a pull request is closed."""
    from orchestrator.state.client.payloads import current_timestamp
    from orchestrator.state.protocol.records import PullRequestPlan

    closed_pull_request = PullRequestPlan(environment, number, "", "", current_timestamp(), is_open=False)
    client.request(
        "PUT",
        f"/environments/{environment}/pulls/{number}",
        closed_pull_request,
        timeout_seconds=reporter.BEST_EFFORT_TIMEOUT_SECONDS,
    )


def _comment_overlaps(notifier: GitHubNotifier, client: StateClient, environment: str, number: int) -> None:
    """Comment on an overlapping pull request, whose plan comment was written before this plan existed."""
    from orchestrator.github import comment_body, sticky_comment
    from orchestrator.render import plan_markdown
    from orchestrator.state.protocol.records import Conflict

    assert notifier.github is not None
    path = f"/environments/{environment}/pulls/{number}/conflicts"
    conflicts = client.request_record(list[Conflict], "GET", path, timeout_seconds=reporter.BEST_EFFORT_TIMEOUT_SECONDS)
    text = comment_body.render_overlaps((conflict.number, conflict.title, conflict.fields) for conflict in conflicts)
    marker = plan_markdown.marker(notifier.marker, "overlap")
    if text:
        sticky_comment.upsert(notifier.github, number, marker, f"{marker}\n{text}\n")
