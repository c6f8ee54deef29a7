"""Retake the screenshots in ``docs/pictures``: ``python -m tests.pictures [NAME ...]``."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.emulator import Emulator, Faults, start
from tests.github import fake_github_server
from tests.github.fake_github import WRITE_TOKEN
from tests.pictures import browser, comment, terminal
from tests.proofs.real_stack import MANIFESTS, Edit, replace_text
from tests.state.pages.page_service import PAGES, serve_sample_history

PICTURES_FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
COLUMNS, ROWS = 112, 90
TERMINAL_WIDTH, MAX_TERMINAL_HEIGHT, MAX_COMMENT_HEIGHT = 940, 2000, 2400
"""In CSS pixels; wider and higher than what is shown, so that nothing is cut."""
TITLE = "joiabagur: bash"
CHANGE_EDITS: tuple[Edit, ...] = (
    replace_text("database.yaml", ("db.t3.micro", "db.t4g.micro"), ("retentionDays: 7", "retentionDays: 14")),
    replace_text("buckets.yaml", ("abortUnfinishedUploadsAfterDays: 7", "abortUnfinishedUploadsAfterDays: 3")),
    replace_text("api.yaml", ("max: 2", "max: 3"), ("http5xx: 5", "http5xx: 10")),
)
VETOED_EDITS: tuple[Edit, ...] = (
    *CHANGE_EDITS,
    replace_text("database.yaml", ("username: joiabagur", "username: other")),
)


@dataclass(frozen=True)
class Workspace:
    """An emulated AWS account and a folder with the real manifests."""

    emulator: Emulator
    folder: Path
    extra_environment: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {**self.emulator.environment, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def write_manifests(self, *edits: Edit) -> None:
        """Write the real manifests, with ``edits`` applied."""
        shutil.rmtree(self.folder / "manifests", ignore_errors=True)
        shutil.copytree(MANIFESTS, self.folder / "manifests")
        for edit in edits:
            edit(self.folder / "manifests")

    def run_command(self, *words: str) -> str:
        """Run an orchestrator command; return its standard output."""
        command = [sys.executable, "-m", "orchestrator", *words]
        environment = {**os.environ, **self.environment, **self.extra_environment, "NO_COLOR": "1"}
        completed = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        if not completed.stdout:
            raise RuntimeError(completed.stderr)
        return completed.stdout

    def apply_stack(self) -> None:
        """Apply the stack as the manifests in git declare it."""
        self.write_manifests()
        self.run_command("apply", "--auto-approve")

    def save_terminal(self, name: str, ansi: str) -> None:
        picture = browser.Picture(TERMINAL_WIDTH, MAX_TERMINAL_HEIGHT)
        browser.render_html(terminal.render_page(ansi, TITLE), PICTURES_FOLDER / f"{name}.png", picture)


def capture_plan(workspace: Workspace) -> None:
    """Capture the first plan of the real stack."""
    workspace.write_manifests()
    with terminal.open_screen(COLUMNS, ROWS, workspace.folder, workspace.environment) as screen:
        screen.type_line("orchestrator plan")
        workspace.save_terminal("plan", screen.wait_for("To apply it:"))


def capture_change(workspace: Workspace) -> None:
    """Capture a plan with ordinary changes."""
    workspace.apply_stack()
    workspace.write_manifests(*CHANGE_EDITS)
    with terminal.open_screen(COLUMNS, ROWS, workspace.folder, workspace.environment) as screen:
        screen.type_line("orchestrator plan")
        workspace.save_terminal("change", screen.wait_for("To apply it:"))


def capture_apply(workspace: Workspace) -> None:
    """Capture the progress table halfway through the first apply."""
    workspace.write_manifests()
    workspace.run_command("plan", "--out", "plan.json")
    workspace.emulator.faults = Faults(latency_ms=120)
    with terminal.open_screen(COLUMNS, 58, workspace.folder, workspace.environment) as screen:
        screen.type_line("orchestrator apply plan.json")
        screen.wait_for(*(f"{count} of " for count in range(14, 20)))
        time.sleep(0.3)
        screen_text = screen.read_text(colours=True)
        screen.wait_for("Applied in", "Failed after")
    workspace.emulator.faults = Faults()
    workspace.save_terminal("apply", screen_text)


def capture_html_plan(workspace: Workspace) -> None:
    """Capture a vetoed HTML plan, at desktop and phone width."""
    workspace.apply_stack()
    workspace.write_manifests(*VETOED_EDITS)
    html = workspace.run_command("plan", "--format", "html")
    browser.render_html(html, PICTURES_FOLDER / "page-wide.png", browser.Picture(1100, 960))
    browser.render_html(html, PICTURES_FOLDER / "page-narrow.png", browser.Picture(390, 960, scale=1.5))


def capture_comment(workspace: Workspace) -> None:
    """Capture the pull request comment that `orchestrator github plan` posts."""
    workspace.apply_stack()
    workspace.write_manifests(*CHANGE_EDITS)
    event = workspace.folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 42, "head": {"sha": "c0ffee"}}}))
    with fake_github_server.serve(workspace.folder) as hub:
        hub.pulls[42] = {"number": 42, "head": {"sha": "c0ffee"}}
        github_environment = {"GITHUB_REPOSITORY": "shop/shop", "GITHUB_API_URL": hub.url, "GITHUB_TOKEN": WRITE_TOKEN}
        workspace.extra_environment.update(
            github_environment, GITHUB_SHA="c0ffee" + "0" * 34, GITHUB_EVENT_PATH=str(event)
        )
        workspace.run_command("github", "plan")
        (posted,) = hub.list_comments(42)
    picture = browser.Picture(860, MAX_COMMENT_HEIGHT)
    browser.render_html(comment.render_page(posted["body"]), PICTURES_FOLDER / "comment.png", picture)


def capture_dashboard(workspace: Workspace) -> None:
    """Capture the state service's pages with fourteen weeks of history: desktop, dark mode and phone."""
    pictures = {
        "dashboard": ("environments", browser.Picture(1280, 900)),
        "dashboard-run": ("run-failed", browser.Picture(1280, 900, "dark")),
        "dashboard-narrow": ("releases", browser.Picture(390, 844, "dark", 1.5)),
    }
    with serve_sample_history(workspace.folder) as (address, _, _):
        browser.take_screenshots(
            {
                PICTURES_FOLDER / f"{name}.png": (f"{address}{PAGES[page]}", picture)
                for name, (page, picture) in pictures.items()
            }
        )


CAPTURES: dict[str, Callable[[Workspace], None]] = {
    "plan": capture_plan,
    "change": capture_change,
    "apply": capture_apply,
    "page": capture_html_plan,
    "comment": capture_comment,
    "dashboard": capture_dashboard,
}


def main() -> None:
    """Take the named screenshots, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(CAPTURES)} (default: all)")
    PICTURES_FOLDER.mkdir(parents=True, exist_ok=True)
    for name in parser.parse_args().names or CAPTURES:
        with start(settle_seconds=0.6) as emulator, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            CAPTURES[name](Workspace(emulator, Path(folder)))


if __name__ == "__main__":
    main()
