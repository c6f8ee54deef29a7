"""Sync photos from a storage to a local folder: in parallel, only what changed, resuming interrupted runs.

A journal, ``.fetched.jsonl``, gets one line per downloaded file, so that a killed run loses only the downloads in
flight.  A local file counts as up to date if its checksum matches the journal.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from ml.atomic_files import sha256, write_atomic
from ml.command_runner import ProgressCallback
from ml.data.dataset import PHOTOS_FOLDER, FileIssue, Photo
from ml.data.image_checks import ImageCheck, check_image
from orchestrator import canonical_json
from orchestrator.problems import Problem, Problems
from orchestrator.storage import FileStorage, MissingFileError, StoredFile

JOURNAL_FILE = ".fetched.jsonl"
MAX_ATTEMPTS = 3
RETRY_DELAY_SECONDS = 0.5
MIN_FREE_BYTES = 1_000_000
"""Free bytes, beyond a photo's own, with which a failed download has another reason than a full disk."""
UNSAFE_CHARACTERS = re.compile(r"[^\w .()+@,-]")
NON_PHOTO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".avi", ".webm", ".pdf", ".txt", ".csv", ".json", ".zip", ".svg", ".db", ".ini"}
)


@dataclass(frozen=True, slots=True)
class DownloadTask:
    """A file in the storage, its product, and its target path relative to the dataset's folder."""

    stored: StoredFile
    product: str
    path: str


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line of the journal: a downloaded file and the result of its check."""

    key: str
    etag: str
    path: str
    looked: ImageCheck


@dataclass(slots=True)
class SyncResult:
    """The result of a sync: one entry per file, file counts, downloaded bytes, and failures."""

    entries: dict[str, JournalEntry] = field(default_factory=dict)
    downloaded_count: int = 0
    downloaded_bytes: int = 0
    removed_count: int = 0
    missing: list[DownloadTask] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def assign_paths(photos: Iterable[tuple[StoredFile, str]], prefix: str) -> list[DownloadTask]:
    """Return a task for each photo with a unique target path, ``photos/PRODUCT/NAME``, valid on every file system."""
    used_paths: set[str] = set()
    tasks = []
    for stored, product in photos:
        relative_key = stored.key.removeprefix(prefix)
        folder, _, rest = relative_key.partition("/")
        name = rest if folder == product and rest else relative_key
        path = f"{PHOTOS_FOLDER}/{_escape_name(product)}/{_escape_name(name)}"
        while path.casefold() in used_paths:
            stem, dot, suffix = path.rpartition(".")
            path = f"{stem}~{len(used_paths)}{dot}{suffix}"
        used_paths.add(path.casefold())
        tasks.append(DownloadTask(stored, product, path))
    return tasks


def _escape_name(name: str) -> str:
    """Escape ``name`` for use as one path component; different names stay different."""
    escaped = UNSAFE_CHARACTERS.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), name)
    return f"%{ord(escaped[0]):02X}{escaped[1:]}" if escaped[:1] in {".", " "} else escaped


def sync(
    storage: FileStorage, tasks: list[DownloadTask], folder: Path, *, max_parallel: int, advance: ProgressCallback
) -> SyncResult:
    """Download the files of ``tasks`` that are missing or changed, and delete files that are no longer listed.

    Raises OSError (for example if the disk is full) and KeyboardInterrupt; files downloaded by then are kept.
    """
    previous_entries = read_journal(folder)
    result = SyncResult()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / JOURNAL_FILE).open("ab") as journal_stream, ThreadPoolExecutor(max_parallel, "fetch") as pool:
        futures = {
            pool.submit(_fetch_photo, storage, item, folder, previous_entries.get(item.stored.key)): item
            for item in tasks
        }
        try:
            for future in as_completed(futures):
                _collect_result(
                    result,
                    futures[future],
                    future,
                    previous_entries,
                    lambda item: _append_entry(journal_stream.fileno(), item),
                )
                advance()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if not result.problems:
        result.removed_count = _remove_stale_files(folder, previous_entries, result.entries)
        _rewrite_journal(folder, result.entries.values())
    return result


def classify_photos(
    result: SyncResult, tasks: Iterable[DownloadTask], min_pixels: int
) -> tuple[list[Photo], list[FileIssue], list[FileIssue]]:
    """Sort files into photos, rejected files and warnings; the shorter side must have ``min_pixels`` pixels."""
    photos, rejected, noted = [], [], []
    for task in tasks:
        if task.stored.key not in result.entries:
            continue
        image_check = result.entries[task.stored.key].looked
        source = {"product": task.product, "key": task.stored.key, "etag": task.stored.etag}
        is_too_small = min(image_check.width, image_check.height) < min_pixels
        if image_check.trouble or is_too_small:
            size_reason = f"is too small: {image_check.width} x {image_check.height} pixels, minimum {min_pixels}"
            reason = size_reason if is_too_small and image_check.width else image_check.trouble
            rejected.append(FileIssue(task.path, reason, **source))
            continue
        photos.append(
            Photo(
                task.product,
                task.path,
                image_check.sha256,
                image_check.bytes,
                image_check.width,
                image_check.height,
                image_check.phash,
                task.stored.key,
                task.stored.etag,
            )
        )
        if image_check.note:
            noted.append(FileIssue(task.path, image_check.note, **source))
    return photos, rejected, noted


def read_journal(folder: Path) -> dict[str, JournalEntry]:
    """Read the journal of earlier runs, by key; skip lines that a crash left incomplete."""
    try:
        lines = (folder / JOURNAL_FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    return {entry.key: entry for line in lines if (entry := _parse_entry(line))}


def _parse_entry(line: bytes) -> JournalEntry | None:
    try:
        return canonical_json.load(line, JournalEntry)
    except Problems:
        return None


def _fetch_photo(
    storage: FileStorage, task: DownloadTask, folder: Path, previous_entry: JournalEntry | None
) -> tuple[JournalEntry, bool] | None:
    """Return the file's entry and whether it was downloaded; None if it was deleted from the storage meanwhile."""
    target = folder / task.path
    if previous_entry and previous_entry.etag == task.stored.etag and _is_up_to_date(previous_entry, folder, target):
        return JournalEntry(task.stored.key, task.stored.etag, task.path, previous_entry.looked), False
    if target.suffix.lower() in NON_PHOTO_SUFFIXES:
        image_check = ImageCheck(
            "", task.stored.size, trouble=f"is not a photo: file extension {target.suffix.lower()}"
        )
        return JournalEntry(task.stored.key, task.stored.etag, task.path, image_check), False
    try:
        _call_with_retries(lambda: _download(storage, task, target))
    except MissingFileError:
        return None
    return JournalEntry(task.stored.key, task.stored.etag, task.path, check_image(target)), True


