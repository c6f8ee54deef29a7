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
        "Somebody dropped a table",
        (
            Step("Note the time before the damage, in UTC. Stop what writes, if it still does damage."),
            Step(
                "See what the restore would do. This changes nothing.", f"{restore} --to '2026-11-29 14:05' --plan{end}"
            ),
            Step("Restore. The database in use is kept under another name.", f"{restore} --to '2026-11-29 14:05'{end}"),
            Step(
                "Check that the application shows the rows, and that nothing else differs.", f"orchestrator plan{end}"
            ),
            Step("If it was the wrong moment, go back to the instance in use before.", f"{restore} --undo{end}"),
            Step("Copy rows written since from the kept instance, then remove it as the restore's last lines say."),
        ),
    )


def _lost_instance(restore: str, end: str) -> Emergency:
    return Emergency(
        "The instance is gone",
        (
            Step("See the newest moment that the retained backup has.", f"{restore} --latest --plan{end}"),
            Step("Restore it. The instance comes back under its name and endpoint.", f"{restore} --latest{end}"),
            Step("Without a retained backup, restore the final snapshot.", f"{restore} --snapshot ID{end}"),
            Step("Check the services, and that nothing differs.", f"orchestrator status{end}"),
        ),
    )


def _lost_files(end: str) -> Emergency:
    command = "orchestrator restore files --bucket files --prefix sale-photos/ --to '2026-11-29 14:05'"
    return Emergency(
        "Files were deleted or overwritten",
        (
            Step("Note the time before the damage, in UTC."),
            Step("See what comes back and what is newer and stays.", f"{command} --plan{end}"),
            Step("Copy the versions back. Nothing is deleted.", f"{command}{end}"),
        ),
    )


def _lost_values(end: str) -> Emergency:
    return Emergency(
        "A secret or the ledger of releases was overwritten",
        (
            Step("List the versions of the secret.", f"orchestrator restore secret app{end}"),
            Step("Restore the version before today's.", f"orchestrator restore secret app --version previous{end}"),
            Step("Send the values to the services.", f"orchestrator deploy{end}"),
            Step("See which ledger would come back.", f"orchestrator restore ledger --plan{end}"),
            Step("Restore it.", f"orchestrator restore ledger{end}"),
        ),
    )


def _console_only(end: str) -> Emergency:
    return Emergency(
        "The AWS console is all you have",
        (
            Step("RDS, Databases, the instance, Actions, Restore to point in time. Name it NAME-restored."),
            Step(
                "Choose the subnet group, security group and parameter group of the old instance: RDS offers its "
                "defaults. Turn on deletion protection."
            ),
            Step("When it is available, connect and look for your rows."),
            Step("Modify the old instance: new identifier NAME-before, apply immediately. Wait until it is available."),
            Step("Modify the restored instance: new identifier NAME, apply immediately. It gets the old endpoint."),
            Step(
                "Copy the tags orchestrator:* from NAME-before to NAME, then remove orchestrator:project and "
                "orchestrator:environment from NAME-before."
            ),
            Step("Set the master password of NAME to the one in the secret, if it has changed since."),
            Step("When the command line works again, see what differs.", f"orchestrator plan{end}"),
        ),
    )
