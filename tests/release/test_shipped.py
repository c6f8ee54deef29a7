"""What a release shipped, and whether a pull request is live: from the ledger and the history of a real repository.

The texts of merges are GitHub's ("About pull request merges", GitHub Docs).
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from orchestrator.emulator import Emulator
from orchestrator.release.shipped_commits import list_shipped_commits
from tests.release.site_checkout import SiteCheckout
from tests.release.test_commands import Run, _root_logger, page, run

__all__ = ["_root_logger", "run"]
SECOND = """
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: docs}
spec: {name: shop-docs, spa: {dir: docs}}
"""


class Repository:
    """The checkout, as people commit to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, author: str = "Ana") -> str:
        identity = [f"user.name={author}", "user.email=a@example.com", "commit.gpgsign=false"]
        options = [word for setting in identity for word in ("-c", setting)]
        command = ["git", *options, *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()

    def commit(self, subject: str, author: str = "Ana") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject, author=author)
        return self.git("rev-parse", "HEAD")

    def merge(self, number: int, title: str, author: str) -> str:
        """A pull request of two commits, merged with a merge commit."""
        self.git("checkout", "-q", "-b", f"topic-{number}")
        self.commit("First half", author)
        self.commit("Second half", author)
        self.git("checkout", "-q", "main")
        message = f"Merge pull request #{number} from shop/topic-{number}\n\n{title}"
        self.git("merge", "-q", "--no-ff", "-m", message, f"topic-{number}", author=author)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def shop(tmp_path: Path, emulator: Emulator) -> SiteCheckout:
    """A shop with two sites."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.html").write_text("docs 1")
    return SiteCheckout(tmp_path, emulator, extra_documents=SECOND)


@pytest.fixture
def repository(shop: SiteCheckout, run: Run) -> Repository:
    """Two releases with a squash merge, a merge commit and a plain commit between them."""
    repository = Repository(shop.folder)
    (shop.folder / ".gitignore").write_text("/*\n!docs\n")
    shop.build(page(1))
    repository.commit("Start")
    assert run("deploy").code == 0
    shop.build(page(2))
    repository.commit("Correct prices (#12)", "Ben")
    repository.merge(13, "Show rings first", "Cleo")
    repository.commit("Tidy up \x1b[31m", "Ana")
    deployed = run("deploy")
    assert deployed.code == 0
    assert "Shipped 3 commits" in deployed.out
    assert "  • Show rings first (#13), Cleo" in deployed.out
    return repository


def test_a_release_says_what_it_shipped(repository: Repository, run: Run) -> None:
    """Titles, pull requests and authors, newest first; the parts that changed; and nothing that steers a terminal."""
    shown = run("releases", "show", "2")
    lines = shown.out.splitlines()
    start = lines.index("Commits (3)")
    assert [line.split("  ", 2)[2] for line in lines[start + 1 : start + 4]] == [
        "Tidy up \\x1b[31m  Ana",
        "Show rings first (#13)  Cleo",
        "Correct prices (#12)  Ben",
    ]
    assert "Changed since release 1" in lines
    assert any(line.startswith("  site web: ") and " → " in line for line in lines)
    assert "\x1b" not in shown.out

    decoded = json.loads(run("releases", "show", "--format", "json").out)
    assert decoded["release"]["number"] == 2
    assert [commit["pull_request"] for commit in decoded["commits"]["added"]] == [None, 13, 12]
    assert "First release" in run("releases", "show", "1").out
    absent = run("releases", "show", "9")
    assert (absent.code, "there is no release 9" in absent.err) == (1, True)


def test_whether_a_pull_request_is_live(repository: Repository, shop: SiteCheckout, run: Run) -> None:
    """After a rollback of one part it is live in the others only; a commit without a number is found by its hash."""
    later = repository.commit("Not deployed yet (#14)")
    tidy = repository.git("rev-parse", "HEAD~1")
    assert run("live", "12").out == "#12 (Correct prices, Ben) is live in prod since release 2 (" + today(run) + ").\n"
    assert run("live", "#13").code == 0
    assert (run("live", tidy[:10]).code, run("live", "14").code, run("live", later).code) == (0, 1, 1)
    assert "#14 (Not deployed yet, Ana) is not live in prod." in run("live", "14").out
    unknown = run("live", "999")
    assert (unknown.code, "neither a merge of pull request #999" in unknown.err) == (1, True)

    assert run("rollback", "--to", "1", "--only", "site").code == 0
    partly = run("live", "12")
    assert partly.code == 1
    assert "not live: site:bucket.web of release 1, which is pinned." in partly.out
    assert "No longer included" not in run("releases", "show", "2").out


def today(run: Run) -> str:
    return str(json.loads(run("releases", "--format", "json").out)[0]["at"][:10])


def test_a_history_that_is_not_there_is_said(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A shallow clone, a commit of elsewhere, a folder without git: no empty list that reads like "nothing"."""
    folder = tmp_path_factory.mktemp("clones")
    shallow = folder / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{repository.folder}", shallow], check=True)
    first, last = repository.git("rev-list", "--max-parents=0", "HEAD"), repository.git("rev-parse", "HEAD")

    assert "git fetch --unshallow" in list_shipped_commits(shallow, first, last).problem
    assert "is not in this clone" in list_shipped_commits(repository.folder, "0" * 40, last).problem
    assert list_shipped_commits(folder, first, last).problem
    assert "outside a git repository" in list_shipped_commits(folder, "", last).problem
    back = list_shipped_commits(repository.folder, last, first)
    assert (back.added, len(back.removed), back.pull_requests) == ((), 3, ())
