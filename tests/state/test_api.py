"""The API on both databases: errors of one shape, pages of long listings, what did not change, what comes twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from orchestrator import canonical_json
from orchestrator.problems import Problems
from orchestrator.state.protocol.records import DriftDecision, DriftedResource, DriftReport, Run, RunResult, StepEvent
from orchestrator.state.protocol.requests import BeginRunRequest, EndRunRequest, EventBatch
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.store import Store
from tests.state.api_service import ApiService, run_api_service

BASE = "/api/v1/environments/shop/prod"
NOW = time.time()
AT = format_timestamp(NOW - 100)


@pytest.fixture
def house(store: Store) -> Iterator[ApiService]:
    with run_api_service(store) as made:
        yield made


def run(number: int, environment: str = "shop/prod") -> Run:
    return Run(f"r{number}", environment, "apply", "ana", f"c{number}", format_timestamp(NOW - 5000 + number))


def body(record: object) -> dict[str, Any]:
    """What a client sends."""
    return {"content": canonical_json.dump(record), "headers": {"content-type": "application/json"}}


def is_problem(answer: httpx.Response, status: int, kind: str = "about:blank") -> bool:
    """RFC 9457: its media type, and the members that say what, with the status of the answer itself."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told = answer.json()
    assert {"type", "title", "status", "detail", "request"} <= told.keys()
    assert all(isinstance(told[name], str) for name in ("type", "title", "detail", "request"))
    assert told["request"] == answer.headers["x-request-id"]
    assert told["detail"]
    return (answer.status_code, told["status"], told["type"]) == (status, status, kind)


def test_every_error_has_one_shape(house: ApiService) -> None:
    """Whoever asks wrongly is told what is wrong in the same words everywhere, and which line of the log has it."""
    ours, reads, nobody = (
        house.open_client("write", "read"),
        house.open_client("read"),
        house.open_client(authorization="Bearer no"),
    )
    fence = ours.post("/api/v1/runs", **body(BeginRunRequest(run(1)))).json()["fence"]
    other = ours.post("/api/v1/runs", **body(BeginRunRequest(run(2, "shop/qa")))).json()["fence"]
    ours.post("/api/v1/runs/r2/end", **body(EndRunRequest(RunResult("failed", AT), other)))
    event = StepEvent(7, AT, "step", "a.b")
    json = {"content-type": "application/json"}

    assert is_problem(ours.post("/api/v1/runs", content=b"{", headers=json), 400)
    assert is_problem(reads.get("/api/v1/runs?by=%00"), 400)
    assert is_problem(nobody.get("/api/v1/runs"), 401)
    assert is_problem(reads.post("/api/v1/runs", json={}), 403)
    assert is_problem(reads.get("/api/v1/nowhere"), 404)
    assert is_problem(reads.get("/api/v1/runs/none"), 404)
    assert is_problem(ours.post("/api/v1/runs/none/lease", json={}), 404)
    assert is_problem(reads.put("/api/v1/runs"), 405)
    assert is_problem(ours.post("/api/v1/runs", **body(BeginRunRequest(run(3)))), 409, "held")
    assert is_problem(ours.post("/api/v1/runs/r1/events", **body(EventBatch((event,), fence))), 409, "gap")
    assert is_problem(ours.post("/api/v1/runs/r1/lease", json={"fence": 99}), 409, "lost-lease")
    assert is_problem(
        ours.post("/api/v1/runs/r2/end", **body(EndRunRequest(RunResult("succeeded", AT)))), 409, "run-over"
    )
    assert is_problem(ours.post("/api/v1/runs/r1/events", content=b" " * (9 << 20)), 413)
    assert is_problem(reads.get("/api/v1/runs", headers={"host": "evil.example"}), 421)
    assert is_problem(ours.post("/api/v1/runs", json={"run": 7}), 422)
    assert is_problem(reads.get("/api/v1/runs?limit=0"), 422)
    assert is_problem(reads.get("/api/v1/runs?cursor=x"), 422)
    assert is_problem(house.open_client().post("/api/v1/token", headers={"authorization": "Bearer x"}), 401)


