"""The rows about GitHub: from a push to a healthy release, by the real workflow, and the tool's set-up in it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from orchestrator.emulator import start
from tests.benchmarks.table import Row, seconds
from tests.benchmarks.tools import Failed
from tests.github import act, server
from tests.github.act import Outcome
from tests.github.shop import Shop

PARTS = {
    "Check out the newest commit": "checkout",
    f"{act.OURS}/.github/actions/setup@here": "set-up",
    "Validate": "validate",
    "Become the role that may change": "role",
    "Build, deploy, prove": "deploy",
}
"""Steps of the workflow, and what the table calls them."""
SETUP_SECONDS = 5.0


def rows(rounds: int, told: Callable[[str], None]) -> list[Row]:
    """A first deploy into an empty AWS, then a changed page as often as there are rounds."""
    if missing := act.available():
        return [Row("push to healthy: wall", missing, "", None, None)]
    with tempfile.TemporaryDirectory() as folder, start() as aws, server.serve(Path(folder) / "shop.git") as hub:
        shop = Shop(Path(folder), aws, hub)
        told("push to healthy: first deploy ...")
        first = _sound(shop.deploy())
        told("push to healthy: a changed page ...")
        later = []
        for number in range(rounds):
            shop.write({"dist/index.html": f"<h1>{number}</h1>"})
            shop.commit(f"Change the page, {number}")
            later.append(_sound(shop.deploy()))
    setups = [run.seconds[f"{act.OURS}/.github/actions/setup@here"] for run in (first, *later)]
    return [
        Row("push to healthy, first deploy: wall, by steps", _wall([first]), _steps([first]), None, None, "1"),
        Row("push to healthy, a changed page: wall, by steps", _wall(later), _steps(later), None, None, str(rounds)),
        Row(
            "set-up of the tool in a workflow, packages cached",
            seconds(setups),
            f"{SETUP_SECONDS:.0f} s at most",
            median(setups) / SETUP_SECONDS,
            1,
            str(len(setups)),
        ),
    ]


def _sound(run: Outcome) -> Outcome:
    if run.outputs.get("result") != "released":
        raise Failed(f"the workflow ended with {run.code}:\n{run.log[-3000:]}")
    return run


def _wall(runs: list[Outcome]) -> str:
    return seconds([sum(run.seconds[step] for step in PARTS) for run in runs])


def _steps(runs: list[Outcome]) -> str:
    return ", ".join(f"{name} {seconds([run.seconds[step] for run in runs])}" for step, name in PARTS.items())
