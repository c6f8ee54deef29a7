"""The recovery runbook as a checklist: what to do, in order, and the command of each step.  Pure."""

from __future__ import annotations

import shlex

from msgspec import Struct


class Step(Struct, frozen=True):
    """One step, and its command, "" if it is done elsewhere."""

    text: str
    command: str = ""


class Emergency(Struct, frozen=True):
    """What happened, and the steps that end it."""

    title: str
    steps: tuple[Step, ...]


def build_checklist(environment: str, database: str) -> tuple[Emergency, ...]:
    """Return the emergencies with the commands of an environment and one of its databases."""
    end = f" -e {shlex.quote(environment)}"
    restore = f"orchestrator restore database {shlex.quote(database)}"
    return (
        _lost_rows(restore, end),
        _lost_instance(restore, end),
        _lost_files(end),
        _lost_values(end),
        _console_only(end),
    )


def _lost_rows(restore: str, end: str) -> Emergency:
    return Emergency(
        "A table was dropped",
        (
            Step("Note the time before the damage, in UTC. If an application still causes damage, stop it."),
            Step("Preview the restore. This changes nothing.", f"{restore} --to 'YYYY-MM-DD HH:MM' --plan{end}"),
            Step(
                "Restore the database. The current instance is renamed and kept.",
                f"{restore} --to 'YYYY-MM-DD HH:MM'{end}",
            ),
            Step(
                "Check that the application shows the rows, and that the plan has no changes.",
                f"orchestrator plan{end}",
            ),
            Step("If you restored to the wrong time, switch back to the previous instance.", f"{restore} --undo{end}"),
            Step("Copy newer rows from the previous instance, then delete it as described at the end of the output."),
        ),
    )


def _lost_instance(restore: str, end: str) -> Emergency:
    return Emergency(
        "The database instance was deleted",
        (
            Step(
                "Find the latest time to which the retained backup can be restored.", f"{restore} --latest --plan{end}"
            ),
            Step("Restore the backup. The new instance has the same name and endpoint.", f"{restore} --latest{end}"),
            Step("If there is no retained backup, restore the final snapshot.", f"{restore} --snapshot ID{end}"),
            Step("Check that the services are healthy and that nothing has drifted.", f"orchestrator status{end}"),
        ),
    )


def _lost_files(end: str) -> Emergency:
    command = "orchestrator restore files --bucket NAME --prefix PREFIX/ --to 'YYYY-MM-DD HH:MM'"
    return Emergency(
        "Files were deleted or overwritten",
        (
            Step("Note the time before the damage, in UTC, and the bucket and prefix of the files."),
            Step("Preview which files are restored and which newer files are kept.", f"{command} --plan{end}"),
            Step("Restore the files. Nothing is deleted.", f"{command}{end}"),
        ),
    )


def _lost_values(end: str) -> Emergency:
    return Emergency(
        "A secret or the release ledger was overwritten",
        (
            Step("List the versions of the secret.", f"orchestrator restore secret NAME{end}"),
            Step("Restore the previous version.", f"orchestrator restore secret NAME --version previous{end}"),
            Step("Deploy the services with the restored values.", f"orchestrator deploy{end}"),
            Step("Preview which version of the ledger is restored.", f"orchestrator restore ledger --plan{end}"),
            Step("Restore the ledger.", f"orchestrator restore ledger{end}"),
        ),
    )


def _console_only(end: str) -> Emergency:
    return Emergency(
        "Only the AWS console is available",
        (
            Step(
                "In RDS > Databases, select the instance. Choose Actions > Restore to point in time. Name it "
                "NAME-restored."
            ),
            Step(
                "Choose the subnet group, security group and parameter group of the old instance, not the "
                "defaults. Turn on deletion protection."
            ),
            Step("When the new instance is available, connect to it and check for your rows."),
            Step("Modify the old instance: rename it to NAME-before, apply immediately. Wait until it is available."),
            Step("Modify the restored instance: rename it to NAME, apply immediately. It gets the old endpoint."),
            Step(
                "Copy the tags orchestrator:* from NAME-before to NAME, then remove orchestrator:project and "
                "orchestrator:environment from NAME-before."
            ),
            Step("Set the master password of NAME to the one in the secret, if it has changed since."),
            Step("When the command line works again, check for differences.", f"orchestrator plan{end}"),
        ),
    )
