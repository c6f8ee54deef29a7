"""The one comment: what GitHub kept is read back, and nobody else's is taken for ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.github import sticky_comment
from orchestrator.github.client import GitHub
from orchestrator.problems import Problems
from tests.github import fake_github, fake_github_server

MARKER = "<!-- orchestrator:prod -->"
Put = Callable[[str], str]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[fake_github.FakeGitHub]:
    with fake_github_server.serve(tmp_path / "shop.git") as made:
        yield made
        assert (made.unhandled_requests, made.schema_violations) == ([], [])


@pytest.fixture
def put(hub: fake_github.FakeGitHub) -> Iterator[Put]:
    github = GitHub("shop/shop", fake_github.WRITE_TOKEN, api_url=hub.url)
    yield lambda text: sticky_comment.upsert(github, 1, MARKER, f"{MARKER}\n{text}")
    github._client.close()


def bodies(hub: fake_github.FakeGitHub) -> list[str]:
    return [one["body"].removeprefix(f"{MARKER}\n") for one in hub.list_comments(1)]


def test_it_is_written_once_and_then_edited(put: Put, hub: fake_github.FakeGitHub) -> None:
    assert put("one") == put("two")
    assert bodies(hub) == ["two"]


def test_what_github_did_not_keep_is_told(put: Put, hub: fake_github.FakeGitHub) -> None:
    """Cut short on its way, for whatever reason: the run does not say that all is well."""

    def cut(request: fake_github.Request) -> None:
        if "body" in request.body:
            request.body["body"] = request.body["body"][:-5]

    hub.inject_failure = cut
    with pytest.raises(Problems, match="the comment on #1 differs from the text that was sent"):
        put("a plan of many lines")


def test_an_answer_that_was_lost_makes_no_second_one(put: Put, hub: fake_github.FakeGitHub) -> None:
    def lose(request: fake_github.Request) -> fake_github.Response | None:
        if request.method != "POST":
            return None
        fake_github._create_comment(hub, request, "1")
        return 502, {"message": "Bad Gateway"}

    hub.inject_failure = lose
    put("one")
    assert bodies(hub) == ["one"]


def test_of_two_that_were_written_at_once_one_stays(put: Put, hub: fake_github.FakeGitHub) -> None:
    put("one")
    (ours,) = hub.comments.values()
    hub.comments[1] = {**ours, "id": 1}

    put("two")

    assert bodies(hub) == ["two"]


def test_a_person_who_types_our_marker_keeps_their_comment(put: Put, hub: fake_github.FakeGitHub) -> None:
    hub.comments[1] = {
        "id": 1,
        "_issue": 1,
        "body": f"{MARKER}\nmine",
        "user": fake_github.ANA,
        "html_url": "https://x",
    }

    put("one")

    assert bodies(hub) == ["mine", "one"]
