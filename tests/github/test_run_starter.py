"""`approval: review`: nobody approves their own changes by starting a run, or by switching the approval off.

GitHub's documentation: "Manually running a workflow" (write access is all that it takes), "List repository activities"
(who pushed, as GitHub saw it), "Default environment variables" (GITHUB_TRIGGERING_ACTOR is who runs a job again),
"Triggering a workflow from a workflow" (GITHUB_TOKEN may dispatch one, so who started it may be no person).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

from orchestrator.github import run_starter
from orchestrator.github.client import GitHub
from orchestrator.github.workflow_run import WorkflowRun
from orchestrator.problems import ExitCode
from tests.github.fake_github import ANA, BEN, BOT
from tests.github.shop_repository import PROJECT, ShopRepository, bucket_manifest
from tests.github.test_review_evidence import github

__all__ = ["github"]
FILES: dict[str, str | None] = {"manifests/files.yaml": bucket_manifest("files")}
BY_ANA = {f"GIT_{who}_EMAIL": "ana@shop.example" for who in ("AUTHOR", "COMMITTER")}
BY_BEN = {f"GIT_{who}_EMAIL": "ben@shop.example" for who in ("AUTHOR", "COMMITTER")}
Story = Callable[[ShopRepository], object]


def push(shop: ShopRepository, pusher: dict[str, Any], author: dict[str, str]) -> None:
    """A commit on the main branch without a pull request; git believes any author."""
    environ = {
        "GIT_AUTHOR_NAME": "x",
        "GIT_COMMITTER_NAME": "x",
        **author,
        "HOME": str(shop.folder),
        "PATH": "/usr/bin",
    }
    commit = ["git", "commit", "-q", "--allow-empty", "-m", "Change"]
    subprocess.run(commit, cwd=shop.folder, env=environ, check=True)
    shop.git("push", "-q", str(shop.bare_repository), "HEAD:refs/heads/main")
    shop.hub.record_activity("push", shop.head, pusher)


def merge(shop: ShopRepository, author: dict[str, Any], pushers: tuple[dict[str, Any], ...] = ()) -> None:
    """A pull request of one person that another one merges, with who has pushed to its branch."""
    number = shop.open_pull_request({f"notes/{len(shop.hub.pulls)}.txt": "x"})
    pull_request = shop.hub.pulls[number] | {"user": author}
    shop.hub.pulls[number] = pull_request
    for pusher in pushers or (author,):
        shop.hub.record_activity("push", pull_request["head"]["sha"], pusher, branch=pull_request["head"]["ref"])
    shop.merge(number)
    shop.hub.record_activity("pr_merge", shop.head, BEN)


APPROVE: dict[str, Story] = {
    "nothing since the release": lambda shop: None,
    "another's push": lambda shop: push(shop, ANA, BY_ANA),
}
DO_NOT: dict[str, tuple[Story, str]] = {
    "a push": (lambda shop: push(shop, BEN, BY_BEN), "ben started this run and is the author of commit"),
    "a push under another's name": (lambda shop: push(shop, BEN, BY_ANA), "has pushed commit"),
    "another's push of a commit": (lambda shop: push(shop, ANA, BY_BEN), "is the author of commit"),
    "a pull request": (lambda shop: merge(shop, BEN), "is the author of #"),
    "a push to another's branch": (lambda shop: merge(shop, ANA, (ANA, BEN)), "has pushed to #"),
}


def judge(shop: ShopRepository, github: GitHub, tell: Story, *starters: dict[str, Any], sender: Any = BEN) -> str:
    base = shop.head
    shop.hub.record_activity("push", base)
    tell(shop)
    actor, again = (str(person["login"]) for person in starters or (BEN, BEN))
    environ = {"GITHUB_TRIGGERING_ACTOR": again}
    run = WorkflowRun("shop/shop", shop.head, actor, "", {"sender": sender}, environ)
    return run_starter.find_doubt(github, run, base, shop.head)


def test_who_approves_by_starting_a_run(shop: ShopRepository, github: GitHub) -> None:
    """Each story goes on from where the last one has ended, which was released."""
    assert {name: judge(shop, github, tell) for name, tell in APPROVE.items()} == dict.fromkeys(APPROVE, "")
    doubts = {name: judge(shop, github, tell) for name, (tell, _) in DO_NOT.items()}

    assert {name: text for name, text in doubts.items() if DO_NOT[name][1] not in text} == {}
    assert [name for name, text in doubts.items() if not text.endswith("; someone else must start it")] == []


def test_nor_who_runs_it_again_nor_a_workflow(shop: ShopRepository, github: GitHub) -> None:
    """Ana runs Ben's run again; a workflow on a branch of hers dispatches the deploy; a pushed branch is unknown."""
    by_ana = lambda shop: push(shop, ANA, BY_ANA)  # noqa: E731

    assert "ana started this run" in judge(shop, github, by_ana, BEN, ANA)
    assert "only a person can approve" in judge(shop, github, by_ana, BOT, BOT, sender=BOT)
    assert "only a person can approve" in judge(shop, github, by_ana, BEN, BOT)
    number = shop.open_pull_request(FILES)
    base, _ = shop.head, shop.merge(number)
    run = WorkflowRun("shop/shop", shop.head, "ben", "", {"sender": BEN})
    assert "does not report who pushed" in run_starter.find_doubt(github, run, base, shop.head)


