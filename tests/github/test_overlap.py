"""Open pull requests that touch the same are told about each other: by the real service, on the fake GitHub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.github import overlapping_plans
from orchestrator.github.client import GitHub
from orchestrator.github.notifications import GitHubNotifier
from orchestrator.github.workflow_run import WorkflowRun
from orchestrator.runs.settings import Settings
from orchestrator.state.server.access import TokenGrant, create_token
from orchestrator.state.server.store import Store
from orchestrator.vocabulary import Action, Change, FieldChange, Plan
from tests.github import fake_github, fake_github_server
from tests.state.pages.page_service import make_settings, serve

Tell = Callable[..., str]
PLANS = ("propose",)
"""What a job of a pull request may do."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[fake_github.FakeGitHub]:
    with fake_github_server.serve(tmp_path / "shop.git") as made:
        yield made


@pytest.fixture
def tell(hub: fake_github.FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tell]:
    """Open a pull request, or push to it, with a plan that touches a field; what its comment says of others."""
    told = make_settings(tmp_path)
    store = Store.open(told.database)
    monkeypatch.setenv("ORCHESTRATOR_STATE_TOKEN", create_token(store, "ci", TokenGrant(PLANS), 600.0, "me"))

    def plan(number: int, field: str) -> str:
        shown: dict[str, Any] = {
            "number": number,
            "title": f"Change <{number}>",
            "html_url": f"https://github.com/shop/shop/pull/{number}",
            "head": {"sha": f"{number:040}"},
            "state": "open",
        }
        hub.pulls.setdefault(number, shown)
        run = WorkflowRun("shop/shop", "c", "ana", "https://github.com/run", {"pull_request": shown})
        github = GitHub("shop/shop", fake_github.WRITE_TOKEN, api_url=hub.url)
        bulletin = GitHubNotifier(run, github, Path("manifests"), "prod", "c")
        moved = FieldChange((field,), False, True)
        change = Change("s3_bucket.files", Action.UPDATE, "shop-files", "bucket.files", (moved,))
        try:
            return overlapping_plans.report_overlaps(
                Settings(), bulletin, Plan("shop", "prod", "1", "eu-west-1", (change,), digest="d" * 64)
            )
        finally:
            github._client.close()

    with serve(store, told) as address:
        monkeypatch.setenv("ORCHESTRATOR_STATE_URL", address)
        yield plan


def test_both_are_told_while_both_are_open(tell: Tell, hub: fake_github.FakeGitHub) -> None:
    """The later one in its comment, the earlier one in a comment of its own; a closed one concerns nobody."""
    assert tell(1, "versioning") == ""
    assert tell(2, "cors") == ""
    said = tell(3, "versioning")

    assert r"- #1 (Change \<1\>): `s3_bucket.files:versioning`" in said
    (warned,) = hub.list_comments(1)
    assert "#3 (" in warned["body"]
    assert hub.list_comments(2) == []
    hub.pulls[1]["state"] = "closed"
    assert tell(3, "versioning") == ""


def test_without_a_service_nothing_is_said(
    tell: Tell, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that is away is a sentence, no failure."""
    monkeypatch.setenv("ORCHESTRATOR_STATE_URL", "http://127.0.0.1:9")
    assert tell(1, "versioning") == ""
    assert "Could not record the plan of this pull request" in capsys.readouterr().err
    monkeypatch.delenv("ORCHESTRATOR_STATE_URL")
    assert tell(1, "versioning") == ""
