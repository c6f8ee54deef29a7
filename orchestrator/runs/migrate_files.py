"""Copy existing files into a bucket of the project: check, ask, copy what is missing, prove every file, report."""

from __future__ import annotations

import base64
import csv
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from orchestrator.problems import ExitCode, Problems
from orchestrator.quantities import format_count
from orchestrator.redaction.redact import sanitise
from orchestrator.runs.approval import Approval
from orchestrator.runs.lock import write_lock
from orchestrator.runs.reporter import RunOptions, record_refusal
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.storage.source_files import BucketSource, FolderSource, SourceFile

MAX_LISTED_FILES = 20
MAX_OBJECT_BYTES = 5 * 1024**3
"""PutObject's limit."""
PROGRESS_INTERVAL_SECONDS = 2.0
REPORT_FIELDS = ("source", "key", "bytes", "sha256", "content_type", "state")
EQUAL, MISSING, DIFFERS = "equal", "missing", "differs"


class MigrateFilesOptions(Struct, frozen=True):
    """Options of ``migrate files``: ``to`` is the Bucket of the manifests, ``rules`` are ``OLD=NEW``.

    ``should_overwrite``: also replace objects that differ. ``report``: where the proof is written as CSV.
    """

    source: str
    to: str
    prefix: str = ""
    rules: tuple[str, ...] = ()
    jobs: int = 32
    should_overwrite: bool = False
    check_only: bool = False
    report: Path | None = None
    approval: Approval = field(default_factory=Approval)
    run: RunOptions = field(default_factory=RunOptions)


class FileProof(Struct, frozen=True):
    """One file and its object: the SHA-256 of the file's bytes, and whether the object's is the same (``state``)."""

    file: SourceFile
    key: str
    sha256: str
    content_type: str
    state: str
    stored_etag: str = ""


class _Copy(Struct, frozen=True):
    """What is copied where: ``keys`` by the names of ``files``, into ``bucket``."""

    source: FolderSource | BucketSource
    files: tuple[SourceFile, ...]
    keys: Mapping[str, str]
    bucket: str
    clients: Clients