def test_a_body_that_cannot_be_read_is_answered_with_its_place(house: ApiService) -> None:
    """Which member of which event; no number that JSON does not know, and nothing that a form could send."""
    ours, path = house.open_client("write"), "/api/v1/runs/r1/events"
    fence = ours.post("/api/v1/runs", **body(BeginRunRequest(run(1)))).json()["fence"]
    good = canonical_json.dump(
        EventBatch((StepEvent(1, AT, "step", "a.b"), StepEvent(2, AT, "step", "a.b")), fence)
    ).decode()
    wrong = good.replace('"sequence":2', '"sequence":"2"')

    def said(text: str, kind: str = "application/json") -> tuple[int, str]:
        answer = ours.post(path, content=text.encode(), headers={"content-type": kind})
        return answer.status_code, str(answer.json().get("detail", ""))

    assert said(wrong) == (422, "body.events[1].sequence: Expected `int`, got `str`")
    assert said("") == (422, "body: missing")
    assert said(good.replace('"seconds":0.0', '"seconds":NaN'))[0] == 400
    assert said(good, "text/plain")[0] == 422
    assert said(good, "application/json; charset=utf-8")[0] == 200


def test_a_run_that_ends_is_counted_at_once(store: Store) -> None:
    """What is kept at hand of the past goes when the past grows."""
    assert store.list_delivery_metrics("shop/prod") == ()
    for number in (1, 2):
        fence = store.begin_run(run(number), "ana").fence
        store.end_run(f"r{number}", fence, RunResult("succeeded", AT), "ana")
        assert [week.deploys for week in store.list_delivery_metrics("shop/prod")] == [number]


def test_a_database_that_is_away_is_said_to_be(house: ApiService, store: Store) -> None:
    """503 with the time to come again; alive is another question than ready."""
    from sqlalchemy import event
    from sqlalchemy.exc import OperationalError

    reads = house.open_client()

    def away(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("it is away: password=hush"))

    event.listen(store.engine, "before_cursor_execute", away)
    answers = [reads.get("/api/v1/runs"), reads.get("/readyz"), reads.get("/e/shop/prod")]
    event.remove(store.engine, "before_cursor_execute", away)

    assert [is_problem(answer, 503) for answer in answers] == [True] * 3
    assert {answer.headers["retry-after"] for answer in answers} == {"2"}
    assert "hush" not in "".join(answer.text for answer in answers)
    assert reads.get("/healthz").text == "ok\n"
    assert reads.get("/readyz").text == "ready\n"


def listed(client: httpx.Client, path: str, limit: int) -> list[Any]:
    """All items of a listing, page by page."""
    found: list[Any] = []
    cursor = ""
    while True:
        page = client.get(path, params={"limit": limit, "cursor": cursor}).json()
        assert len(page["items"]) <= limit
        found += page["items"]
        cursor = page["cursor"]
        if not cursor:
            return found


def test_a_long_listing_comes_in_pages(house: ApiService, store: Store) -> None:
    """Each item once, the newest first, whatever is written meanwhile."""
    reads = house.open_client("read")
    for number in range(1, 18):
        store.begin_run(run(number), "ana", from_journal=True)
    store.begin_run(Run("same-a", "shop/prod", "apply", "ana", "c", run(9).started_at), "ana", from_journal=True)
    first = reads.get("/api/v1/runs", params={"limit": 5}).json()
    store.begin_run(run(18), "ana", from_journal=True)
    rest = reads.get("/api/v1/runs", params={"limit": 100, "cursor": first["cursor"]}).json()["items"]
    at_once = [one["id"] for one in reads.get("/api/v1/runs", params={"limit": 500}).json()["items"]]

    assert [one["id"] for one in [*first["items"], *rest]] == at_once[1:]
    assert [one["id"] for one in listed(reads, "/api/v1/runs", 4)] == at_once
    assert [one["number"] for one in listed(reads, "/api/v1/history", 7)] == list(range(len(at_once) + 1, 0, -1))
    assert len(set(at_once)) == 19


OTHERS = ("x", "W10", "WyJhIl0", "e30", "bnVsbA", "WzEsMl0", "WzFlOTldCg", "ä")


def test_a_cursor_of_others_is_refused(store: Store) -> None:
    """None of them reaches a query."""
    for cursor in OTHERS:
        for ask in (store.list_runs, store.list_history):
            with pytest.raises(Problems, match="cursor"):
                ask(cursor=cursor)


def test_what_did_not_change_is_not_sent_again(house: ApiService, store: Store) -> None:
    """An ETag is the content's own: it stands until the record changes, and no longer."""
    reads = house.open_client("read")
    fence = store.begin_run(run(1), "ana").fence
    paths = ("/api/v1/runs", "/api/v1/runs/r1", "/api/v1/history", f"{BASE}", f"{BASE}/lease")
    tags = {path: reads.get(path).headers["etag"] for path in paths}
    for path, tag in tags.items():
        for held in (tag, f'"other", {tag}', f"W/{tag}", "*"):
            again = reads.get(path, headers={"if-none-match": held})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    store.end_run("r1", fence, RunResult("succeeded", AT), "ana")

    assert [reads.get(path, headers={"if-none-match": tag}).status_code for path, tag in tags.items()] == [200] * 5


