"""Who may write what: a live run belongs to the client that began it, and a job of unmerged code proves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from orchestrator import canonical_json
from orchestrator.planning.plan import compute_digest
from orchestrator.problems import Problems
from orchestrator.state.protocol.records import DriftReport, PlanRecord, PullRequestPlan, Run, RunResult, StepEvent
from orchestrator.state.protocol.requests import BeginRunRequest, EndRunRequest, EventBatch, SetPlanRequest
from orchestrator.state.server import oidc
from orchestrator.state.server.access import check_environment_limit
from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store
from orchestrator.vocabulary import Plan
from tests.render.sample_plans import FULL_PLAN
from tests.state.api_service import ApiService, run_api_service
from tests.state.fake_issuer import SETTINGS, FakeIssuer

AT = "2026-01-01T00:00:00.000Z"
JSON = {"content-type": "application/json"}
END = RunResult("succeeded", AT)
EVENT = StepEvent(1, AT, "step", "a.b")
PULL_REQUEST_JOB: dict[str, Any] = {"event_name": "pull_request", "ref": "refs/pull/7/merge", "environment": None}
UNMERGED: dict[str, dict[str, Any]] = {
    "a pull request": PULL_REQUEST_JOB,
    "a pull request that names the environment": {**PULL_REQUEST_JOB, "environment": "prod"},
    "a branch": {"ref": "refs/heads/feature"},
    "a branch by hand": {"ref": "refs/heads/feature", "event_name": "workflow_dispatch"},
    "a tag": {"ref": "refs/tags/v1"},
}


@pytest.fixture(scope="module")
def issuer() -> FakeIssuer:
    return FakeIssuer()


@pytest.fixture
def house(store: Store, issuer: FakeIssuer) -> Iterator[ApiService]:
    with run_api_service(store, issuer.fetch_keys, **SETTINGS) as made:
        yield made


def job(house: ApiService, issuer: FakeIssuer, **claims: Any) -> httpx.Client:
    """A client with the token of a workflow's job."""
    headers = {"Authorization": f"Bearer {issuer.sign_token(**claims)}"}
    traded = house.open_client().post("/api/v1/token", headers=headers)
    assert traded.status_code == 200, traded.text
    return house.open_client(authorization=f"Bearer {traded.json()['token']}")


def post(client: httpx.Client, path: str, record: object, method: str = "POST") -> httpx.Response:
    return client.request(method, f"/api/v1{path}", content=canonical_json.dump(record), headers=JSON)


def run(name: str = "r1", environment: str = "shop/prod", by: str = "alice") -> Run:
    return Run(name, environment, "apply", by, "c", AT)


def plan(**changed: Any) -> Plan:
    made = replace(FULL_PLAN, project="shop", environment="prod", **changed)
    return replace(made, digest=compute_digest(made))


def plan_record(of: Plan) -> PlanRecord:
    return PlanRecord(of.digest, "shop/prod", AT, "alice", "c", of)


def writes_of(run_id: str, fence: int | None) -> dict[str, object]:
    """Every request that writes to a run."""
    return {
        f"/runs/{run_id}/events": EventBatch((EVENT,), fence),
        f"/runs/{run_id}/plan": SetPlanRequest("d" * 64, fence),
        f"/runs/{run_id}/end": EndRunRequest(END, fence),
    }


def test_a_live_run_belongs_to_the_client_that_began_it(house: ApiService, store: Store) -> None:
    """Neither without a fence nor with the right one, which every reader sees; nor does anybody else get its lease."""
    ours, other = house.open_client("write", "read"), house.open_client("write", "read")
    fence = post(ours, "/runs", BeginRunRequest(run())).json()["fence"]

    for tried in (None, fence, 99):
        answers = [post(other, path, record).status_code for path, record in writes_of("r1", tried).items()]
        assert answers == [403] * 3
    assert post(other, "/runs/r1/lease", {}).status_code == 403
    assert post(other, "/runs/r1/lease", {"fence": fence}).status_code == 403
    assert post(other, "/runs", BeginRunRequest(run())).status_code == 403
    holder = store.get_lease("shop/prod").holder
    assert holder is not None
    assert (holder.run, holder.fence) == ("r1", fence)
    assert store.list_events("r1") == ()
    answers = [post(ours, path, record).status_code for path, record in writes_of("r1", fence).items()]
    assert answers == [200] * 3


