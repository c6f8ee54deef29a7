"""Times in answers are what botocore would read, only sooner."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.utils import parse_timestamp

from orchestrator.aws import Clients
from orchestrator.emulator import start


def answered(monkeypatch: pytest.MonkeyPatch, asked: Any) -> Any:
    """What an emulated AWS answers."""
    with start() as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        return asked(Clients("eu-west-1"))


def test_a_listing_has_times_with_their_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """XML, as S3 writes it: with a zone, so that times can be compared with any other."""

    def listed(clients: Clients) -> Any:
        home = {"LocationConstraint": "eu-west-1"}
        clients.call("s3", "create_bucket", {"Bucket": "web", "CreateBucketConfiguration": home})
        clients.call("s3", "put_object", {"Bucket": "web", "Key": "a"})
        (page,) = clients.pages("s3", "list_objects_v2", {"Bucket": "web"})
        head = clients.call("s3", "head_object", {"Bucket": "web", "Key": "a"})
        return page["Contents"][0]["LastModified"], head["LastModified"]

    by_listing, by_header = answered(monkeypatch, listed)
    assert abs((by_listing - by_header).total_seconds()) < 1  # a header is written as 'Tue, 24 Nov 2026 08:18:10 GMT'


def test_json_services_count_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    made = answered(
        monkeypatch,
        lambda clients: (
            clients.call("ecr", "create_repository", {"repositoryName": "api"})["repository"]["createdAt"],
            parse_timestamp("2020-01-01T00:00:00Z"),
        ),
    )
    assert made[0] > made[1]
