"""The rows about GitHub: from a push to a healthy release, by the real workflow, and the tool's set-up in it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from orchestrator.emulator import start
from tests.benchmarks.compared_tools import ToolError
from tests.benchmarks.table import Row, format_seconds
from tests.github import fake_github_server, workflow_runner
from tests.github.shop_repository import ShopRepository
from tests.github.workflow_runner import WorkflowResult

STEP_TITLES = {
    "Check out the newest commit": "checkout",
    f"{workflow_runner.TOOL_REPOSITORY}/.github/actions/setup@here": "set-up",
    "Validate": "validate",
    "Assume the deploy role": "role",
    "Build, deploy and verify": "deploy",
}
"""Steps of the workflow, and what the table calls them."""
MAX_SETUP_SECONDS = 5.0


def rows(rounds: int, on_progress: Callable[[str], None]) -> list[Row]:
    """A first deploy into an empty AWS, then a changed page as often as there are rounds."""
    if missing_tool := workflow_runner.missing_requirement():
        return [Row("push to healthy: wall", missing_tool, "", None, None)]
    with (
        tempfile.TemporaryDirectory() as folder,
        start() as aws,
        fake_github_server.serve(Path(folder) / "shop.git") as hub,
    ):
        shop = ShopRepository(Path(folder), aws, hub)
        on_progress("push to healthy: first deploy ...")
        first_run = _require_released(shop.run_deploy())
        on_progress("push to healthy: a changed page ...")
        later_runs = []
        for number in range(rounds):
            shop.write({"dist/index.html": f"<h1>{number}</h1>"})
            shop.commit(f"Change the page, {number}")
            later_runs.append(_require_released(shop.run_deploy()))
    setups = [
        run.seconds[f"{workflow_runner.TOOL_REPOSITORY}/.github/actions/setup@here"] for run in (first_run, *later_runs)
    ]
    return [
        Row(
            "push to healthy, first deploy: wall, by steps",
            _format_wall([first_run]),
            _format_steps([first_run]),
            None,
            None,
            "1",
        ),
        Row(
            "push to healthy, a changed page: wall, by steps",
            _format_wall(later_runs),
            _format_steps(later_runs),
            None,
            None,
            str(rounds),
        ),
        Row(
            "set-up of the tool in a workflow, packages cached",
            format_seconds(setups),
            f"{MAX_SETUP_SECONDS:.0f} s at most",
            median(setups) / MAX_SETUP_SECONDS,
            1,
            str(len(setups)),
        ),
    ]


def _require_released(run: WorkflowResult) -> WorkflowResult:
    if run.outputs.get("result") != "released":
        raise ToolError(f"the workflow ended with {run.code}:\n{run.log[-3000:]}")
    return run


def _format_wall(runs: list[WorkflowResult]) -> str:
    return format_seconds([sum(run.seconds[step] for step in STEP_TITLES) for run in runs])


def _format_steps(runs: list[WorkflowResult]) -> str:
    return ", ".join(
        f"{name} {format_seconds([run.seconds[step] for run in runs])}" for step, name in STEP_TITLES.items()
    )
