"""Logs: one form for ours and the libraries', and never a secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from orchestrator import logs


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    """What a test configures ends with it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def records(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_is_one_object_a_line() -> None:
    """With its time in UTC and its level, whatever the message holds."""
    stream = io.StringIO()
    logs.configure(stream, "json").info("two\nlines", address="a\x1b[31m")
    (record,) = records(stream)

    assert record["event"] == r"two\nlines"
    assert record["address"] == r"a\x1b[31m"
    assert record["level"] == "info"
    assert str(record["timestamp"]).endswith("Z")


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_are_never_logged(form: logs.LogFormat) -> None:
    """Neither by name, nor by looks, nor inside of an exception."""
    stream = io.StringIO()
    log = logs.configure(stream, form, verbose=True)
    try:
        raise ValueError("Host=db;Password=hunter2")
    except ValueError:
        log.exception("failed", password="hunter2", nested={"SecretString": "hunter2"}, url="https://a:hunter2@b/")

    assert "hunter2" not in stream.getvalue()
    assert "failed" in stream.getvalue()


def test_libraries_speak_in_the_same_form() -> None:
    """What boto3 warns of through `logging` is a record like ours."""
    stream = io.StringIO()
    logs.configure(stream, "json")
    logging.getLogger("botocore").warning("retrying with %s", "Password=hunter2")
    (record,) = records(stream)

    assert (record["event"], record["level"]) == ("retrying with Password=(secret)", "warning")


def test_details_are_asked_for() -> None:
    """Debug messages show with `--verbose` only."""
    quiet, loud = io.StringIO(), io.StringIO()
    logs.configure(quiet, "json").debug("detail")
    logs.configure(loud, "json", verbose=True).debug("detail")

    assert quiet.getvalue() == ""
    assert [record["event"] for record in records(loud)] == ["detail"]
