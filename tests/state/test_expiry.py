"""Everything of the service that ends: it holds until its moment, and not from then on.  Asked over HTTP.

The moments are written here as numbers: ``docs/reference/settings.md`` and ``docs/state-service/README.md`` name them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator import canonical_json
from orchestrator.state.protocol.records import DriftDecision, Run, RunResult
from orchestrator.state.protocol.requests import BeginRunRequest
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.access import TokenGrant, create_token
from orchestrator.state.server.store import Store
from tests.state.api_service import SIGN_IN_SETTINGS, ApiService, run_api_service

NOW = 1_750_000_000.0
HOUR = 3600.0
JSON = {"content-type": "application/json"}


class Clock:
    """Time as the service sees it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def house(clock: Clock, tmp_path: Path) -> Iterator[ApiService]:
    with run_api_service(Store.open(f"sqlite:///{tmp_path}/state.db", clock), **SIGN_IN_SETTINGS) as made:
        yield made


def begin(client: httpx.Client, run: Run, *, waits: bool = True) -> httpx.Response:
    return client.post("/api/v1/runs", content=canonical_json.dump(BeginRunRequest(run, waits=waits)), headers=JSON)


def make_run(name: str, *, at: float = NOW, verb: Any = "deploy", ref: str = "main") -> Run:
    return Run(name, "shop/prod", verb, "ana", "c0ffee", format_timestamp(at), ref=ref)


def ask_again(client: httpx.Client, name: str, fence: int | None = None) -> httpx.Response:
    return client.post(f"/api/v1/runs/{name}/lease", json={} if fence is None else {"fence": fence})


def end(house: ApiService, clock: Clock) -> None:
    """End the run that holds the lease, as its client does."""
    holder = house.store.get_lease("shop/prod").holder
    assert holder is not None
    house.store.end_run(holder.run, holder.fence, RunResult("succeeded", format_timestamp(clock.now)), holder.identity)


@pytest.mark.parametrize("login", ["ana", "ben"])
def test_a_session_ends_after_twelve_hours(house: ApiService, clock: Clock, login: str) -> None:
    browser, _ = house.sign_in(login, "viewer")
    other, _ = house.sign_in("another", "operator")
    clock.now = NOW + 12 * HOUR - 1
    assert browser.get("/api/v1/runs").status_code == 200
    clock.now = NOW + 12 * HOUR
    assert browser.get("/api/v1/runs").status_code == 401
    assert other.get("/api/v1/runs").status_code == 401


def test_a_token_ends_at_its_time(house: ApiService, clock: Clock) -> None:
    tokens = {
        hours: create_token(house.store, f"t{hours}", TokenGrant(("read",)), hours * HOUR, "ana") for hours in (1, 2)
    }
    clients = {hours: house.open_client(authorization=f"Bearer {token}") for hours, token in tokens.items()}

    def may_read() -> list[int]:
        return [hours for hours, client in clients.items() if client.get("/api/v1/runs").status_code == 200]

    seen = []
    for clock.now in (NOW + HOUR - 1, NOW + HOUR, NOW + 2 * HOUR - 1, NOW + 2 * HOUR):
        seen.append(may_read())
    assert seen == [[1, 2], [2], [2], []]


def test_a_lease_is_its_holders_for_sixty_seconds(house: ApiService, clock: Clock) -> None:
    """A waiting run that keeps asking gets it then, not a moment earlier; and it is no zombie's afterwards."""
    first, second = house.open_client("write"), house.open_client("write")
    fence = begin(first, make_run("r1")).json()["fence"]
    begin(second, make_run("r2", verb="apply"))
    for seconds in (20.0, 40.0, 59.9):
        clock.now = NOW + seconds
        assert ask_again(second, "r2").json()["fence"] is None
    clock.now = NOW + 60
    assert ask_again(second, "r2").json()["fence"] == fence + 1

    assert ask_again(first, "r1", fence).status_code == 409
    asked = ask_again(first, "r1").json()
    assert (asked["run"]["status"], asked["fence"]) == ("lost", None)
    assert house.store.get_lease("shop/prod").holder.run == "r2"  # type: ignore[union-attr]


def test_a_beat_is_good_for_another_sixty_seconds(house: ApiService, clock: Clock) -> None:
    first, second = house.open_client("write"), house.open_client("write")
    fence = begin(first, make_run("r1")).json()["fence"]
    clock.now = NOW + 50
    assert ask_again(first, "r1", fence).status_code == 200
    begin(second, make_run("r2", verb="apply"))
    for seconds in (70.0, 90.0, 109.9):
        clock.now = NOW + seconds
        assert ask_again(second, "r2").json()["fence"] is None
    clock.now = NOW + 110
    assert ask_again(second, "r2").json()["fence"] == fence + 1


