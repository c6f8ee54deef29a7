"""Dates on which AWS changes a stack, in one issue of a GitHub on loopback: raised once, on both sides of the 180 days.

The date: "Release calendar for Amazon RDS for PostgreSQL", standard support of PostgreSQL 14 until 2027-02-28.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cost import deadlines
from orchestrator.github import dates_issue
from orchestrator.github.client import GitHub
from orchestrator.problems import Position
from orchestrator.vocabulary import Resource
from tests.github import fake_github, fake_github_server

END = date(2027, 2, 28)
FIRST_DAY = END - timedelta(days=deadlines.WARN_DAYS)
MARKER = "<!-- orchestrator:dates-issue manifests/prod -->"


def database(name: str, version: str) -> Resource:
    spec = {"engine": "postgres", "version": version, "lifecycle_support": "open-source-rds-extended-support-disabled"}
    return Resource("rds_instance", name, name, spec, f"database.{name}", Position("x.yaml"))


class Shop:
    """A repository whose workflow reports the dates of databases."""

    def __init__(self, hub: fake_github.FakeGitHub) -> None:
        self.hub = hub
        self.client = GitHub("shop/shop", fake_github.WRITE_TOKEN, api_url=hub.url)

    def report(self, on: date, *databases: Resource, marker: str = MARKER) -> str:
        return dates_issue.report(
            self.client, marker, "shop/prod", deadlines.list_deadlines(databases), on, "https://run/7"
        )

    @property
    def issue(self) -> dict[str, Any]:
        (found,) = self.hub.issues.values()
        return found

    @property
    def comments(self) -> list[str]:
        return [comment["body"] for comment in self.hub.list_comments(self.issue["number"])]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with fake_github_server.serve(tmp_path / "shop.git") as hub:
        opened = Shop(hub)
        yield opened
        opened.client._client.close()
        assert (hub.unhandled_requests, hub.schema_violations) == ([], [])


OLD, OLDER, NEW = database("main", "14"), database("old", "13"), database("main", "17")


def test_a_date_is_raised_from_180_days_before_it(shop: Shop) -> None:
    assert shop.report(FIRST_DAY - timedelta(days=1), OLD) == ""
    assert shop.hub.issues == {}

    assert shop.report(FIRST_DAY, OLD) == shop.issue["html_url"]
    assert (shop.issue["title"], shop.issue["labels"]) == ("AWS dates of shop/prod", [{"name": "aws-dates"}])
    assert "| 2027-02-28 | `rds_instance.main` |" in shop.issue["body"]
    assert "Release calendar for Amazon RDS for PostgreSQL" in shop.issue["body"]


def test_it_is_one_issue_every_week_and_after_the_date(shop: Shop) -> None:
    """It stays open until the manifests no longer meet the date, and is closed by the workflow then."""
    urls = {shop.report(FIRST_DAY + timedelta(days=days), OLD) for days in (0, 7, 180, 240)}
    assert urls == {shop.issue["html_url"]}
    assert (shop.issue["state"], shop.comments) == ("open", [])

    assert shop.report(END, NEW) == shop.issue["html_url"]
    assert (shop.issue["state"], shop.issue["state_reason"]) == ("closed", "completed")
    assert shop.comments == ["None of these dates applies anymore."]
    assert shop.report(END, NEW) == ""
    assert len(shop.comments) == 1


def test_who_closes_it_is_not_asked_again_about_the_same_date(shop: Shop) -> None:
    shop.report(FIRST_DAY, OLD)
    shop.issue["state"] = "closed"
    shop.report(FIRST_DAY + timedelta(days=7), OLD)
    assert (shop.issue["state"], shop.comments) == ("closed", [])

    shop.report(FIRST_DAY + timedelta(days=14), OLD, OLDER)
    assert (shop.issue["state"], shop.comments) == ("open", ["A date was added."])
    assert "rds_instance.old" in shop.issue["body"]


def test_it_is_found_by_its_author_and_its_mark_alone(shop: Shop) -> None:
    """People may change labels and the title; what they write themselves is never taken for it."""
    shop.report(FIRST_DAY, OLD)
    forged = {**shop.issue, "number": 99, "user": fake_github.ANA, "state": "closed"}
    shop.issue.update(title="Upgrade the database", labels=[])
    number = shop.issue["number"]
    shop.hub.issues[99] = dict(forged)

    shop.report(FIRST_DAY, OLD, OLDER)
    assert set(shop.hub.issues) == {number, 99}
    assert "rds_instance.old" in shop.hub.issues[number]["body"]
    assert shop.hub.issues[99] == forged


def test_each_environment_has_its_own(shop: Shop) -> None:
    shop.report(FIRST_DAY, OLD)
    shop.report(FIRST_DAY, OLD, marker="<!-- orchestrator:dates-issue manifests/staging -->")
    shop.report(FIRST_DAY, NEW)

    assert [issue["state"] for issue in shop.hub.issues.values()] == ["closed", "open"]
