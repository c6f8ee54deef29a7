"""Read what AWS has billed from Cost Explorer, only when asked, and keep the answer for a day.

API: Cost Explorer GetCostAndUsage, which AWS bills with 0.01 USD for every request (AWS Cost Management pricing).
Its data are refreshed at least once every 24 hours (Cost Explorer user guide), so a younger answer is used again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from orchestrator.aws.errors import AwsError
from orchestrator.cost.billed_months import MonthSpend, parse_months, request_period
from orchestrator.problems import Problems
from orchestrator.runs.settings import Settings

REQUEST_USD = 0.01
"""Price of one request to Cost Explorer."""
MAX_AGE = timedelta(hours=24)
MAX_PAGES = 10
CACHE_FOLDER = Path(".orchestrator")
REGION = "us-east-1"
"""Region of the only endpoint of Cost Explorer."""


class Caller(Protocol):
    """The part of the clients that reads the spend."""

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any: ...


class ActualSpend(Struct, frozen=True):
    """What an account has cost last month and this month so far.

    ``read_at`` is when AWS was asked; ``requests`` is the number of billed requests of this run, 0 from the cache.
    """

    account: str
    read_at: datetime
    months: tuple[MonthSpend, ...]
    requests: int = 0


def read_for_manifests(settings: Settings) -> ActualSpend:
    """Return the spend of the account of the manifests.  Raises Problems, as ``read_spend`` does."""
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline

    scope = pipeline.validate(settings.manifests, settings.environment).scope
    return read_spend(Clients.for_scope(scope), scope.account)


def read_spend(caller: Caller, account: str, now: datetime | None = None, folder: Path = CACHE_FOLDER) -> ActualSpend:
    """Return the spend of ``account``, from the cache if it is younger than a day.

    Raises Problems if the credentials belong to another account, or Cost Explorer cannot be read.
    """
    moment = now or datetime.now(UTC)
    path = folder / f"cost-explorer-{account}.json"
    cached = _read_cache(path, account)
    if cached is not None and timedelta(0) <= moment - cached.read_at < MAX_AGE:
        return cached
    _check_account(caller, account)
    results, requests = _request(lambda parameters: caller.call("ce", "get_cost_and_usage", parameters, REGION), moment)
    spend = ActualSpend(account, moment, parse_months(results), requests)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(spend, requests=0)))
    return spend


def read_cached(account: str, folder: Path = CACHE_FOLDER) -> ActualSpend | None:
    """Return the last answer that was kept, however old, without asking; None if there is none."""
    return _read_cache(folder / f"cost-explorer-{account}.json", account)


def _read_cache(path: Path, account: str) -> ActualSpend | None:
    """Return the kept answer, None if there is none, or it is damaged or another account's."""
    try:
        cached = msgspec.json.decode(path.read_bytes(), type=ActualSpend)
    except (OSError, msgspec.MsgspecError):
        return None
    return cached if cached.account == account else None


def _check_account(caller: Caller, account: str) -> None:
    try:
        caller_account = caller.call("sts", "get_caller_identity", {})["Account"]
    except AwsError as error:
        raise Problems.from_message(f"cannot query AWS: {error}") from None
    if caller_account != account:
        raise Problems.from_message(
            f"the credentials belong to account {caller_account}, but the manifests are for {account}; no costs were "
            "read",
            hint="use a profile of that account, or correct `account` in the Project",
        )


def _request(request: Callable[[dict[str, Any]], Any], moment: datetime) -> tuple[list[Mapping[str, Any]], int]:
    """Return the results of all pages, and how many requests they took."""
    start, end = request_period(moment.date())
    parameters: dict[str, Any] = {
        "TimePeriod": {"Start": start.isoformat(), "End": end.isoformat()},
        "Granularity": "MONTHLY",
        "Metrics": ["UnblendedCost"],
        "GroupBy": [{"Type": "DIMENSION", "Key": "SERVICE"}, {"Type": "DIMENSION", "Key": "RECORD_TYPE"}],
    }
    results: list[Mapping[str, Any]] = []
    for count in range(1, MAX_PAGES + 1):
        try:
            response = request(parameters)
        except AwsError as error:
            raise _explain(error) from None
        results.extend(response["ResultsByTime"])
        if not response.get("NextPageToken"):
            return results, count
        parameters = {**parameters, "NextPageToken": response["NextPageToken"]}
    return results, MAX_PAGES


def _explain(error: AwsError) -> Problems:
    hint = "grant `ce:GetCostAndUsage` to the credentials of this run, or omit --actual"
    if error.code == "DataUnavailableException":
        hint = "AWS prepares the data within a day after Cost Explorer is opened for the first time: try again tomorrow"
    return Problems.from_message(f"cannot read Cost Explorer: {error}", hint=hint)
