"""A release says what it was made of: its commit, and that the checkout had more than that."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.problems import Problems
from orchestrator.release.ledger_entry import find_uncommitted_changes
from orchestrator.runs.approval import Approval
from orchestrator.runs.notifier import Notifier
from orchestrator.runs.release import DeployOptions, deploy
from orchestrator.runs.settings import Settings
from tests.release.shop_project import ShopProject

GIT = ["git", "-c", "user.name=ana", "-c", "user.email=ana@example.com", "-c", "commit.gpgsign=false"]


def commit(folder: Path) -> None:
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run([*GIT, *arguments], cwd=folder, check=True)


@pytest.fixture
def project(shop: ShopProject) -> ShopProject:
    shop.write()
    (shop.folder / ".gitignore").write_text("ignored\n")
    commit(shop.folder)
    return shop


def run(shop: ShopProject, *arguments: str) -> int:
    return main([*arguments, "-f", str(shop.folder), "-e", "prod"])


def test_a_clean_checkout_is_its_commit(project: ShopProject) -> None:
    """Ignored files and what the orchestrator itself writes are no changes; nor is a folder without git."""
    (project.folder / "ignored").write_text("x")
    (project.folder / ".orchestrator").mkdir()
    (project.folder / ".orchestrator" / "journal").write_text("x")

    assert find_uncommitted_changes(project.folder).digest == ""
    assert run(project, "deploy", "--auto-approve") == 0
    assert project.ledger.releases[-1].uncommitted == ""


def test_uncommitted_changes_are_recorded_and_shown(project: ShopProject, capsys: pytest.CaptureFixture[str]) -> None:
    """Two different changes of one commit are two different releases."""
    digests = []
    for issuer in ("two", "three"):
        project.write(issuer=issuer)
        assert run(project, "deploy", "--auto-approve") == 0
        release = project.ledger.releases[-1]
        digests.append(release.uncommitted)
        assert f"The release is marked with -dirty.{release.uncommitted[:8]}." in capsys.readouterr().out
    assert len(set(digests)) == 2
    assert run(project, "releases") == 0
    assert f"{project.ledger.releases[-1].commit[:12]}-dirty.{digests[-1][:8]}" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["a", "b"])
def test_new_files_count(project: ShopProject, content: str) -> None:
    (project.folder / "a file").write_text(content)
    first = find_uncommitted_changes(project.folder)
    (project.folder / "a file").write_text(content * 2)

    assert first.digest != ""
    assert first.tracked_paths == ()
    assert find_uncommitted_changes(project.folder).digest != first.digest


def test_a_workflow_deploys_commits_only(project: ShopProject) -> None:
    """Nothing is announced and nothing is changed."""

    class Workflow(Notifier):
        """A service that deploys what was merged."""

        allows_uncommitted_changes = False

        def start_deployment(self, description: str) -> None:
            raise AssertionError(description)

    project.write(issuer="two")
    settings = Settings(project.folder, "prod")

    with pytest.raises(Problems, match=r"the checkout differs from its commit in 1 file, such as shop\.yaml"):
        deploy(settings, DeployOptions(Approval(is_automatic=True)), Workflow())
    assert project.ledger.releases == ()
