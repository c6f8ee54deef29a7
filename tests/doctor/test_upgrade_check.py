"""Which versions are in use, which are newer, and what they ask for.

The answers have the members that GitHub documents for "List releases" and "List repository tags".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

import orchestrator
from orchestrator import canonical_json
from orchestrator.doctor import upgrade_check
from orchestrator.github.client import GitHub
from orchestrator.problems import Problems

PINNED, OTHER = "3f1c9a2b7d60" + "0" * 28, "b" * 40
WORKFLOW = "on: push\njobs:\n  plan:\n    uses: acme/orchestrator/.github/workflows/plan.yml@{ref}\n"


def release(tag: str, body: str = "", *, draft: bool = False, prerelease: bool = False) -> dict[str, object]:
    return {
        "tag_name": tag, "body": body, "draft": draft, "prerelease": prerelease,
        "published_at": "2026-12-14T09:00:00Z", "html_url": f"https://github.com/acme/orchestrator/releases/tag/{tag}",
    }  # fmt: skip


RELEASES = [
    release("v9.10.0", "- Faster.\n- New rights. Run `orchestrator bootstrap\n  github` again."),
    release("v9.9.0", "Run `orchestrator bootstrap github` again, then run `orchestrator plan`."),
    release("v9.11.0", draft=True),
    release("v10.0.0-rc1", prerelease=True),
    release("nightly"),
    release("v0.0.1", "Run `orchestrator demo`."),
]


def github(releases: list[dict[str, object]], seen: list[httpx.Request] | None = None) -> Callable[[str], GitHub]:
    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        tags = [{"name": "v9.9.0", "commit": {"sha": PINNED}}, {"name": "v9", "commit": {"sha": PINNED}}]
        return httpx.Response(200, json=tags if request.url.path.endswith("/tags") else releases)

    return lambda repository: GitHub(repository, "", transport=httpx.MockTransport(answer))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / ".github" / "workflows" / "plan.yml").write_text(WORKFLOW.format(ref=PINNED))
    return tmp_path


def test_newer_versions_are_listed_with_what_they_ask_for(checkout: Path) -> None:
    """Ten is newer than nine; drafts, candidates and other tags are none; each command once."""
    report = upgrade_check.check_upgrade(checkout, "", github(RELEASES))

    assert [item.version for item in report.newer] == ["9.10.0", "9.9.0"]
    assert [(pin.reference, pin.version) for pin in report.pins] == [(PINNED, "9.9.0")]
    assert report.commands == ("orchestrator bootstrap github", "orchestrator plan")
    text = upgrade_check.render_text(report)
    assert text.splitlines()[:2] == [
        f"Installed: {orchestrator.__version__}",
        "Workflows: 9.9.0 (acme/orchestrator@3f1c9a2b7d60)",
    ]
    assert "After the upgrade, run once:\n  orchestrator bootstrap github\n  orchestrator plan\n" in text


def test_a_commit_of_no_release_is_named(checkout: Path) -> None:
    (checkout / ".github" / "workflows" / "plan.yml").write_text(WORKFLOW.format(ref=OTHER))

    text = upgrade_check.render_text(upgrade_check.check_upgrade(checkout, "", github([release("v0.0.1")])))

    assert "Workflows: a commit that is not a release (acme/orchestrator@bbbbbbbbbbbb)" in text
    assert "This is the newest version of acme/orchestrator." in text


def test_no_token_is_sent_where_there_is_none(checkout: Path) -> None:
    seen: list[httpx.Request] = []
    upgrade_check.check_upgrade(checkout, "", github(RELEASES, seen))

    assert len(seen) == 2
    assert [request.headers.get("authorization") for request in seen] == [None, None]


def test_without_workflows_the_repository_has_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(Problems, match="--repository OWNER/NAME"):
        upgrade_check.check_upgrade(tmp_path, "", github(RELEASES))

    report = upgrade_check.check_upgrade(tmp_path, "acme/orchestrator", github(RELEASES))
    assert report.pins == ()
    assert len(report.newer) == 2
    assert json.loads(canonical_json.dump(report))["installed"]