def test_a_run_that_holds_the_lease_writes_with_its_fence(house: ApiService, store: Store) -> None:
    """Also its own client: a forgotten fence is a mistake, and only a journal has none."""
    ours = house.open_client("write", "read")
    fence = post(ours, "/runs", BeginRunRequest(run())).json()["fence"]

    for path, record in writes_of("r1", None).items():
        answer = post(ours, path, record)
        assert (answer.status_code, answer.json()["type"]) == (409, "fence-required")
    assert store.get_lease("shop/prod").holder is not None
    assert post(ours, "/runs/r1/end", EndRunRequest(END, fence)).status_code == 200
    assert store.get_lease("shop/prod").holder is None
    post(ours, "/runs", BeginRunRequest(run("r2"), past=True))
    assert [post(ours, path, record).status_code for path, record in writes_of("r2", None).items()] == [200] * 3


def test_a_waiting_run_is_ended_by_its_own_client(house: ApiService, store: Store) -> None:
    """A place in the queue has no fence, and is nobody else's either."""
    ours, other = house.open_client("write", "read"), house.open_client("write", "read")
    post(ours, "/runs", BeginRunRequest(run()))
    assert post(ours, "/runs", BeginRunRequest(run("r2"), waits=True)).json()["position"] == 0

    assert post(other, "/runs/r2/end", EndRunRequest(RunResult("interrupted", AT))).status_code == 403
    assert post(other, "/runs/r2/lease", {}).status_code == 403
    assert [waiter.run for waiter in store.get_lease("shop/prod").waiting] == ["r2"]
    assert post(ours, "/runs/r2/end", EndRunRequest(RunResult("interrupted", AT))).status_code == 200


def test_a_run_of_another_environment_is_not_continued(house: ApiService) -> None:
    """The permission is checked for the environment of the run that is there, not for the one that is claimed."""
    post(house.open_client("write"), "/runs", BeginRunRequest(run()))
    limited = house.open_client("write", environment="shop/qa")

    assert post(limited, "/runs", BeginRunRequest(run(environment="shop/qa"))).status_code == 403


@pytest.mark.parametrize(
    ("limit", "writable"),
    [
        ("shop/prod", {"shop/prod"}),
        ("*/prod", {"shop/prod", "bank/prod"}),
        ("prod", set()),
        ("", {"shop/prod", "bank/prod", "shop/qa"}),
    ],
)
def test_a_limit_is_of_a_project_and_an_environment(house: ApiService, limit: str, writable: set[str]) -> None:
    """`prod` of one project is not `prod` of another: for runs and releases as for plans, drift and pull requests."""
    requests = {
        "write": [("PUT", "releases/1")],
        "propose": [("PUT", f"plans/{'d' * 64}"), ("POST", "drift"), ("PUT", "pulls/7")],
    }
    for scope, endpoints in requests.items():
        client = house.open_client(scope, environment=limit)
        for method, path in endpoints:
            statuses = {
                key: client.request(method, f"/api/v1/environments/{key}/{path}", json={}).status_code
                for key in ("shop/prod", "bank/prod", "shop/qa")
            }
            assert {key for key, status in statuses.items() if status != 403} == writable, (scope, path)


def test_a_limit_without_a_project_is_not_created() -> None:
    for limit in ("shop/prod", "*/prod", ""):
        check_environment_limit(limit)
    for limit in ("prod", "shop/", "/prod", "*/*", "shop/*", "a/b/c"):
        with pytest.raises(Problems, match="use PROJECT/ENVIRONMENT"):
            check_environment_limit(limit)


def test_a_workflow_may_be_limited_to_its_project(issuer: FakeIssuer) -> None:
    """GitHub__Project: a service that other projects use as well."""
    settings = Settings(**SETTINGS, project="shop")

    assert oidc.grant_for_claims(settings, issuer.make_claims()).environment == "shop/prod"
    assert oidc.grant_for_claims(Settings(**SETTINGS), issuer.make_claims()).environment == "*/prod"


def test_a_plan_is_stored_under_the_digest_of_its_changes(house: ApiService, store: Store) -> None:
    """Whoever stores other changes under a digest would show reviewers another plan."""
    proposer, real = house.open_client("propose", "read"), plan()
    harmless = replace(real, changes=real.changes[:1], digest=real.digest)
    path = f"/environments/shop/prod/plans/{real.digest}"

    assert post(proposer, path, plan_record(harmless), "PUT").status_code == 422
    assert store.get_plan(real.digest) is None
    assert post(proposer, path, plan_record(real), "PUT").status_code == 200