@pytest.mark.parametrize(("silent", "gets_it"), [(29.9, "r2"), (30.0, "r3")])
def test_who_waits_in_silence_loses_the_place_after_thirty_seconds(
    house: ApiService, clock: Clock, silent: float, gets_it: str
) -> None:
    client = house.open_client("write")
    begin(client, make_run("r1"))
    begin(client, make_run("r2", verb="apply"))
    clock.now = NOW + silent
    begin(client, make_run("r3", verb="rollback"))
    clock.now = NOW + silent + 0.05
    ask_again(client, "r2" if silent < 30 else "r3")
    end(house, clock)

    fences = {name: ask_again(client, name).json()["fence"] for name in (("r3", "r2") if silent < 30 else ("r2", "r3"))}
    if gets_it == "r2":
        assert fences == {"r3": None, "r2": 2}
    else:
        assert fences == {"r2": None, "r3": 2}


@pytest.mark.parametrize(("seconds", "status"), [(359.9, "running"), (360.1, "lost")])
def test_a_silent_run_is_lost_five_minutes_after_its_lease(
    house: ApiService, clock: Clock, seconds: float, status: str
) -> None:
    """Sixty seconds of lease and 300 of grace; two environments, of which one shows life."""
    client = house.open_client("write")
    begin(client, make_run("r1"))
    other = make_run("r2")
    begin(client, Run(other.id, "shop/qa", other.verb, "ana", "c", other.started_at))
    clock.now = NOW + 300
    ask_again(client, "r2", 1)
    clock.now = NOW + seconds

    assert house.store.end_lost_runs() == (status == "lost")
    assert {item.id: item.status for item in house.store.list_runs().items} == {"r1": status, "r2": "running"}


def test_a_run_that_was_replaced_does_not_get_the_lease_by_asking_again(house: ApiService, clock: Clock) -> None:
    """It believes that it still writes: it has to stop, even when nobody holds the lease any more."""
    first, second = house.open_client("write"), house.open_client("write")
    begin(first, make_run("r1"))
    begin(second, make_run("r2", verb="apply"))
    clock.now = NOW + 25
    ask_again(second, "r2")
    clock.now = NOW + 50
    ask_again(second, "r2")
    clock.now = NOW + 61
    assert ask_again(second, "r2").json()["fence"] == 2
    end(house, clock)
    assert house.store.get_lease("shop/prod").holder is None

    assert begin(first, make_run("r1")).json()["fence"] is None
    assert ask_again(first, "r1").json()["fence"] is None
    assert house.store.get_lease("shop/prod").holder is None


def test_a_run_of_a_journal_gets_no_lease_by_asking(house: ApiService) -> None:
    """It writes without one, or is over long ago: nothing that it does is protected by a lease it takes now."""
    client = house.open_client("write")
    past = BeginRunRequest(make_run("r1"), past=True)
    client.post("/api/v1/runs", content=canonical_json.dump(past), headers=JSON)

    assert ask_again(client, "r1").status_code == 409
    assert house.store.get_lease("shop/prod").holder is None


@pytest.mark.parametrize(
    ("waiting", "asking", "is_superseded"),
    [
        (("deploy", "main", 1.0), ("deploy", "main", 2.0), True),
        (("deploy", "main", 2.0), ("deploy", "main", 1.0), False),
        (("deploy", "main", 1.0), ("deploy", "hotfix", 2.0), False),
        (("apply", "main", 1.0), ("apply", "main", 2.0), False),
        (("rollback", "main", 1.0), ("deploy", "main", 2.0), False),
        (("deploy", "main", 1.0), ("rollback", "main", 2.0), False),
    ],
)
def test_only_an_older_deploy_of_the_same_branch_is_superseded(
    house: ApiService, waiting: tuple[Any, str, float], asking: tuple[Any, str, float], is_superseded: bool
) -> None:
    """GitHub starts jobs in any order: a late runner of an old commit does not take a newer one's place."""
    client = house.open_client("write")
    begin(client, make_run("r0"))
    for name, (verb, ref, at) in (("r1", waiting), ("r2", asking)):
        assert begin(client, make_run(name, at=NOW + at, verb=verb, ref=ref)).status_code == 201
    statuses = {item.id: (item.status, item.superseded_by) for item in house.store.list_runs().items}

    assert statuses["r0"] == ("running", "")
    assert statuses["r1"] == (("superseded", "r2") if is_superseded else ("queued", ""))
    assert statuses["r2"] == ("queued", "")


@pytest.mark.parametrize(("hours", "decisions"), [(23.99, 1), (24.01, 2)])
def test_a_repeated_request_is_recognised_for_a_day(
    house: ApiService, clock: Clock, hours: float, decisions: int
) -> None:
    headers = {**JSON, "idempotency-key": "one"}
    at = format_timestamp(NOW)
    content = canonical_json.dump(DriftDecision("shop/prod", "a.b", "accept", "x", at))
    for clock.now in (NOW, NOW + hours * HOUR):
        client = house.open_client(authorization=f"Bearer {tokens(house)}")
        assert client.post(
            "/api/v1/environments/shop/prod/drift/decisions", content=content, headers=headers
        ).is_success

    assert [item.deed for item in house.store.list_history().items].count("drift.decide") == decisions


def tokens(house: ApiService) -> str:
    """One token for both moments: keys belong to whoever used them."""
    if not hasattr(house, "long_token"):
        house.long_token = create_token(house.store, "long", TokenGrant(("operate",)), 48 * HOUR, "ana")  # type: ignore[attr-defined]
    return str(house.long_token)  # type: ignore[attr-defined]
