"""Restore files of a bucket from their versions: plan, ask, copy, and read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from orchestrator.problems import ExitCode, Problems
from orchestrator.quantities import format_count
from orchestrator.redaction.redact import sanitise
from orchestrator.runs.approval import Approval
from orchestrator.runs.lock import write_lock
from orchestrator.runs.reporter import RunOptions, record_refusal
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from orchestrator.aws import Clients
    from orchestrator.manifest.check import Manifest
    from orchestrator.recovery.file_restore import FileRestorePlan

MAX_LISTED_FILES = 20
PROGRESS_INTERVAL = 1000


class RestoreFilesOptions(Struct, frozen=True):
    """Options of ``restore files``: the Bucket of the manifests, a prefix of its keys, and the moment."""

    bucket: str
    to: str
    prefix: str = ""
    should_overwrite: bool = False
    plan_only: bool = False
    approval: Approval = field(default_factory=Approval)
    run: RunOptions = field(default_factory=RunOptions)


def restore_files(settings: Settings, options: RestoreFilesOptions) -> int:
    """Bring back the files as they were at the moment, and return the exit code.

    Raises Problems if the bucket keeps no versions, nobody approves, or the environment is locked.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.recovery.database_backups import parse_time
    from orchestrator.release import checkout

    moment = parse_time(options.to)
    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = Clients.for_scope(manifest.scope)
    bucket = find_bucket(manifest, options.bucket)
    store = checkout.find_store(manifest, clients)
    if options.plan_only:
        _print_plan(settings, _plan(clients, bucket, moment, options))
        return ExitCode.OK
    with write_lock(settings, manifest.scope, "restore", options.run, clients, store) as lock:
        plan = _plan(lock.clients, bucket, moment, options)
        _print_plan(settings, plan)
        if not plan.copies:
            return ExitCode.OK if not plan.too_large else ExitCode.FAILED
        with record_refusal(lock.record):
            question = f"Restore {format_count(len(plan.copies), 'file')} in {bucket}? Only 'yes' is accepted:"
            options.approval.confirm(settings.terminal, question, "yes")
        _copy(settings, lock.clients, bucket, plan)
        return _verify(settings, _plan(lock.clients, bucket, moment, options), len(plan.copies))


def find_bucket(manifest: Manifest, name: str) -> str:
    """Return the physical name of a Bucket. Raises Problems if the manifests declare none."""
    from orchestrator.planning import pipeline

    desired = pipeline.expand_manifest(manifest, include_artefacts=False)
    buckets = {item.name: item.physical for item in desired.resources if item.type == "s3_bucket"}
    if name.removeprefix("bucket.") not in buckets:
        raise Problems.from_message(
            f"the manifests declare no Bucket `{name}`; declared Buckets: {', '.join(sorted(buckets))}"
        )
    return buckets[name.removeprefix("bucket.")]


def _plan(clients: Clients, bucket: str, moment: datetime, options: RestoreFilesOptions) -> FileRestorePlan:
    from orchestrator.aws import AwsError, Reader
    from orchestrator.recovery import file_restore

    aws = Reader(clients)
    try:
        status = (aws.get("s3", "get_bucket_versioning", Bucket=bucket) or {}).get("Status")
        if status is None:
            raise Problems.from_message(
                f"{bucket} does not keep versions, so no file can be restored",
                hint="set `versioning: true` on the Bucket",
            )
        versions = file_restore.list_versions(aws, bucket, options.prefix)
    except AwsError as error:
        raise Problems.from_message(f"cannot list the versions in {bucket}: {error}") from None
    return file_restore.plan_files(versions, moment, should_overwrite=options.should_overwrite)


def _print_plan(settings: Settings, plan: FileRestorePlan) -> None:
    print_out = settings.terminal.print_out
    count, newer = format_count(len(plan.copies), "file"), format_count(len(plan.newer), "newer file")
    print_out(f"Plan: restore {count} ({plan.size / 2**20:.1f} MB); keep {newer}.")
    for item in plan.copies[:MAX_LISTED_FILES]:
        sign = "~" if item.replaced_etag else "+"
        print_out(f"  {sign} {sanitise(item.version.key)}  as of {item.version.modified:%Y-%m-%d %H:%M:%S} UTC")
    for key in plan.newer[:MAX_LISTED_FILES]:
        print_out(f"  = {sanitise(key)}  was written later, so it is kept (--overwrite replaces it)")
    for key in plan.too_large:
        print_out(
            f"  ! {sanitise(key)}  is larger than 5 GB: download this version with "
            "`aws s3api get-object --version-id`, then upload it"
        )
    hidden = max(0, len(plan.copies) - MAX_LISTED_FILES) + max(0, len(plan.newer) - MAX_LISTED_FILES)
    if hidden:
        print_out(f"  ... and {hidden} more")


def _copy(settings: Settings, clients: Clients, bucket: str, plan: FileRestorePlan) -> None:
    """Copy every version. Raises Problems; what was copied stays, and the next run copies the rest."""
    from orchestrator.aws import StepExecutor
    from orchestrator.aws.step_executor import StepFailedError
    from orchestrator.recovery.file_restore import build_calls
    from orchestrator.steps import Batch

    total = len(plan.copies)

    def on_progress(completed: int) -> None:
        if completed % PROGRESS_INTERVAL == 0 or completed == total:
            settings.terminal.print_err(f"{completed} of {total} files")

    try:
        StepExecutor(clients).perform(Batch(tuple(build_calls(bucket, plan)), "restore files", on_progress))
    except StepFailedError as error:
        raise Problems.from_message(
            f"not every file was restored: {error}", hint="run the same command again: it copies the rest"
        ) from None


def _verify(settings: Settings, after: FileRestorePlan, planned_count: int) -> int:
    """Report what a new listing says; the exit code is UNHEALTHY if files are still missing."""
    restored = planned_count - len(after.copies)
    settings.terminal.print_out(f"Restored {format_count(restored, 'file')}; {len(after.copies)} are still missing.")
    return ExitCode.OK if not after.copies else ExitCode.UNHEALTHY
