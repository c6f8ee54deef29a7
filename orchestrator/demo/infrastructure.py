"""Run the chapters of the demo: the real pipeline against an emulator in this process.

The demo sets environment variables that point every AWS client to the emulator, so that it cannot touch a real account.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

import orchestrator
from orchestrator.demo import application, local_state_service, lost_table, sample
from orchestrator.planning import pipeline
from orchestrator.problems import ExitCode, Problems
from orchestrator.render import drift, plan_view
from orchestrator.runs import apply, lock, plan_output, reporter
from orchestrator.runs.settings import Settings
from orchestrator.vocabulary import Change, DesiredState, Plan

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.planning.plan import PreparedPlan

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
SETTLE_SECONDS = 0.4
"""Duration of the emulator's slow operations: long enough for their progress to be visible."""


class ManualChange(Struct, frozen=True):
    """A change outside of the pipeline: a call on a resource of one type, and its description."""

    resource_type: str
    description: str
    service: str
    operation: str
    parameters: Callable[[str], dict[str, Any]]


MANUAL_CHANGES = (
    ManualChange(
        "s3_bucket",
        "suspend versioning of bucket {}",
        "s3",
        "put_bucket_versioning",
        lambda name: {"Bucket": name, "VersioningConfiguration": {"Status": "Suspended"}},
    ),
    ManualChange(
        "rds_instance",
        "reduce the backup retention of database {} to 1 day",
        "rds",
        "modify_db_instance",
        lambda name: {"DBInstanceIdentifier": name, "BackupRetentionPeriod": 1, "ApplyImmediately": True},
    ),
    ManualChange(
        "ecr_repository",
        "make tags mutable in image repository {}",
        "ecr",
        "put_image_tag_mutability",
        lambda name: {"repositoryName": name, "imageTagMutability": "MUTABLE"},
    ),
)


class DemoError(Exception):
    """A chapter had an unexpected result."""


def run_demo(settings: Settings) -> int:
    """Run all chapters and return the exit code: 0, or 1 after printing which chapter failed and why.

    Without a folder of manifests, the demo uses the stack that is shipped with the orchestrator.
    """
    if settings.manifests == Settings().manifests and not settings.manifests.exists():
        settings = replace(settings, manifests=find_shipped_manifests())
        settings.terminal.print_out(
            f"The folder `manifests` does not exist here. The demo uses its sample stack: {settings.manifests}"
        )
    start_chapter = _ChapterHeadings(settings)
    with local_state_service.run_state_service(os.environ) as address:
        exit_code = _run_chapters(settings, start_chapter, address)
        local_state_service.wait_for_interrupt(settings, address if exit_code == ExitCode.OK else "")
    return exit_code


def find_shipped_manifests() -> Path:
    """Return the folder of the demo's stack: inside the package in a wheel, beside it in a checkout."""
    package = Path(orchestrator.__file__).parent
    packaged = package / "demo" / "manifests"
    return packaged if packaged.is_dir() else package.parent / "manifests"


def _run_chapters(settings: Settings, start_chapter: _ChapterHeadings, address: str) -> int:
    from orchestrator.emulator import start

    try:
        start_chapter("Validate the manifests offline")
        desired = pipeline.load_desired(settings.manifests, settings.environment)
        settings.terminal.print_out(f"The manifests are valid and describe {len(desired.resources)} AWS resources.")
        scope = desired.scope
        with start(settle_seconds=SETTLE_SECONDS, account=scope.account, region=scope.region) as emulator:
            redirect_aws_clients(emulator.url, emulator.environment, os.environ)
            settings.terminal.print_out(f"An empty emulated AWS listens on {emulator.url}. No real account is touched.")
            if address:
                settings.terminal.print_out(f"Follow the runs on the dashboard of the state service: {address}")
            _run_infrastructure_demo(settings, start_chapter, desired)
        _run_application_demo(settings, start_chapter)
        _run_lost_table_demo(settings, start_chapter)
    except (DemoError, application.WrongVersionError, lost_table.LostRowsError) as error:
        settings.terminal.print_err(f"The demo failed in step {start_chapter.number} ({start_chapter.title}): {error}")
        return ExitCode.FAILED
    settings.terminal.print_out(_next_steps(settings))
    return ExitCode.OK


def _run_infrastructure_demo(settings: Settings, start_chapter: _ChapterHeadings, desired: DesiredState) -> None:
    from orchestrator.aws import Clients

    start_chapter("Plan the changes")
    planned = _plan(settings, desired)
    start_chapter("Apply the plan")
    _apply(settings, planned)
    start_chapter("Plan again: no changes are left")
    _expect_no_changes(settings, desired)
    manual_change = _choose_manual_change(planned.plan.changes)
    if manual_change is not None:
        description, make_change = manual_change
        start_chapter(f"Manual change: {description}")
        make_change(Clients.for_scope(desired.scope))
        settings.terminal.print_out("Made this change directly in AWS, as if in the AWS console.")
        start_chapter("Detect drift between AWS and the manifests")
        _expect_drift(settings, desired)
        start_chapter("Apply again to revert the drift")
        _apply(settings, _plan(settings, desired))
        start_chapter("Plan again: no changes are left")
        _expect_no_changes(settings, desired)


def _run_application_demo(settings: Settings, start_chapter: _ChapterHeadings) -> None:
    """Deploy, break and roll back an application against a new emulated AWS, or print why this machine cannot."""
    from orchestrator.emulator import start

    if reason := application.unsupported_reason():
        settings.terminal.print_out(f"\nSkipped the deploy and rollback of an application: {reason}.")
        return
    with start(settle_seconds=SETTLE_SECONDS, account=sample.ACCOUNT, region=sample.REGION, run_services=True) as aws:
        redirect_aws_clients(aws.url, aws.environment, os.environ)
        application.run_application_demo(settings, start_chapter, aws, os.environ)


