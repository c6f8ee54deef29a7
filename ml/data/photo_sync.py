"""Photos from a storage into a folder: in parallel, only what changed, going on where the last run was stopped.

What was fetched is written down line by line in ``.fetched.jsonl``, so that a run that is killed loses what was under
way and nothing else.  A file is trusted when its checksum is the one written down.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
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
UNSAFE_CHARACTERS = re.compile(r"[^\w .()+@,-]")
NON_PHOTO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".avi", ".webm", ".pdf", ".txt", ".csv", ".json", ".zip", ".svg", ".db", ".ini"}
)


@dataclass(frozen=True, slots=True)
class DownloadTask:
    """A file of the storage, whose product it shows, and where it goes below the data set's folder."""

    stored: StoredFile
    product: str
    path: str


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line of the journal."""

    key: str
    etag: str
    path: str
    looked: ImageCheck


@dataclass(slots=True)
class SyncResult:
    """What became of everything that was wanted; counts of files, bytes over the line, and what failed."""

    entries: dict[str, JournalEntry] = field(default_factory=dict)
    downloaded_count: int = 0
    downloaded_bytes: int = 0
    removed_count: int = 0
    missing: list[DownloadTask] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def assign_paths(photos: Iterable[tuple[StoredFile, str]], prefix: str) -> list[DownloadTask]:
    """Where each photo goes: ``photos/PRODUCT/NAME``, with names that every file system takes, each given once."""
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
    """``name`` as one component of a path; different names stay different."""
    escaped = UNSAFE_CHARACTERS.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), name)
    return f"%{ord(escaped[0]):02X}{escaped[1:]}" if escaped[:1] in {".", " "} else escaped


def sync(
    storage: FileStorage, tasks: list[DownloadTask], folder: Path, *, max_parallel: int, advance: ProgressCallback
) -> SyncResult:
    """Bring ``folder`` up to date with what is wanted.

    Raises OSError (a disk that fills), KeyboardInterrupt; what was fetched until then is kept.
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
    """What was fetched: photos whose shorter side has ``smallest`` pixels, files to leave out, remarks about photos."""
    photos, rejected, noted = [], [], []
    for task in tasks:
        if task.stored.key not in result.entries:
            continue
        image_check = result.entries[task.stored.key].looked
        source = {"product": task.product, "key": task.stored.key, "etag": task.stored.etag}
        is_too_small = min(image_check.width, image_check.height) < min_pixels
        if image_check.trouble or is_too_small:
            size_reason = f"has only {image_check.width} x {image_check.height} pixels, {min_pixels} are needed"
            rejected.append(FileIssue(task.path, image_check.trouble or size_reason, **source))
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
    """What earlier runs fetched, by key; a line that a power cut tore is passed over."""
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
    """One file, and whether it came over the line; None when it was deleted meanwhile."""
    target = folder / task.path
    if previous_entry and previous_entry.etag == task.stored.etag and _is_up_to_date(previous_entry, folder, target):
        return JournalEntry(task.stored.key, task.stored.etag, task.path, previous_entry.looked), False
    if target.suffix.lower() in NON_PHOTO_SUFFIXES:
        image_check = ImageCheck("", task.stored.size, trouble="is no photo, as its name says")
        return JournalEntry(task.stored.key, task.stored.etag, task.path, image_check), False
    try:
        _call_with_retries(lambda: storage.download_file(task.stored.key, target))
    except MissingFileError:
        return None
    return JournalEntry(task.stored.key, task.stored.etag, task.path, check_image(target)), True


def _is_up_to_date(entry: JournalEntry, folder: Path, target: Path) -> bool:
    """Whether the file is here as it was fetched; one that is another product's now is moved."""
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
    """Delete what earlier runs fetched and is wanted no more; how many.  Files of others stay.

    What a run that was killed had begun to write goes as well, and is not counted.
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