def test_a_request_that_comes_twice_is_carried_out_once(house: ApiService, store: Store) -> None:
    """With a key the answer is the first one's; the same key for something else is a mistake that is told."""
    operates = house.open_client("operate", "read")
    decision = DriftDecision("shop/prod", "a.b", "ignore", "x", AT, "fair", format_timestamp(NOW + 9999))
    key = {"content-type": "application/json", "idempotency-key": "one"}
    ask = {"url": f"{BASE}/drift/decisions", "content": canonical_json.dump(decision), "headers": key}
    first, again = operates.post(**ask), operates.post(**ask)  # type: ignore[arg-type]
    other = operates.post(f"{BASE}/drift/decisions", json={**first.json(), "reason": "no"}, headers=key)
    stranger = house.open_client("operate").post(**ask)  # type: ignore[arg-type]

    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert is_problem(other, 422)
    assert stranger.status_code == 201
    assert [one.deed for one in store.list_history().items].count("drift.decide") == 2


def test_requests_at_one_moment_are_carried_out_once(house: ApiService, store: Store) -> None:
    """Of ten that bear one key one works; the others are told to ask again, or what it was answered."""
    operates = house.open_client("operate")
    decision = DriftDecision("shop/prod", "a.b", "accept", "x", AT)

    def one(_: int) -> int:
        headers = {"content-type": "application/json", "idempotency-key": "two"}
        return operates.post(
            f"{BASE}/drift/decisions", content=canonical_json.dump(decision), headers=headers
        ).status_code

    with ThreadPoolExecutor(10) as pool:
        statuses = set(pool.map(one, range(10)))

    assert 201 in statuses <= {201, 409}
    assert [entry.deed for entry in store.list_history().items].count("drift.decide") == 1


def test_a_request_that_failed_may_be_made_again(house: ApiService) -> None:
    """A key is not used up by an error."""
    writes = house.open_client("write")
    fence = writes.post("/api/v1/runs", **body(BeginRunRequest(run(1)))).json()["fence"]
    ask: dict[str, Any] = {"content": canonical_json.dump(BeginRunRequest(run(2))), "headers": {"idempotency-key": "k"}}
    ask["headers"]["content-type"] = "application/json"
    held = writes.post("/api/v1/runs", **ask)
    writes.post("/api/v1/runs/r1/end", **body(EndRunRequest(RunResult("succeeded", AT), fence)))

    assert is_problem(held, 409, "held")
    assert writes.post("/api/v1/runs", **ask).status_code == 201


def test_what_is_told_twice_without_a_key_is_kept_once(house: ApiService, store: Store) -> None:
    """A client that got no answer asks again: no record and no entry of the history doubles."""
    ours = house.open_client("write", "propose", "read")
    event = StepEvent(1, AT, "step", "a.b")
    report = DriftReport("shop/prod", AT, "ci", "c", 3, (DriftedResource("a.b", "drifted"),))

    def told(answer: httpx.Response) -> Any:
        known = answer.json()
        known.get("lease", {}).get("holder", {}).pop("until", None)  # asking again is a sign of life
        return known

    asks = (
        ("/api/v1/runs", BeginRunRequest(run(1))),
        ("/api/v1/runs/r1/events", EventBatch((event,), 1)),
        (f"{BASE}/drift", report),
        ("/api/v1/runs/r1/end", EndRunRequest(RunResult("succeeded", AT), 1)),
    )
    for path, record in asks:
        first, again = (ours.post(path, **body(record)) for _ in range(2))
        assert first.is_success, first.text
        assert again.status_code == first.status_code
        assert told(again) == told(first)

    assert [entry.deed for entry in store.list_history().items[:-1]] == ["run.end", "drift", "run.begin"]
    assert (len(store.list_events("r1")), len(store.list_drift_reports("shop/prod").items)) == (1, 1)


def test_two_open_pull_requests_are_told_of_each_other(house: ApiService) -> None:
    """Whoever comes second hears of the first at once."""
    ours = house.open_client("propose", "read")

    def pull(number: int, *fields: str) -> Any:
        told = {"environment": "shop/prod", "number": number, "commit": "c", "digest": "d", "at": AT, "title": "t"}
        return ours.put(f"{BASE}/pulls/{number}", json={**told, "fields": fields}).json()

    assert pull(1, "a.b:size", "a.b:name") == []
    assert [one["number"] for one in pull(2, "a.b:size")] == [1]
    assert pull(3, "a.c:size") == []
    assert [one["fields"] for one in ours.get(f"{BASE}/pulls/1/conflicts").json()] == [["a.b:size"]]