def _download(storage: FileStorage, task: DownloadTask, target: Path) -> None:
    """Download a file.  Raises OSError at once if it failed because the disk is full: trying again does not help."""
    try:
        storage.download_file(task.stored.key, target)
    except MissingFileError:
        raise
    except Problems:
        folder = next(parent for parent in target.parents if parent.is_dir())
        if shutil.disk_usage(folder).free < task.stored.size + MIN_FREE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from None
        raise


def _is_up_to_date(entry: JournalEntry, folder: Path, target: Path) -> bool:
    """Return whether the local file is unchanged; move it if its product, and so its path, changed."""
    if not entry.looked.sha256:
        return True
    previous_path = folder / entry.path
    try:
        if sha256(previous_path) != entry.looked.sha256:
            return False
        if previous_path != target:
            target.parent.mkdir(parents=True, exist_ok=True)
            previous_path.replace(target)
    except FileNotFoundError:
        return False
    return True


def _call_with_retries(operation: Callable[[], object]) -> None:
    for attempt in range(MAX_ATTEMPTS):
        try:
            operation()
        except MissingFileError:
            raise
        except Problems:
            if attempt == MAX_ATTEMPTS - 1:
                raise
            time.sleep(RETRY_DELAY_SECONDS * 2**attempt)
        else:
            return


def _collect_result(
    result: SyncResult,
    task: DownloadTask,
    future: Future[tuple[JournalEntry, bool] | None],
    previous_entries: Mapping[str, JournalEntry],
    on_entry: Callable[[JournalEntry], None],
) -> None:
    try:
        download = future.result()
    except Problems as problems:
        result.problems += problems.problems
        return
    if download is None:
        result.missing.append(task)
        return
    entry, is_new = download
    result.entries[entry.key] = entry
    result.downloaded_count += is_new
    result.downloaded_bytes += task.stored.size if is_new else 0
    if previous_entries.get(entry.key) != entry:
        on_entry(entry)


def _append_entry(descriptor: int, entry: JournalEntry) -> None:
    os.write(descriptor, canonical_json.dump(entry) + b"\n")


def _remove_stale_files(
    folder: Path, previous_entries: Mapping[str, JournalEntry], current_entries: Mapping[str, JournalEntry]
) -> int:
    """Delete files of earlier runs that are no longer listed, and return their number.

    Also deletes partial files of killed runs, which are not counted.  Files not in the journal stay.
    """
    for partial_file in (folder / PHOTOS_FOLDER).glob("*/.*.part"):
        partial_file.unlink(missing_ok=True)
    current_paths = {entry.path for entry in current_entries.values()}
    stale_paths = [folder / entry.path for entry in previous_entries.values() if entry.path not in current_paths]
    existing = [path for path in stale_paths if path.is_file()]
    for path in existing:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    return len(existing)


def _rewrite_journal(folder: Path, entries: Iterable[JournalEntry]) -> None:
    write_atomic(folder / JOURNAL_FILE, b"".join(_encode_entries(entries)))


def _encode_entries(entries: Iterable[JournalEntry]) -> Iterator[bytes]:
    for entry in sorted(entries, key=lambda item: item.key):
        yield json.dumps(dataclasses.asdict(entry), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
