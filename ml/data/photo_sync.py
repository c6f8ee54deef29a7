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

from ml.atomic_files import sha256, write_whole
from ml.command_runner import Advance
from ml.data.dataset import PHOTOS, Photo, Remark
from ml.data.image_checks import Looked, look
from orchestrator import canonical_json
from orchestrator.problems import Problem, Problems
from orchestrator.storage import FileStorage, MissingFileError, Stored

JOURNAL = ".fetched.jsonl"
ATTEMPTS = 3
PAUSE = 0.5
UNSAFE = re.compile(r"[^\w .()+@,-]")
NO_PHOTOS = frozenset({".mp4", ".mov", ".avi", ".webm", ".pdf", ".txt", ".csv", ".json", ".zip", ".svg", ".db", ".ini"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file of the storage, whose product it shows, and where it goes below the data set's folder."""

    stored: Stored
    product: str
    path: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """One line of the journal."""

    key: str
    etag: str
    path: str
    looked: Looked


@dataclass(slots=True)
class Done:
    """What became of everything that was wanted; counts of files, bytes over the line, and what failed."""

    fetched: dict[str, Fetched] = field(default_factory=dict)
    fresh: int = 0
    bytes: int = 0
    removed: int = 0
    gone: list[Wanted] = field(default_factory=list)
    failed: list[Problem] = field(default_factory=list)


def placed(photos: Iterable[tuple[Stored, str]], prefix: str) -> list[Wanted]:
    """Where each photo goes: ``photos/PRODUCT/NAME``, with names that every file system takes, each given once."""
    given: set[str] = set()
    made = []
    for stored, product in photos:
        place = stored.key.removeprefix(prefix)
        folder, _, rest = place.partition("/")
        name = rest if folder == product and rest else place
        path = f"{PHOTOS}/{_safe(product)}/{_safe(name)}"
        while path.casefold() in given:
            stem, dot, ending = path.rpartition(".")
            path = f"{stem}~{len(given)}{dot}{ending}"
        given.add(path.casefold())
        made.append(Wanted(stored, product, path))
    return made


def _safe(name: str) -> str:
    """``name`` as one component of a path; different names stay different."""
    safe = UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), name)
    return f"%{ord(safe[0]):02X}{safe[1:]}" if safe[:1] in {".", " "} else safe


def fetch(storage: FileStorage, wanted: list[Wanted], folder: Path, *, at_once: int, advance: Advance) -> Done:
    """Bring ``folder`` up to date with what is wanted.

    Raises OSError (a disk that fills), KeyboardInterrupt; what was fetched until then is kept.
    """
    known = journal(folder)
    done = Done()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / JOURNAL).open("ab") as lines, ThreadPoolExecutor(at_once, "fetch") as pool:
        jobs = {pool.submit(_one, storage, one, folder, known.get(one.stored.key)): one for one in wanted}
        try:
            for job in as_completed(jobs):
                _note(done, jobs[job], job, known, lambda one: _append(lines.fileno(), one))
                advance()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if not done.failed:
        done.removed = _removed(folder, known, done.fetched)
        _rewrite(folder, done.fetched.values())
    return done


def photos_of(done: Done, wanted: Iterable[Wanted], smallest: int) -> tuple[list[Photo], list[Remark], list[Remark]]:
    """What was fetched: photos whose shorter side has ``smallest`` pixels, files to leave out, remarks about photos."""
    photos, rejected, noted = [], [], []
    for one in wanted:
        if one.stored.key not in done.fetched:
            continue
        seen = done.fetched[one.stored.key].looked
        said = {"product": one.product, "key": one.stored.key, "etag": one.stored.etag}
        tiny = min(seen.width, seen.height) < smallest
        if seen.trouble or tiny:
            small = f"has only {seen.width} x {seen.height} pixels, {smallest} are needed"
            rejected.append(Remark(one.path, seen.trouble or small, **said))
            continue
        photos.append(Photo(one.product, one.path, seen.sha256, seen.bytes, seen.width, seen.height, seen.phash,
                            one.stored.key, one.stored.etag))  # fmt: skip
        if seen.note:
            noted.append(Remark(one.path, seen.note, **said))
    return photos, rejected, noted


def journal(folder: Path) -> dict[str, Fetched]:
    """What earlier runs fetched, by key; a line that a power cut tore is passed over."""
    try:
        lines = (folder / JOURNAL).read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    return {one.key: one for line in lines if (one := _read(line))}


def _read(line: bytes) -> Fetched | None:
    try:
        return canonical_json.load(line, Fetched)
    except Problems:
        return None


def _one(storage: FileStorage, one: Wanted, folder: Path, known: Fetched | None) -> tuple[Fetched, bool] | None:
    """One file, and whether it came over the line; None when it was deleted meanwhile."""
    target = folder / one.path
    if known and known.etag == one.stored.etag and _is_here(known, folder, target):
        return Fetched(one.stored.key, one.stored.etag, one.path, known.looked), False
    if target.suffix.lower() in NO_PHOTOS:
        seen = Looked("", one.stored.size, trouble="is no photo, as its name says")
        return Fetched(one.stored.key, one.stored.etag, one.path, seen), False
    try:
        _patiently(lambda: storage.fetch(one.stored.key, target))
    except MissingFileError:
        return None
    return Fetched(one.stored.key, one.stored.etag, one.path, look(target)), True


def _is_here(known: Fetched, folder: Path, target: Path) -> bool:
    """Whether the file is here as it was fetched; one that is another product's now is moved."""
    if not known.looked.sha256:
        return True
    before = folder / known.path
    try:
        if sha256(before) != known.looked.sha256:
            return False
        if before != target:
            target.parent.mkdir(parents=True, exist_ok=True)
            before.replace(target)
    except FileNotFoundError:
        return False
    return True


def _patiently(deed: Callable[[], object]) -> None:
    for attempt in range(ATTEMPTS):
        try:
            deed()
        except MissingFileError:
            raise
        except Problems:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(PAUSE * 2**attempt)
        else:
            return


def _note(
    done: Done,
    one: Wanted,
    job: Future[tuple[Fetched, bool] | None],
    known: Mapping[str, Fetched],
    append: Callable[[Fetched], None],
) -> None:
    try:
        result = job.result()
    except Problems as problems:
        done.failed += problems.problems
        return
    if result is None:
        done.gone.append(one)
        return
    fetched, fresh = result
    done.fetched[fetched.key] = fetched
    done.fresh += fresh
    done.bytes += one.stored.size if fresh else 0
    if known.get(fetched.key) != fetched:
        append(fetched)


def _append(file: int, one: Fetched) -> None:
    os.write(file, canonical_json.dump(one) + b"\n")


def _removed(folder: Path, known: Mapping[str, Fetched], now: Mapping[str, Fetched]) -> int:
    """Delete what earlier runs fetched and is wanted no more; how many.  Files of others stay.

    What a run that was killed had begun to write goes as well, and is not counted.
    """
    for part in (folder / PHOTOS).glob("*/.*.part"):
        part.unlink(missing_ok=True)
    kept = {one.path for one in now.values()}
    old = [folder / one.path for one in known.values() if one.path not in kept]
    there = [path for path in old if path.is_file()]
    for path in there:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    return len(there)


def _rewrite(folder: Path, fetched: Iterable[Fetched]) -> None:
    write_whole(folder / JOURNAL, b"".join(_lines(fetched)))


def _lines(fetched: Iterable[Fetched]) -> Iterator[bytes]:
    for one in sorted(fetched, key=lambda each: each.key):
        yield json.dumps(dataclasses.asdict(one), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
