"""The reader reads, once, and nothing else."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from orchestrator.aws import AwsError, Reader
from tests.aws.fake_clients import ScriptedCaller, make_aws_error


@pytest.mark.parametrize("operation", ["create_role", "delete_bucket", "get_secret_value", "put_bucket_policy"])
def test_what_is_no_read_is_refused_before_it_is_sent(operation: str) -> None:
    """A resource module cannot write, or fetch a secret, through the reader."""
    caller = ScriptedCaller(lambda *_: {})

    with pytest.raises(PermissionError):
        Reader(caller).get("iam", operation)
    assert caller.calls == []


def test_identical_reads_are_made_once_even_at_the_same_time() -> None:
    """Ten threads that ask the same question share one call."""
    gate = threading.Event()

    def slow(*_: Any) -> dict[str, int]:
        gate.wait(5)
        time.sleep(0.01)
        return {"n": 1}

    caller = ScriptedCaller(slow)
    reader = Reader(caller)
    with ThreadPoolExecutor(10) as pool:
        futures = [pool.submit(reader.get, "iam", "get_role", RoleName="a") for _ in range(10)]
        gate.set()
        answers = [future.result() for future in futures]

    assert answers == [{"n": 1}] * 10
    assert len(caller.calls) == 1


def test_other_parameters_are_another_read() -> None:
    """Sharing goes by service, operation, region and parameters."""
    caller = ScriptedCaller(lambda *_: {})
    reader = Reader(caller)
    reader.get("iam", "get_role", RoleName="a")
    reader.get("iam", "get_role", RoleName="b")
    reader.get("iam", "get_role", RoleName="b", region="us-east-1")

    assert len(caller.calls) == 3


def test_a_missing_thing_is_none_and_another_error_is_raised_to_every_reader() -> None:
    """Not found is an answer; denied is not."""
    codes = iter(["NoSuchEntity", "AccessDenied"])
    reader = Reader(ScriptedCaller(lambda *_: make_aws_error(next(codes))))

    assert reader.get("iam", "get_role", RoleName="a", missing=("NoSuchEntity",)) is None
    for _ in range(2):
        with pytest.raises(AwsError) as error:
            reader.get("iam", "get_role", RoleName="b")
        assert error.value.is_denied


def test_items_of_all_pages_come_as_one_list() -> None:
    """A dotted member is found in each page; pages without it count as empty."""
    pages: list[dict[str, Any]] = [{"L": {"Items": [1, 2]}}, {"L": {}}, {"L": {"Items": [3]}}]

    assert Reader(ScriptedCaller(lambda *_: pages)).all("cloudfront", "list_distributions", "L.Items") == [1, 2, 3]