def migrate_files(settings: Settings, options: MigrateFilesOptions) -> int:
    """Copy the files, prove that each arrived, and return the exit code.

    Raises Problems if a name fits no key, objects of somebody else are in the way, or nobody approves.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout
    from orchestrator.runs.restore_files import find_bucket

    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = Clients.for_scope(manifest.scope)
    pipeline.check_connection(clients)
    bucket = find_bucket(manifest, options.to)
    if options.check_only:
        copy = _list_source(settings, options, clients, bucket)
        return _report(settings, options, _prove(settings, copy, options.jobs))
    store = checkout.find_store(manifest, clients)
    with write_lock(settings, manifest.scope, "migrate", options.run, clients, store) as lock:
        copy = _list_source(settings, options, lock.clients, bucket)
        proofs = _prove(settings, copy, options.jobs)
        pending = _choose_pending(settings, options, copy, proofs)
        if pending:
            with record_refusal(lock.record):
                size = sum(item.file.size for item in pending)
                count = format_count(len(pending), "file")
                question = f"Copy {count} ({size / 2**20:.1f} MB) into {bucket}? Only 'yes' is accepted:"
                options.approval.confirm(settings.terminal, question, "yes")
            _copy_files(settings, copy, pending, options.jobs)
            copied = {item.key for item in pending}
            again = _prove(settings, _select(copy, copied), options.jobs)
            proofs = [*(item for item in proofs if item.key not in copied), *again]
        return _report(settings, options, proofs)


def _list_source(settings: Settings, options: MigrateFilesOptions, clients: Clients, bucket: str) -> _Copy:
    from orchestrator.aws import Clients
    from orchestrator.storage import key_rules
    from orchestrator.storage.source_files import open_source

    # The source may belong to another account, which the project's clients refuse.
    source = open_source(options.source, Clients(clients.region))
    files = tuple(source.list())
    if not files:
        raise Problems.from_message(f"{source} has no files", hint="check the path and its read permissions")
    if large := [item for item in files if item.size > MAX_OBJECT_BYTES]:
        large_names = ", ".join(sanitise(item.name) for item in large[:5])
        advice = "Copy them with `aws s3 cp --checksum-algorithm SHA256`, then run this command again to verify them."
        settings.terminal.print_err(f"Larger than 5 GB, not copied by this command: {large_names}. {advice}")
    rules = tuple(key_rules.parse_rule(text) for text in options.rules)
    names = [item.name for item in files]
    for rule in key_rules.find_unused(rules, names):
        raise Problems.from_message(f"no file begins with `{rule.old}`", hint="correct or remove this --map rule")
    keys = key_rules.map_names(names, rules, options.prefix)
    return _Copy(source, files, keys, bucket, clients)


def _select(copy: _Copy, keys: set[str]) -> _Copy:
    files = tuple(item for item in copy.files if copy.keys[item.name] in keys)
    return _Copy(copy.source, files, copy.keys, copy.bucket, copy.clients)


def _prove(settings: Settings, copy: _Copy, jobs: int) -> list[FileProof]:
    """Hash every file, and compare with what S3 says of its object; files that have none are not read."""
    from orchestrator.storage.stored_checksum import read_stored

    present = _list_keys(copy)

    def prove(file: SourceFile) -> FileProof:
        key = copy.keys[file.name]
        if key not in present:
            return FileProof(file, key, "", "", MISSING)
        stored = read_stored(copy.clients, copy.bucket, key)
        if stored is None:
            return FileProof(file, key, "", "", MISSING)
        if stored.size != file.size:
            return FileProof(file, key, "", stored.content_type, DIFFERS, stored.etag)
        with copy.source.open(file) as path:
            digest = _hash(path).hex()
        state = EQUAL if digest == stored.sha256 else DIFFERS
        return FileProof(file, key, digest, stored.content_type, state, stored.etag)

    return list(_run_parallel(settings, "compare", copy.files, prove, jobs))


def _list_keys(copy: _Copy) -> set[str]:
    """Return which of the keys exist, by listing what they have in common."""
    from orchestrator.aws import AwsError

    keys = {copy.keys[file.name] for file in copy.files}
    first, last = min(keys), max(keys)
    common = next((index for index, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), None)
    prefix = first[:common]
    try:
        pages = copy.clients.pages("s3", "list_objects_v2", {"Bucket": copy.bucket, "Prefix": prefix})
    except AwsError as error:
        raise Problems.from_message(f"cannot list s3://{copy.bucket}: {error}", hint=error.advice or None) from None
    return {item["Key"] for page in pages for item in page.get("Contents") or () if item["Key"] in keys}


def _choose_pending(
    settings: Settings, options: MigrateFilesOptions, copy: _Copy, proofs: list[FileProof]
) -> list[FileProof]:
    """Return what has to be copied. Raises Problems if objects that differ are in the way."""
    differing = [item for item in proofs if item.state == DIFFERS]
    equal = sum(item.state == EQUAL for item in proofs)
    missing = [item for item in proofs if item.state == MISSING]
    settings.terminal.print_out(
        f"Plan: from {copy.source} to s3://{copy.bucket}: {format_count(len(missing), 'file')} to copy, "
        f"{equal} already equal, {len(differing)} existing but different."
    )
    for item in missing[:MAX_LISTED_FILES]:
        settings.terminal.print_out(f"  + {sanitise(item.key)}")
    if differing and not options.should_overwrite:
        names = ", ".join(sanitise(item.key) for item in differing[:5])
        raise Problems.from_message(
            f"{format_count(len(differing), 'object')} in {copy.bucket} differ: {names}; nothing was copied",
            hint="check them; --overwrite replaces them (with versioning, the replaced objects are kept as earlier "
            "versions)",
        )
    return [item for item in (*missing, *differing) if item.file.size <= MAX_OBJECT_BYTES]


def _copy_files(settings: Settings, copy: _Copy, pending: list[FileProof], jobs: int) -> None:
    """Upload every file on condition that its key is as listed. Raises Problems; the next run copies the rest."""
    from orchestrator.aws import StepExecutor
    from orchestrator.aws.step_executor import StepFailedError
    from orchestrator.steps import ApiCall

    executor = StepExecutor(copy.clients)

    def upload(item: FileProof) -> None:
        with copy.source.open(item.file) as path:
            condition = {"IfMatch": item.stored_etag} if item.stored_etag else {"IfNoneMatch": "*"}
            parameters = {
                "Bucket": copy.bucket,
                "Key": item.key,
                "Body": path,
                "ContentType": _find_content_type(path, item.key),
                "ChecksumSHA256": base64.b64encode(_hash(path)).decode(),
            }
            # Whoever wrote the key meanwhile has won; the proof names the file.
            request = ApiCall("s3", "put_object", {**parameters, **condition}, ok_codes=("PreconditionFailed", "412"))
            try:
                executor.perform(request)
            except StepFailedError as error:
                raise Problems.from_message(
                    f"not every file was copied: {sanitise(item.key)}: {error}",
                    hint="run the same command again: it copies the rest",
                ) from None

    for _ in _run_parallel(settings, "copy", pending, upload, jobs, size_of=lambda item: item.file.size):
        pass


def _run_parallel(
    settings: Settings,
    verb: str,
    items: Iterable[Any],
    work: Callable[[Any], Any],
    jobs: int,
    size_of: Callable[[Any], int] = lambda item: item.size,
) -> Iterator[Any]:
    """Yield the results in order, and print the rate and the time left; an error stops what has not begun."""
    items = tuple(items)
    total, completed, started_at, printed_at = sum(map(size_of, items)), 0, time.monotonic(), time.monotonic()
    pool = ThreadPoolExecutor(max(1, min(jobs, len(items))), thread_name_prefix="migrate-files")
    try:
        for count, (item, result) in enumerate(zip(items, pool.map(work, items), strict=True), 1):
            completed += size_of(item)
            now = time.monotonic()
            if now - printed_at >= PROGRESS_INTERVAL_SECONDS:
                printed_at, rate = now, completed / (now - started_at)
                left = f", {(total - completed) / rate:.0f}s left" if rate else ""
                settings.terminal.print_err(f"{verb}: {count} of {len(items)} files, {rate / 2**20:.1f} MB/s{left}")
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


def _hash(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise Problems.from_message(f"cannot read {sanitise(str(path))}: {error.strerror}") from None


def _find_content_type(path: Path, key: str) -> str:
    """Return the type that the first bytes say; only if they say nothing, the one of the name."""
    from orchestrator.artefacts.sites import media_types
    from orchestrator.storage.content_types import DEFAULT_CONTENT_TYPE, read_head, sniff

    by_name = media_types.find(key) or DEFAULT_CONTENT_TYPE
    by_content = sniff(read_head(path)[0])
    # Office documents and many others are ZIP archives: their name says more.
    is_container = by_content == "application/zip" and by_name != DEFAULT_CONTENT_TYPE
    return by_name if by_content is None or is_container else by_content


def _report(settings: Settings, options: MigrateFilesOptions, proofs: list[FileProof]) -> int:
    """Print and write the proof; the exit code says whether every file is in the bucket, byte for byte."""
    print_out = settings.terminal.print_out
    if options.report is not None:
        _write_report(options.report, proofs)
    wrong = [item for item in proofs if item.state != EQUAL]
    if not wrong:
        size = sum(item.file.size for item in proofs)
        print_out(
            f"Verified: {format_count(len(proofs), 'file')} ({size / 2**20:.1f} MB) have equal SHA-256 checksums."
        )
        return ExitCode.OK
    for item in wrong[:MAX_LISTED_FILES]:
        print_out(f"  {item.state}: {sanitise(item.key)}")
    if len(wrong) > MAX_LISTED_FILES:
        print_out(f"  ... and {len(wrong) - MAX_LISTED_FILES} more")
    print_out(
        f"{len(wrong)} of {format_count(len(proofs), 'file')} are missing in the bucket or differ from the source."
    )
    return ExitCode.FAILED


def _write_report(path: Path, proofs: Iterable[FileProof]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(REPORT_FIELDS)
        for item in sorted(proofs, key=lambda proof: proof.key):
            row = (item.file.name, item.key, item.file.size, item.sha256, item.content_type, item.state)
            writer.writerow([_defuse(str(value)) for value in row])


def _defuse(text: str) -> str:
    """Return text that a spreadsheet does not take for a formula (OWASP, "CSV Injection")."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
