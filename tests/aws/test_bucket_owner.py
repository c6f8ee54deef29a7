"""No call of S3 reaches a bucket that another account has taken over.

Source: ``ExpectedBucketOwner`` and ``ExpectedSourceBucketOwner`` in botocore's model of S3: "If the account ID that you
provide does not match the actual owner of the bucket, the request fails with the HTTP status code 403 Forbidden".
"""

from __future__ import annotations

import ast
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name as to_snake_case

from orchestrator.aws import AwsError, Clients
from orchestrator.steps import to_operation_name

ACCOUNT = "111122223333"
ROOT = Path(__file__).parents[2]
PRODUCT = [path for top in ("orchestrator", "ml") for path in (ROOT / top).rglob("*.py")]
S3 = botocore.session.get_session().get_service_model("s3")
WITHOUT_OWNER = {"create_bucket": "it makes the bucket", "list_buckets": "it lists those of the caller's account"}
ANY_ACCOUNT = {
    "orchestrator/runs/migrate_files.py": "the bucket that files come from may be of another account",
    "orchestrator/cli/commands/doctor.py": "asks sts, iam and quotas; no bucket",
    "orchestrator/scaffold/detection/__init__.py": "asks sts for the account",
    "orchestrator/state/server/startup.py": "reads a secret",
    "orchestrator/storage/__init__.py": "the settings of an application name no account",
}
"""Modules that make clients without an account, with the reason."""


def read_sources() -> dict[str, str]:
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PRODUCT}
    return {name: text for name, text in texts.items() if not name.startswith("orchestrator/emulator/")}


def list_operations() -> list[str]:
    """The operations of S3 that the product's source names anywhere, as strings."""
    names = {to_snake_case(name) for name in S3.operation_names}
    return sorted(names & {word for text in read_sources().values() for word in re.findall(r'"(\w+)"', text)})


@pytest.fixture(scope="module")
def requests() -> Iterator[tuple[str, list[Any]]]:
    """A server that keeps the headers of every request and answers 403, and its address."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            seen.append(self.headers)
            self.send_response(403)
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer  # noqa: N815 - names of the library

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()


def fill(shape: Any) -> Any:
    """The smallest value of a shape."""
    match shape.type_name:
        case "structure":
            return {name: fill(shape.members[name]) for name in shape.required_members}
        case "list":
            return [fill(shape.member)]
        case "blob":
            return b"x"
        case "integer" | "long":
            return 1
        case "timestamp":
            return "2026-01-01T00:00:00Z"
        case "boolean":
            return True
        case "map":
            return {}
    return shape.enum[0] if getattr(shape, "enum", ()) else "bucket"


@pytest.fixture(scope="module")
def clients() -> Clients:
    return Clients("eu-west-1", account=ACCOUNT, attempts=1)


@pytest.fixture
def seen(requests: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    address, seen = requests
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    seen.clear()
    return seen


@pytest.mark.parametrize("method", ["call", "pages"])
def test_every_operation_names_the_owner(method: str, clients: Clients, seen: list[Any]) -> None:
    """On the wire, as S3 reads it, whatever the caller left out; a source of a copy, too."""
    operations = list_operations()
    for operation in operations:
        shape = S3.operation_model(to_operation_name(operation)).input_shape
        with pytest.raises(AwsError):
            getattr(clients, method)("s3", operation, fill(shape))

    asked = [headers for headers in seen if "/sts/" not in headers["authorization"]]  # STS: why was HEAD refused?
    owners = [headers["x-amz-expected-bucket-owner"] for headers in asked]
    sources = [headers["x-amz-source-expected-bucket-owner"] for headers in asked]
    assert len(operations) > 30
    assert {operation for operation, owner in zip(operations, owners, strict=True) if owner is None} == set(
        WITHOUT_OWNER
    )
    assert {owner for owner in owners if owner is not None} == {ACCOUNT}
    assert [operation for operation, source in zip(operations, sources, strict=True) if source == ACCOUNT] == [
        "copy_object"
    ]


def test_a_file_that_is_uploaded_names_the_owner(clients: Clients, seen: list[Any], tmp_path: Path) -> None:
    """The first goes through botocore, the second does not."""
    (tmp_path / "a").write_bytes(b"x")
    for _ in range(2):
        with pytest.raises(AwsError):
            clients.call("s3", "put_object", {"Bucket": "b", "Key": "a", "Body": tmp_path / "a"})

    assert [headers["x-amz-expected-bucket-owner"] for headers in seen] == [ACCOUNT] * 2


def test_clients_are_made_for_an_account() -> None:
    """All that the product makes; the rest is listed with a reason."""
    sources = {path: text for path, text in read_sources().items() if "Clients" in text}
    calls = [
        (path, node, ast.unparse(node.func))
        for path, text in sources.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
    ]
    without = {
        path
        for path, call, name in calls
        if name in {"Clients", "RecordingClients"} and "account" not in {item.arg for item in call.keywords}
    }

    assert len([name for _, _, name in calls if name.endswith("Clients.for_scope")]) > 10
    assert without == set(ANY_ACCOUNT)


def test_an_owner_that_is_named_stays(clients: Clients) -> None:
    """A call that names another owner means it."""
    named = {"Bucket": "b", "ExpectedBucketOwner": "999999999999"}

    assert clients._require_bucket_owner("s3", "eu-west-1", "head_bucket", named) == named
    assert clients._require_bucket_owner("sts", "eu-west-1", "get_caller_identity", {}) == {}
