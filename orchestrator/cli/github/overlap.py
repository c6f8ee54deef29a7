"""Open pull requests whose plans touch the same fields are told about each other, by what the state service knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli import recording
from orchestrator.cli.options import Settings

if TYPE_CHECKING:
    from orchestrator.github.bulletin import Bulletin
    from orchestrator.model import Plan
    from orchestrator.state.client import Client
    from orchestrator.state.records import Conflict


def told(settings: Settings, bulletin: Bulletin, made: Plan) -> str:
    """Keep what this pull request's plan touches, tell the others, and say which they are; "" without a service."""
    client, asked = recording.here(), bulletin.run.pull_request
    if client is None or asked is None or bulletin.github is None:
        return ""
    from orchestrator.github import page
    from orchestrator.state import telling
    from orchestrator.state.records import Conflict

    shown = bulletin.run.event["pull_request"]
    title, url = str(shown.get("title") or ""), str(shown.get("html_url") or "")
    pull = telling.pull(made, asked.number, asked.head, bulletin.run.actor, title, url)
    found: list[Conflict] = []

    def tell() -> None:
        path = f"/environments/{pull.environment}/pulls/{pull.number}"
        others = client.get(list[Conflict], "PUT", path, pull, patience=recording.SOON)
        found.extend(one for one in others if _is_open(bulletin, client, pull.environment, one.number))
        for one in found:
            _warn(bulletin, client, pull.environment, one.number)

    with client:
        recording.quietly(settings, "what other pull requests touch", tell)
    return page.overlaps((one.number, one.title, one.fields) for one in found)


def close_merged(settings: Settings, bulletin: Bulletin, environment: str) -> None:
    """Tell the service which of the pull requests that it takes for open are merged or closed by now."""
    client = recording.here()
    if client is None or bulletin.github is None:
        return
    from orchestrator.state.records import PullRequestPlan

    def tell() -> None:
        known = client.get(list[PullRequestPlan], "GET", f"/environments/{environment}/pulls", patience=recording.SOON)
        for one in known:
            _is_open(bulletin, client, environment, one.number)

    with client:
        recording.quietly(settings, "which pull requests are open", tell)


def _is_open(bulletin: Bulletin, client: Client, environment: str, number: int) -> bool:
    """Whether the other is open still; the service is told when it is not."""
    from orchestrator.state.records import PullRequestPlan
    from orchestrator.state.telling import now

    assert bulletin.github is not None
    if bulletin.github.get(f"/pulls/{number}")["state"] == "open":
        return True
    closed = PullRequestPlan(environment, number, "", "", now(), is_open=False)
    client.ask("PUT", f"/environments/{environment}/pulls/{number}", closed, patience=recording.SOON)
    return False


def _warn(bulletin: Bulletin, client: Client, environment: str, number: int) -> None:
    """A comment of its own on the other: its plan's was written before this one was known."""
    from orchestrator.github import comment, page
    from orchestrator.render import markdown
    from orchestrator.state.records import Conflict

    assert bulletin.github is not None
    path = f"/environments/{environment}/pulls/{number}/conflicts"
    others = client.get(list[Conflict], "GET", path, patience=recording.SOON)
    text = page.overlaps((one.number, one.title, one.fields) for one in others)
    marker = markdown.marker(bulletin.marker, "overlap")
    if text:
        comment.put(bulletin.github, number, marker, f"{marker}\n{text}\n")
