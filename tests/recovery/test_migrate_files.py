"""``migrate files``: every file arrives byte for byte, whatever it is called; nothing that is there is overwritten."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.emulator import Emulator, start
from orchestrator.emulator.faults import Faults, Rule
from orchestrator.problems import Problems
from orchestrator.storage.key_rules import KeyRule, map_names
from tests.proofs.real_stack import aws_environment
from tests.recovery.project import Project
from tests.recovery.test_restore_files import BUCKET, MANIFESTS

JPEG, PNG = b"\xff\xd8\xff\xe0" + b"j" * 100, b"\x89PNG\r\n\x1a\n" + b"p" * 100
FILES = {
    "products/ring.jpg": JPEG,
    "products/ring.png": JPEG,  # its name lies
    "products/noextension": PNG,
    "sales/é ?&+%41 #.png": PNG,
    "sales/=cmd.txt": b"text",
    "sales/empty.bin": b"",
    "notes.docx": b"PK\x03\x04" + b"z" * 50,
}
RULES = ("--map", "products/=product-photos/", "--map", "sales/=sale-photos/")


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with start(settle_seconds=0) as running, aws_environment(running):
        yield running


@pytest.fixture
def project(emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Project:
    made = Project(emulator, tmp_path, capsys)
    (made.folder / "shop.yaml").write_text(MANIFESTS)
    made.succeed("apply", "--auto-approve")
    return made


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    folder = tmp_path / "uploads"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "link").symlink_to("/etc/hostname")
    return folder


def contents(project: Project) -> dict[str, bytes]:
    listed = project.clients.call("s3", "list_objects_v2", {"Bucket": BUCKET}).get("Contents", [])
    return {item["Key"]: get(project, item["Key"])["Body"].read() for item in listed}


def get(project: Project, key: str) -> Any:
    return project.clients.call("s3", "get_object", {"Bucket": BUCKET, "Key": key})


def migrate(project: Project, source: object, *options: str) -> tuple[int, str]:
    return project.run("migrate", "files", "--from", str(source), "--to", "files", "--auto-approve", *options)


def test_every_file_arrives_and_the_report_proves_it(project: Project, uploads: Path, tmp_path: Path) -> None:
    """With its type by content, under the mapped key; a second run copies nothing; links are not followed."""
    report = tmp_path / "files.csv"
    assert migrate(project, uploads, "--check", *RULES)[0] == 1
    assert contents(project) == {}

    exit_code, told = migrate(project, uploads, "--report", str(report), *RULES)

    assert exit_code == 0, told
    expected = {
        name.replace("products/", "product-photos/").replace("sales/", "sale-photos/"): content
        for name, content in FILES.items()
    }
    assert contents(project) == expected
    assert "Verified: 7 files" in told
    types = {key: get(project, key)["ContentType"] for key in expected}
    assert types["product-photos/ring.png"] == "image/jpeg"
    assert types["product-photos/noextension"] == "image/png"
    assert types["notes.docx"].startswith("application/vnd.openxmlformats")
    rows = list(csv.DictReader(report.read_text().splitlines()))
    assert [row["state"] for row in rows] == ["equal"] * 7
    assert {row["key"]: row["sha256"] for row in rows} == {
        key: hashlib.sha256(content).hexdigest() for key, content in expected.items()
    }
    exit_code, told = migrate(project, uploads, *RULES)
    assert (exit_code, "0 files to copy, 7 already equal" in told) == (0, True), told


def test_what_is_there_is_not_overwritten(project: Project, uploads: Path) -> None:
    """Objects that differ, also in one byte of as many, stop the run before anything is written, unless --overwrite."""
    project.clients.call("s3", "put_object", {"Bucket": BUCKET, "Key": "notes.docx", "Body": b"theirs"})
    same_size = {"Bucket": BUCKET, "Key": "sales/=cmd.txt", "Body": b"tExt"}
    project.clients.call("s3", "put_object", same_size)
    before = contents(project)

    exit_code, told = migrate(project, uploads)
    assert exit_code == 1
    assert "2 objects in shop-files differ: notes.docx, sales/=cmd.txt; nothing was copied" in told
    assert contents(project) == before

    assert migrate(project, uploads, "--overwrite")[0] == 0
    assert contents(project) == FILES


def test_a_broken_copy_is_continued(project: Project, emulator: Emulator, uploads: Path) -> None:
    """Refused uploads leave the rest for the next run; a file that changes under the copy is found."""
    emulator.faults = Faults(rules=(Rule("error", "s3", "PutObject", limit=1, status=403, code="AccessDenied"),))
    exit_code, told = migrate(project, uploads, "--jobs", "1")
    assert (exit_code, "run the same command again: it copies the rest" in told) == (1, True), told
    assert contents(project).keys() < FILES.keys()

    emulator.faults = Faults()
    assert migrate(project, uploads)[0] == 0
    assert contents(project) == FILES
    (uploads / "notes.docx").write_bytes(b"PK\x03\x04" + b"y" * 50)
    exit_code, told = migrate(project, uploads, "--check")
    assert (exit_code, "differs: notes.docx" in told) == (1, True), told


def test_files_of_another_bucket(project: Project) -> None:
    """Below a prefix, which the keys lose; folders that consoles make are no files."""
    project.clients.call("s3", "create_bucket", {
        "Bucket": "old-shop", "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"},
    })  # fmt: skip
    for key, body in {"uploads/a.jpg": JPEG, "uploads/": b"", "other/b.jpg": PNG}.items():
        project.clients.call("s3", "put_object", {"Bucket": "old-shop", "Key": key, "Body": body})

    exit_code, told = migrate(project, "s3://old-shop/uploads/", "--prefix", "photos/")

    assert exit_code == 0, told
    assert contents(project) == {"photos/a.jpg": JPEG}


def test_what_cannot_be_copied_is_refused_together(project: Project, uploads: Path, tmp_path: Path) -> None:
    """Before anything is written, by name: impossible keys, two files for one key, a rule that fits nothing."""
    (uploads / "back\\slash").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(uploads) + b"/latin-\xe9")).write_bytes(b"x")

    for arguments, refusals in (
        ((uploads,), ("cannot have the key", "is not UTF-8")),
        ((uploads, "--map", "product/=x"), ("no file begins with `product/`",)),
        ((tmp_path / "none",), ("is not a folder",)),
    ):
        exit_code, told = migrate(project, *arguments)
        assert exit_code == 1
        assert [refusal for refusal in refusals if refusal not in told] == []
    assert contents(project) == {}


NAMES = st.sets(st.from_regex(r"[ab]{1,2}(/[ab]{1,2})?", fullmatch=True), max_size=8)


@settings(max_examples=50)
@given(NAMES, st.lists(st.builds(KeyRule, st.text("ab/", max_size=2), st.sampled_from(["x/", "", "a"])), max_size=3))
def test_keys_are_one_to_one_or_refused(names: set[str], rules: list[KeyRule]) -> None:
    """Whatever the rules: either every file has a key of its own, or the files in conflict are named."""
    try:
        keys = map_names(names, rules)
    except Problems:
        return
    assert keys.keys() == names
    assert len(set(keys.values())) == len(names)


def test_longer_rules_win() -> None:
    """As the longest prefix of a route does."""
    rules = [KeyRule("a/", "x/"), KeyRule("a/b/", "y/")]

    assert map_names(["a/1", "a/b/1", "c"], rules, "p/") == {"a/1": "p/x/1", "a/b/1": "p/y/1", "c": "p/c"}
    with pytest.raises(Problems, match="a/1, c/1 would all have the key c/1"):
        map_names(["a/1", "c/1"], [KeyRule("a/", "c/")])
