"""Open pull requests whose plans touch the same fields are told about each other, by what the state service knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.runs import reporter
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.github.notifications import Bulletin
    from orchestrator.state.client.api_client import Client
    from orchestrator.state.protocol.records import Conflict
    from orchestrator.vocabulary import Plan


def told(settings: Settings, bulletin: Bulletin, made: Plan) -> str:
    """Keep what this pull request's plan touches, tell the others, and say which they are; "" without a service."""
    client, asked = reporter.here(), bulletin.run.pull_request
    if client is None or asked is None or bulletin.github is None:
        return ""
    from orchestrator.github import comment_body
    from orchestrator.state.client import payloads
    from orchestrator.state.protocol.records import Conflict

    shown = bulletin.run.event["pull_request"]
    title, url = str(shown.get("title") or ""), str(shown.get("html_url") or "")
    pull = payloads.pull(made, asked.number, asked.head, bulletin.run.actor, title, url)
    found: list[Conflict] = []

    def tell() -> None:
        path = f"/environments/{pull.environment}/pulls/{pull.number}"
        others = client.get(list[Conflict], "PUT", path, pull, patience=reporter.SOON)
        found.extend(one for one in others if _is_open(bulletin, client, pull.environment, one.number))
        for one in found:
            _warn(bulletin, client, pull.environment, one.number)

    with client:
        reporter.quietly(settings, "what other pull requests touch", tell)
    return comment_body.overlaps((one.number, one.title, one.fields) for one in found)


def close_merged(settings: Settings, bulletin: Bulletin, environment: str) -> None:
    """Tell the service which of the pull requests that it takes for open are merged or closed by now."""
    client = reporter.here()
    if client is None or bulletin.github is None:
        return
    from orchestrator.state.protocol.records import PullRequestPlan

    def tell() -> None:
        known = client.get(list[PullRequestPlan], "GET", f"/environments/{environment}/pulls", patience=reporter.SOON)
        for one in known:
            _is_open(bulletin, client, environment, one.number)

    with client:
        reporter.quietly(settings, "which pull requests are open", tell)


def _is_open(bulletin: Bulletin, client: Client, environment: str, number: int) -> bool:
    """Whether the other is open still; the service is told when it is not."""
    from orchestrator.state.client.payloads import now
    from orchestrator.state.protocol.records import PullRequestPlan

    assert bulletin.github is not None
    if bulletin.github.get(f"/pulls/{number}")["state"] == "open":
        return True
    closed = PullRequestPlan(environment, number, "", "", now(), is_open=False)
    client.ask("PUT", f"/environments/{environment}/pulls/{number}", closed, patience=reporter.SOON)
    return False


def _warn(bulletin: Bulletin, client: Client, environment: str, number: int) -> None:
    """A comment of its own on the other: its plan's was written before this one was known."""
    from orchestrator.github import comment_body, sticky_comment
    from orchestrator.render import plan_markdown
    from orchestrator.state.protocol.records import Conflict

    assert bulletin.github is not None
    path = f"/environments/{environment}/pulls/{number}/conflicts"
    others = client.get(list[Conflict], "GET", path, patience=reporter.SOON)
    text = comment_body.overlaps((one.number, one.title, one.fields) for one in others)
    marker = plan_markdown.marker(bulletin.marker, "overlap")
    if text:
        sticky_comment.put(bulletin.github, number, marker, f"{marker}\n{text}\n")
