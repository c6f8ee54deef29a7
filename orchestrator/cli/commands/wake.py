"""``orchestrator wake``: start what was hibernated."""

from __future__ import annotations

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import apply_options, project_options, run_options
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings


@cli_command("wake", "orchestrator wake -e staging", "orchestrator wake -e staging --auto-approve")
@apply_options
@run_options
@project_options
def command(settings: Settings, expect: str, auto_approve: bool, parallelism: int, run_options: RunOptions) -> int:
    """Wake a hibernated environment, and change nothing else.

    Databases start before the services that use them. The environment stays awake until its next scheduled hours begin.
    From then on, the schedule applies again. If the command is interrupted, run it again.
    """
    from orchestrator.runs import hibernate
    from orchestrator.runs.apply import ApplyOptions
    from orchestrator.runs.approval import Approval

    approval = Approval(expected_digest=expect, is_automatic=auto_approve)
    return hibernate.wake(settings, ApplyOptions(approval, parallelism=parallelism, run=run_options))
