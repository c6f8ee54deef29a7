"""``orchestrator github drill``: run the restore drills that are due, and report to the workflow run."""

from __future__ import annotations

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import ca_option, common_options
from orchestrator.problems import ExitCode, Problems
from orchestrator.runs.settings import Settings


@cli_command("drill", "orchestrator github drill -e prod")
@ca_option
@common_options
def command(settings: Settings, ca_file: str) -> int:
    """Run the restore drills that are due according to `backups.drillEveryDays` of each Database.

    Restores to a temporary instance, compares it with the database if this machine can connect to both, measures how
    long the restore took, and deletes the instance. Exits 4 if data is missing in a restored database, 1 if a database
    could not be restored.
    """
    from orchestrator.github.workflow_run import WorkflowRun
    from orchestrator.render.apply_report import format_duration
    from orchestrator.resources.rds_instance.drill_result import DrillResult
    from orchestrator.runs.approval import Approval
    from orchestrator.runs.due_drills import find_due
    from orchestrator.runs.restore_drill import DrillOptions, run_drill

    run = WorkflowRun.from_environment()
    options = DrillOptions(ca_file=ca_file, may_skip_verification=True, approval=Approval(is_automatic=True))
    exit_codes = []
    for name in find_due(settings):
        results: list[DrillResult] = []
        try:
            exit_codes.append(run_drill(settings, name, options, results.append))
            sentence = f"{results[0].verdict}, restored in {format_duration(results[0].seconds)}"
        except Problems as error:
            exit_codes.append(ExitCode.FAILED)
            sentence = f"failed: {error.problems[0].message}"
            settings.terminal.print_err(str(error))
        run.append_summary(f"Restore drill of `database.{name}`: {sentence}.")
    if not exit_codes:
        settings.terminal.print_out("No restore drill is due.")
    return max(exit_codes, default=ExitCode.OK)