class Person:
    """Who starts runs of `orchestrator github` for the newest commit."""

    def __init__(self, shop: ShopRepository, user: dict[str, Any]) -> None:
        self.shop, self.user = shop, user

    def start(self, *words: str, **environ: str) -> tuple[int, str]:
        """The exit code of a run, and what it prints."""
        event = self.shop.folder.parent / "event.json"
        event.write_text(json.dumps({"sender": self.user, "repository": {"default_branch": "main"}}))
        login = self.user["login"]
        names = {"GITHUB_ACTOR": login, "GITHUB_TRIGGERING_ACTOR": login, "GITHUB_EVENT_NAME": "workflow_dispatch"}
        environ |= {**names, "GITHUB_EVENT_PATH": str(event)}
        ended = self.shop.run_tool(self.shop.folder, *words, "-e", "prod", **environ)
        return ended.returncode, ended.stdout + ended.stderr


def test_the_author_finds_no_way_around_the_review(shop: ShopRepository) -> None:
    """Ana may merge and start every workflow; what she wrote goes nowhere until Ben says so."""

    def change(approval: str, **files: str | None) -> None:
        project = PROJECT.replace("approval: safe", f"approval: {approval}")
        shop.write({"manifests/project.yaml": project, **files})
        shop.commit("Change")
        shop.hub.record_activity("push", shop.head, ANA)

    ana, ben, outputs = Person(shop, ANA), Person(shop, BEN), shop.folder.parent / "outputs"
    change("safe", **{"manifests/web.yaml": None})
    assert ana.start("deploy")[0] == ExitCode.OK
    change("review")
    assert ana.start("deploy")[0] == ExitCode.OK, "it changes nothing in AWS, and applies from now on"

    change("none", **FILES)
    code, shown = ana.start("deploy")
    assert (code, "approval: review to none was not reviewed" in shown) == (ExitCode.UNREVIEWED, True), shown
    change("review")
    code, shown = ana.start("drift", ORCHESTRATOR_ANSWER="revert", GITHUB_OUTPUT=str(outputs))
    assert (code, "ana started this run and is the author" in shown) == (ExitCode.UNREVIEWED, True), shown
    digest = next(word for word in outputs.read_text().split() if len(word) == 64)
    code, shown = ana.start("deploy", ORCHESTRATOR_DIGEST=digest)
    assert (code, "ana started this run and is the author" in shown) == (ExitCode.UNREVIEWED, True), shown
    code, shown = ana.start("deploy", ORCHESTRATOR_ALLOW="abcdef12" * 4)
    assert (code, "and a token cannot replace an approval" in shown) == (ExitCode.UNREVIEWED, True), shown
    assert shop.list_buckets() == {"shop-releases"}

    code, shown = ben.start("deploy", ORCHESTRATOR_DIGEST=digest)
    assert (code, shop.list_buckets()) == (ExitCode.OK, {"shop-releases", "shop-files"}), shown
