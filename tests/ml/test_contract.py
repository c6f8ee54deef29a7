"""What a person is told when a contract, an address or a disk is at fault: the field, the address, the file."""

from __future__ import annotations

import errno
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ml.data import photo_sync, product_mapping
from ml.data.product_mapping import FieldNames
from ml.evaluation.parity import find_contract_mismatch
from ml.training_run import Preprocessing
from orchestrator.problems import Problems
from orchestrator.storage import StoredFile
from orchestrator.storage.local import LocalFileStorage

TRAINED = Preprocessing(classes=("a", "b"))
EXPORTED = asdict(TRAINED) | {"classes": ["a", "b"]}
LABELS = {"scaling": "scaling: ", "channels": "channel order: ", "resize": "resize: "}


@pytest.mark.parametrize("name", EXPORTED)
def test_the_first_difference_is_named(name: str) -> None:
    """Every field of the contract is compared; three have a name of their own."""
    message = find_contract_mismatch(TRAINED, {**EXPORTED, name: "other"})

    assert message.startswith("classes" if name == "classes" else LABELS.get(name, f"{name}: "))
    assert ("the export has other, training used" in message) is (name != "classes")
    assert find_contract_mismatch(TRAINED, {key: EXPORTED[key] for key in EXPORTED if key != name}) != ""


def test_an_equal_contract_has_no_difference() -> None:
    assert find_contract_mismatch(TRAINED, {**EXPORTED, "more": 1}) == ""


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:9/map?key=secret", "cannot reach http://127.0.0.1:9/map: ConnectError"),
        ("ftp://127.0.0.1/map", "unsupported URL scheme ftp:// in --mapping"),
    ],
)
def test_an_address_that_does_not_answer_is_named_without_its_query(address: str, said: str) -> None:
    """A query may hold a key."""
    with pytest.raises(Problems) as raised:
        product_mapping.load(address, fields())

    assert raised.value.problems[0].message == said
    assert "secret" not in str(raised.value)


class BrokenStorage(LocalFileStorage):
    """Every download breaks off."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.attempts = 0

    def download_file(self, key: str, target: Path) -> int:
        self.attempts += 1
        raise Problems.from_message("the connection broke")


def test_a_disk_that_is_full_ends_a_download_at_once(tmp_path: Path) -> None:
    """A photo larger than what is free is not tried a second time; the message is the system's, and names the file."""
    storage = BrokenStorage(tmp_path / "storage")
    photo = StoredFile("product-photos/p1/a.jpg", 10**18, "etag", datetime.now(UTC))
    tasks = photo_sync.assign_paths([(photo, "p1")], "product-photos/")

    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as raised:
        photo_sync.sync(storage, tasks, tmp_path / "data", max_parallel=1, advance=lambda: None)

    assert (raised.value.errno, str(raised.value.filename)) == (errno.ENOSPC, str(tmp_path / "data" / tasks[0].path))
    assert storage.attempts == 1


def fields() -> Any:
    return FieldNames("photo", "product")
