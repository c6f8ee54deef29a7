"""``python -m tests.pictures [NAME ...]``: take the pictures of ``docs/pictures`` anew."""

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
from tests.github import server
from tests.github.fake import WRITER
from tests.pictures import browser, comment, terminal
from tests.proofs.world import MANIFESTS, Edit, swap
from tests.state.pages.house import PAGES, shop

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
COLUMNS, ROWS = 112, 90
TITLE = "joiabagur: bash"
CHANGED: tuple[Edit, ...] = (
    swap("database.yaml", ("db.t3.micro", "db.t4g.micro"), ("retentionDays: 7", "retentionDays: 14")),
    swap("buckets.yaml", ("abortUnfinishedUploadsAfterDays: 7", "abortUnfinishedUploadsAfterDays: 3")),
    swap("api.yaml", ("max: 2", "max: 3"), ("http5xx: 5", "http5xx: 10")),
)
VETOED: tuple[Edit, ...] = (*CHANGED, swap("database.yaml", ("username: joiabagur", "username: other")))


@dataclass(frozen=True)
class Studio:
    """An emulated AWS and a folder with the real manifests."""

    emulator: Emulator
    folder: Path
    surroundings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {**self.emulator.environment, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def write(self, *edits: Edit) -> None:
        """The real manifests, edited."""
        shutil.rmtree(self.folder / "manifests", ignore_errors=True)
        shutil.copytree(MANIFESTS, self.folder / "manifests")
        for edit in edits:
            edit(self.folder / "manifests")

    def run(self, *words: str) -> str:
        """What an orchestrator command prints."""
        command = [sys.executable, "-m", "orchestrator", *words]
        environment = {**os.environ, **self.environment, **self.surroundings, "NO_COLOR": "1"}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        if not done.stdout:
            raise RuntimeError(done.stderr)
        return done.stdout

    def stand(self) -> None:
        """The stack as the manifests in git have it."""
        self.write()
        self.run("apply", "--auto-approve")

    def shoot(self, name: str, ansi: str) -> None:
        html, height = terminal.page(ansi, TITLE)
        browser.draw(html, PICTURES / f"{name}.png", 28 + 32 + round(COLUMNS * 7.83), height)


def plan(studio: Studio) -> None:
    """The first plan of the real stack."""
    studio.write()
    with terminal.screen(COLUMNS, ROWS, studio.folder, studio.environment) as screen:
        screen.type("orchestrator plan")
        studio.shoot("plan", screen.until("To apply it:"))


def change(studio: Studio) -> None:
    """The plan of an ordinary day."""
    studio.stand()
    studio.write(*CHANGED)
    with terminal.screen(COLUMNS, ROWS, studio.folder, studio.environment) as screen:
        screen.type("orchestrator plan")
        studio.shoot("change", screen.until("To apply it:"))


def apply(studio: Studio) -> None:
    """The table while the stack is made, half-way."""
    studio.write()
    studio.run("plan", "--out", "plan.json")
    studio.emulator.faults = Faults(latency_ms=120)
    with terminal.screen(COLUMNS, 58, studio.folder, studio.environment) as screen:
        screen.type("orchestrator apply plan.json")
        screen.until("14 of 28", "15 of 28", "16 of 28", "17 of 28")
        time.sleep(0.3)
        shown = screen.shown(colours=True)
        screen.until("Applied:", "Failed:")
    studio.emulator.faults = Faults()
    studio.shoot("apply", shown)


def page(studio: Studio) -> None:
    """The HTML plan, vetoed, on a desk and on a telephone."""
    studio.stand()
    studio.write(*VETOED)
    html = studio.run("plan", "--format", "html")
    browser.draw(html, PICTURES / "page-wide.png", 1100, 900, 1.25)
    source = html.replace("&", "&amp;").replace('"', "&quot;")
    frame = f'<body style="margin:0"><iframe style="border:0" width=390 height=900 srcdoc="{source}"></iframe>'
    browser.draw(frame, PICTURES / "page-narrow.png", 390, 900, 1.5)


def remark(studio: Studio) -> None:
    """The comment on a pull request: the one that `orchestrator github plan` writes, as GitHub got it."""
    studio.stand()
    studio.write(*CHANGED)
    event = studio.folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 42, "head": {"sha": "c0ffee"}}}))
    with server.serve(studio.folder) as hub:
        hub.pulls[42] = {"number": 42, "head": {"sha": "c0ffee"}}
        run = {"GITHUB_REPOSITORY": "shop/shop", "GITHUB_API_URL": hub.url, "GITHUB_TOKEN": WRITER}
        studio.surroundings.update(run, GITHUB_SHA="c0ffee" + "0" * 34, GITHUB_EVENT_PATH=str(event))
        studio.run("github", "plan")
        (said,) = hub.comments_on(42)
    browser.draw(comment.page(said["body"]), PICTURES / "comment.png", 860, 1040, 1.25)


def dashboard(studio: Studio) -> None:
    """The state service over fourteen weeks of a shop: all environments, a run that failed, and one on a telephone."""
    with shop(studio.folder) as (address, _, _):
        browser.shoot(
            {
                PICTURES / "dashboard.png": (f"{address}{PAGES['environments']}", 1280, 900, "light"),
                PICTURES / "dashboard-run.png": (f"{address}{PAGES['run-failed']}", 1280, 900, "dark"),
                PICTURES / "dashboard-narrow.png": (f"{address}{PAGES['releases']}", 390, 844, "dark"),
            }
        )


SUBJECTS: dict[str, Callable[[Studio], None]] = {
    "plan": plan, "change": change, "apply": apply, "page": page, "comment": remark,
    "dashboard": dashboard,
}  # fmt: skip


def main() -> None:
    """Take the pictures named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SUBJECTS)}; all without one")
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in parser.parse_args().names or SUBJECTS:
        with start(settle_seconds=0.6) as emulator, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            SUBJECTS[name](Studio(emulator, Path(folder)))


if __name__ == "__main__":
    main()
