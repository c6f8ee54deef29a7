"""``restore files``: deleted files come back from their versions, newer ones stay, and nobody's write is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.aws import Clients
from orchestrator.cli.main import main
from orchestrator.recovery.file_restore import ObjectVersion, build_calls, plan_files
from tests.proofs import real_stack

BUCKET = "shop-files"
MANIFESTS = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {repository: acme/shop, region: eu-west-1, account: "123456789012"}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: files}
spec: {name: shop-files, versioning: true}
"""
BEGIN = datetime(2026, 11, 29, 14, tzinfo=UTC)


class Files:
    """The bucket, in an emulated account."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "shop.yaml").write_text(MANIFESTS)
        self.folder = folder
        self.clients = Clients("eu-west-1")
        self._capsys = capsys

    def run(self, *arguments: str) -> tuple[int, str]:
        exit_code = main([*arguments, "-f", str(self.folder), "--auto-approve"])
        printed = self._capsys.readouterr()
        return exit_code, printed.out + printed.err

    def put(self, key: str, text: str) -> None:
        self.clients.call(
            "s3", "put_object", {"Bucket": BUCKET, "Key": key, "Body": text.encode(), "ContentType": "image/png"}
        )

    def delete(self, key: str) -> None:
        self.clients.call("s3", "delete_object", {"Bucket": BUCKET, "Key": key})

    def contents(self) -> dict[str, str]:
        listed = self.clients.call("s3", "list_objects_v2", {"Bucket": BUCKET}).get("Contents", [])
        keys = [item["Key"] for item in listed]
        get = self.clients.call
        return {key: get("s3", "get_object", {"Bucket": BUCKET, "Key": key})["Body"].read().decode() for key in keys}


@pytest.fixture(params=real_stack.BACKENDS)
def files(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Files]:
    with real_stack.emulated_aws(request.param):
        made = Files(tmp_path, capsys)
        exit_code, told = made.run("apply")
        assert exit_code == 0, told
        yield made


@pytest.mark.both_backends
def test_deleted_files_come_back_and_newer_ones_stay(files: Files) -> None:
    """With odd names and their content types; a second run finds nothing to do."""
    before = {"photos/one.png": "1", "photos/é ?&+%41.png": "2", "photos/edited.png": "3", "other/kept.png": "4"}
    for key, text in before.items():
        files.put(key, text)
    time.sleep(1.1)
    moment = datetime.now(UTC)
    time.sleep(1.1)
    for key in ("photos/one.png", "photos/é ?&+%41.png", "other/kept.png"):
        files.delete(key)
    files.put("photos/edited.png", "newer")
    files.put("photos/new.png", "new")
    command = ["restore", "files", "--bucket", "files", "--prefix", "photos/", "--to", moment.isoformat()]

    exit_code, shown = files.run(*command, "--plan")
    assert exit_code == 0
    assert "restore 2 files" in shown
    assert "= photos/edited.png  was written later, so it is kept" in shown
    exit_code, told = files.run(*command)

    assert exit_code == 0, told
    restored = {
        "photos/one.png": "1",
        "photos/é ?&+%41.png": "2",
        "photos/edited.png": "newer",
        "photos/new.png": "new",
    }
    assert files.contents() == restored
    head = files.clients.call("s3", "head_object", {"Bucket": BUCKET, "Key": "photos/one.png"})
    assert head["ContentType"] == "image/png"
    assert "restore 0 files" in files.run(*command)[1]

    assert files.run(*command, "--overwrite")[0] == 0
    assert files.contents() == {**restored, "photos/edited.png": "3"}


def version(key: str, minute: int, *, is_deletion: bool = False, is_latest: bool = False) -> ObjectVersion:
    etag = "" if is_deletion else f"tag-{minute}"
    return ObjectVersion(key, f"v{minute}", BEGIN + timedelta(minutes=minute), etag, 1, is_deletion, is_latest)


HISTORIES = st.dictionaries(
    st.sampled_from("abc"),
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=5, unique_by=lambda item: item[0]),
)


@given(HISTORIES, st.integers(0, 20))
def test_every_copy_is_conditional_and_leads_to_the_state_of_the_moment(
    histories: dict[str, list[tuple[int, bool]]], minute: int
) -> None:
    """Whatever the history: applied with overwriting, each file that existed at the moment has its content of then."""
    versions = []
    for key, events in histories.items():
        latest = max(events)[0]
        versions += [version(key, at, is_deletion=gone, is_latest=at == latest) for at, gone in events]
    moment = BEGIN + timedelta(minutes=minute)

    plan = plan_files(versions, moment, should_overwrite=True)
    gentle = plan_files(versions, moment, should_overwrite=False)

    content = {item.key: item.etag for item in versions if item.is_latest and not item.is_deletion}
    content |= {item.version.key: item.version.etag for item in plan.copies}
    for key, events in histories.items():
        earlier = [event for event in events if event[0] <= minute]
        if earlier and not max(earlier)[1]:
            assert content[key] == f"tag-{max(earlier)[0]}"
    calls = list(build_calls("b", plan))
    assert all(("IfNoneMatch" in call.parameters) != ("IfMatch" in call.parameters) for call in calls)
    assert {item.version.key for item in gentle.copies} | set(gentle.newer) == {
        item.version.key for item in plan.copies
    }
    assert all("IfNoneMatch" in call.parameters for call in build_calls("b", gentle))
