"""Measure the GitHub workflow: from push to healthy release, and the setup action in it."""

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
    f"{workflow_runner.TOOL_REPOSITORY}/.github/actions/setup@here": "setup",
    "Validate": "validate",
    "Assume the deploy role": "role",
    "Build, deploy and verify": "deploy",
}
"""Steps of the workflow and their names in the table."""
MAX_SETUP_SECONDS = 5.0


def rows(rounds: int, on_progress: Callable[[str], None]) -> list[Row]:
    """Measure a first deploy to an empty account, then ``rounds`` deploys with a changed page."""
    if missing_tool := workflow_runner.missing_requirement():
        return [Row("push to healthy: wall time", missing_tool, "", None, None)]
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
            "push to healthy, first deploy: wall time by step",
            _format_wall([first_run]),
            _format_steps([first_run]),
            None,
            None,
            "1",
        ),
        Row(
            "push to healthy, changed page: wall time by step",
            _format_wall(later_runs),
            _format_steps(later_runs),
            None,
            None,
            str(rounds),
        ),
        Row(
            "setup action in a workflow, packages cached",
            format_seconds(setups),
            f"limit {MAX_SETUP_SECONDS:.0f} s",
            median(setups) / MAX_SETUP_SECONDS,
            1,
            str(len(setups)),
        ),
    ]


def _require_released(run: WorkflowResult) -> WorkflowResult:
    if run.outputs.get("result") != "released":
        raise ToolError(f"the workflow exited with {run.code}:\n{run.log[-3000:]}")
    return run


def _format_wall(runs: list[WorkflowResult]) -> str:
    return format_seconds([sum(run.seconds[step] for step in STEP_TITLES) for run in runs])


def _format_steps(runs: list[WorkflowResult]) -> str:
    return ", ".join(
        f"{name} {format_seconds([run.seconds[step] for run in runs])}" for step, name in STEP_TITLES.items()
    )