def _run_lost_table_demo(settings: Settings, start_chapter: _ChapterHeadings) -> None:
    """Lose a table and restore it in a new emulated AWS with real databases, or print why this machine cannot."""
    from orchestrator.emulator import start

    if reason := lost_table.unsupported_reason():
        settings.terminal.print_out(f"\nSkipped the restore of a dropped table: {reason}.")
        return
    with start(settle_seconds=SETTLE_SECONDS, account=sample.ACCOUNT, region=sample.REGION) as aws:
        aws.enable_databases()
        redirect_aws_clients(aws.url, aws.environment, os.environ)
        lost_table.run_lost_table_demo(settings, start_chapter, aws)


class _ChapterHeadings:
    """Prints numbered chapter headings."""

    def __init__(self, settings: Settings) -> None:
        self._terminal = settings.terminal
        self.number = 0
        self.title = ""

    def __call__(self, title: str) -> None:
        self.number += 1
        self.title = title
        heading = f"{self.number}. {title}"
        style = self._terminal.style
        underline = (
            style.replace_unencodable("─" * len(heading)) if self._terminal.is_interactive else "-" * len(heading)
        )
        self._terminal.print_out(f"\n{style.paint(heading, 'bold')}\n{style.paint(underline, 'dim')}")


def redirect_aws_clients(url: str, variables: dict[str, str], environ: MutableMapping[str, str]) -> None:
    """Point every AWS client of this process to ``url``.  Raises DemoError if it is not on this machine."""
    if urlsplit(url).hostname not in LOOPBACK_HOSTS:
        raise DemoError(f"{url} is not on this machine")
    for name in [name for name in environ if name.startswith("AWS_")]:
        del environ[name]
    empty_configuration = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    environ.update(empty_configuration | variables)


def _plan(settings: Settings, desired: DesiredState) -> PreparedPlan:
    planned = pipeline.plan(desired)
    plan_output.print_plan(settings.terminal, planned)
    if planned.plan.is_vetoed:
        raise DemoError("the plan is vetoed")
    return planned


def _apply(settings: Settings, planned: PreparedPlan) -> None:
    from orchestrator.aws import Clients

    clients, options = Clients.for_scope(planned.scope), reporter.RunOptions()
    # No other run knows this emulated AWS, so no lease in a release bucket is needed.
    with lock.write_lock(settings, planned.scope, "apply", options, clients, None) as held_lock:
        reporter.record_chosen_plan(held_lock.record, planned)
        exit_code = apply.apply_with_progress(planned, settings, 16, settings.command_line("demo"), held_lock)
    if exit_code == ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if exit_code:
        raise DemoError(f"apply returned exit code {exit_code}")


def _expect_no_changes(settings: Settings, desired: DesiredState) -> None:
    planned = pipeline.plan(desired)
    plan = planned.plan
    reporter.record_drift(settings, drift.build_view(plan), planned)
    settings.terminal.print_out(f"{plan_view.format_headline(plan)}.")
    if plan.pending_changes or plan.unread:
        raise DemoError(f"expected no changes, found: {_pending_addresses(plan)}")


def _expect_drift(settings: Settings, desired: DesiredState) -> None:
    planned = pipeline.plan(desired)
    drift_view = drift.build_view(planned.plan)
    reporter.record_drift(settings, drift_view, planned)
    settings.terminal.print_out(drift.render_text(drift_view, settings.terminal.style, hide_in_sync=True))
    if not drift_view.has_drifted:
        raise DemoError("expected drift, found none")


def _pending_addresses(plan: Plan) -> str:
    return plan_view.clean_sentence(
        ", ".join([*(change.address for change in plan.pending_changes), *(unread.address for unread in plan.unread)])
    )


def _choose_manual_change(changes: Iterable[Change]) -> tuple[str, Callable[[Clients], None]] | None:
    """Return the first manual change that suits ``changes``: its description and a function that makes it."""
    changes_by_type = {change.address.partition(".")[0]: change for change in changes}
    for manual_change in MANUAL_CHANGES:
        change = changes_by_type.get(manual_change.resource_type)
        if change is not None:
            return manual_change.description.format(change.physical), _bind_manual_change(
                manual_change, change.physical
            )
    return None


def _bind_manual_change(manual_change: ManualChange, physical: str) -> Callable[[Clients], None]:
    from orchestrator.aws import AwsError

    def make_change(clients: Clients) -> None:
        try:
            clients.call(manual_change.service, manual_change.operation, manual_change.parameters(physical))
        except AwsError as error:
            raise Problems.from_message(
                f"the demo could not {manual_change.description.format(physical)}: {error}"
            ) from None

    return make_change


def _next_steps(settings: Settings) -> str:
    style = settings.terminal.style
    commands_here = [
        ("orchestrator explain bucket.spec.lifecycle", "explain a manifest field"),
        (settings.command_line("render"), "print the manifests with all defaults"),
        ("orchestrator emulator", "start an emulated AWS; paste the printed commands into another terminal, then run:"),
    ]
    commands_there = [
        (settings.command_line("plan", "--steps"), "show each API call and the permissions it needs"),
        (settings.command_line("apply"), "ask for confirmation, then show progress in a table"),
        (settings.command_line("drift"), "detect drift, after a manual change"),
    ]
    commands = [*commands_here, *((f"  {command}", description) for command, description in commands_there)]
    width = max(len(command) for command, _ in commands)
    lines = [f"  {style.paint(command.ljust(width), 'cyan')}  {description}" for command, description in commands]
    return "\n".join([f"\n{style.paint('Next steps', 'bold')}", *lines])