def test_a_run_replaces_a_plan_that_unmerged_code_sent(house: ApiService, store: Store, issuer: FakeIssuer) -> None:
    """The digest covers no notes or vetoes: what a run says about its plan wins; what a pull request says does not."""
    real = plan()
    path = f"/environments/shop/prod/plans/{real.digest}"
    forged = plan_record(replace(real, notes=("nothing to see here",), vetoes=()))
    branch, deploy = job(house, issuer, **PULL_REQUEST_JOB), job(house, issuer)

    assert post(branch, path, forged, "PUT").status_code == 200
    proposed = store.get_plan(real.digest)
    environment = store.get_environment("shop/prod")
    assert proposed is not None
    assert environment is not None
    assert (proposed.is_proposed, environment.health, environment.account) == (True, "unknown", "")
    assert post(deploy, path, plan_record(real), "PUT").status_code == 200
    assert post(branch, path, forged, "PUT").status_code == 200
    stored = store.get_plan(real.digest)
    assert stored is not None
    assert (stored.is_proposed, stored.plan.notes) == (False, real.notes)


@pytest.mark.parametrize("claims", UNMERGED.values(), ids=UNMERGED)
def test_unmerged_code_sends_its_plan_and_nothing_else(
    house: ApiService, store: Store, issuer: FakeIssuer, claims: dict[str, Any]
) -> None:
    """Nobody has approved it: it may not call an environment in sync, nor speak for other pull requests."""
    client, real = job(house, issuer, **claims), plan()
    store.record_pull_request(PullRequestPlan("shop/prod", 8, "c", "d", AT, "bo"), "bo")
    drift = DriftReport("shop/prod", AT, "alice", "c", 9)
    pulls = {
        number: post(
            client, f"/environments/shop/prod/pulls/{number}",
            PullRequestPlan("shop/prod", number, "c", "d", AT, is_open=False), "PUT",
        ).status_code
        for number in (7, 8)
    }  # fmt: skip

    assert post(client, "/environments/shop/prod/drift", drift).status_code == 403
    assert pulls == {7: 200 if claims["ref"] == "refs/pull/7/merge" else 403, 8: 403}
    assert post(client, f"/environments/shop/prod/plans/{real.digest}", plan_record(real), "PUT").status_code == 200
    assert [pull.number for pull in store.list_pull_requests("shop/prod")] == [8]


def test_the_author_is_who_sent_it(house: ApiService, store: Store, issuer: FakeIssuer) -> None:
    """What a body says about it is not believed; a journal's author is said to be imported, and by whom."""
    deploy, real = job(house, issuer), plan()
    post(deploy, "/runs", BeginRunRequest(run()))
    post(deploy, "/runs", BeginRunRequest(run("r2", by="bo"), past=True))
    post(deploy, f"/environments/shop/prod/plans/{real.digest}", plan_record(real), "PUT")
    post(deploy, "/environments/shop/prod/drift", DriftReport("shop/prod", AT, "alice", "c", 9))
    post(deploy, "/environments/shop/prod/pulls/3", PullRequestPlan("shop/prod", 3, "c", "d", AT, by="alice"), "PUT")
    runs = {item.id: item.by for item in store.list_runs().items}
    stored = store.get_plan(real.digest)

    assert runs == {"r1": "ana", "r2": "bo, imported by ana"}
    assert stored is not None
    assert stored.by == "ana"
    assert [report.by for report in store.list_drift_reports("shop/prod").items] == ["ana"]
    assert [pull.by for pull in store.list_pull_requests("shop/prod")] == ["ana"]
    holder = store.get_lease("shop/prod").holder
    assert holder is not None
    assert holder.owner == "ana"


@pytest.mark.parametrize("claim", ["event_name", "environment", "ref", "actor", "jti"])
def test_a_claim_of_another_type_is_refused(issuer: FakeIssuer, claim: str) -> None:
    """A list is no text, and no reason to fail."""
    keys = oidc.JwksCache("https://token.actions.githubusercontent.com", issuer.fetch_keys)
    for odd in (["push"], {"a": 1}, 7):
        with pytest.raises(Problems, match=r"was rejected"):
            oidc.verify_token(Settings(**SETTINGS), keys, issuer.sign_token(**{claim: odd}))  # type: ignore[arg-type]
