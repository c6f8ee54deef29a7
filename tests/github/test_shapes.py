"""What keeps the fakes honest: it knows GitHub's published requests and answers, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.github import event_payloads
from tests.github.api_schema import find_violations

Asked = tuple[str, str, dict[str, str], Any]
STATUS: Asked = ("POST", "/statuses/c0ffee", {}, {"state": "success", "context": "orchestrator/prod"})


@pytest.mark.parametrize(
    ("asked", "status", "answer", "said"),
    [
        (("POST", "/statuses/c0ffee", {}, {"state": "fine"}), 201, {}, "'fine' is not one of"),
        (("POST", "/statuses/c0ffee", {}, {}), 201, {}, "'state' is a required property"),
        (("POST", "/statuses/c0ffee", {}, {"state": "success", "colour": 1}), 201, {}, "'colour' was unexpected"),
        (("GET", "/pulls", {"author": "ana"}, {}), 200, [], "there is no parameter author"),
        (("GET", "/pull/1", {}, {}), 200, {}, "nothing is published of it"),
        (("DELETE", "/issues/comments/1", {}, None), 200, None, "it does not answer 200"),
        (STATUS, 201, {"invented": 1}, "'invented' was unexpected"),
        (STATUS, 201, {"id": "one"}, "'one' is not of type 'integer'"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_github_does_not_know(asked: Asked, status: int, answer: Any, said: str) -> None:
    (complaint,) = find_violations(asked, status, answer)

    assert said in complaint


def test_what_it_knows() -> None:
    """A refusal may look as it likes."""
    assert list(find_violations(STATUS, 201, {"id": 1, "state": "success", "creator": {"login": "x"}})) == []
    assert list(find_violations(("GET", "/git/ref/heads/a/b", {}, {}), 404, {"message": "Not Found"})) == []


def test_a_payload_is_as_published() -> None:
    """What GitHub always sends is there, though no test speaks of it; what it never sends is refused."""
    made = event_payloads.complete_payload(
        "push$event", {"ref": "refs/heads/main", "repository": {"full_name": "shop/shop"}}
    )

    assert made["repository"]["full_name"] == "shop/shop"
    assert {"before", "pusher", "head_commit"} <= made.keys()
    assert "git_url" in made["repository"]
    invented = {**made, "repository": {**made["repository"], "invented": 1}}
    assert ["'invented' was unexpected" in one for one in event_payloads.find_violations("push$event", invented)] == [
        True
    ]
    assert list(event_payloads.find_violations("push$event", {**made, "ref": None})) == [
        "push$event: ref: None is not of type 'string'"
    ]
    assert list(event_payloads.find_violations("schedule", {"repository": {}})) != []
    with pytest.raises(AssertionError):
        event_payloads.complete_payload("pull_request$opened", {"action": "shut"})
