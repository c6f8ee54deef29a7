"""Who may do what: every endpoint against everybody who can ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from orchestrator.state.server import app
from orchestrator.state.server.pages.rendering import mask_token
from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store
from tests.state.api_service import SIGN_IN_SETTINGS, ApiService, run_api_service
from tests.state.fake_issuer import SETTINGS, FakeIssuer

ROLES = ("anonymous", "viewer", "operator", "read", "propose", "write", "operate", "plan", "deploy")
"""Nobody; two people who signed in; tokens of scripts with one scope each; GitHub jobs that plan and that deploy."""
MATRIX = """
                                                                anon viewer operator read propose write operate plan deploy
GET    /                                                          -    +      +       +    -       -     -       -    +
GET    /e/{project}/{name}                                        -    +      +       +    -       -     -       -    +
GET    /e/{project}/{name}/cost                                   -    +      +       +    -       -     -       -    +
GET    /e/{project}/{name}/drift                                  -    +      +       +    -       -     -       -    +
POST   /e/{project}/{name}/drift                                  -    -      +       -    -       -     -       -    -
GET    /e/{project}/{name}/models                                 -    +      +       +    -       -     -       -    +
GET    /e/{project}/{name}/recovery                               -    +      +       +    -       -     -       -    +
GET    /e/{project}/{name}/releases                               -    +      +       +    -       -     -       -    +
GET    /e/{project}/{name}/review                                 -    +      +       +    -       -     -       -    +
GET    /history                                                   -    +      +       +    -       -     -       -    +
GET    /digest                                                    -    +      +       +    -       -     -       -    +
GET    /history/log                                               -    +      +       +    -       -     -       -    +
GET    /models                                                    -    +      +       +    -       -     -       -    +
POST   /models/upload                                             -    -      +       -    -       -     -       -    -
GET    /plans/{digest}                                            -    +      +       +    -       -     -       -    +
GET    /runs/{run}                                                -    +      +       +    -       -     -       -    +
GET    /runs/{run}/live                                           -    +      +       +    -       -     -       -    +
GET    /metrics                                                   -    +      +       +    -       -     -       -    +
GET    /healthz                                                   +    +      +       +    +       +     +       +    +
GET    /readyz                                                    +    +      +       +    +       +     +       +    +
GET    /favicon.ico                                               +    +      +       +    +       +     +       +    +
GET    /static/{mark}/{name}                                      +    +      +       +    +       +     +       +    +
POST   /theme                                                     +    +      +       +    +       +     +       +    +
GET    /auth/sign-in                                              +    +      +       +    +       +     +       +    +
GET    /auth/callback                                             +    +      +       +    +       +     +       +    +
POST   /auth/sign-out                                             -    +      +       -    -       -     -       -    -
GET    /api/v1/openapi.json                                       +    +      +       +    +       +     +       +    +
POST   /api/v1/token                                              -    -      -       -    -       -     -       -    -
GET    /api/v1/environments                                       -    +      +       +    -       -     -       -    +
GET    /api/v1/environments/{project}/{name}                      -    +      +       +    -       -     -       -    +
GET    /api/v1/environments/{project}/{name}/drift                -    +      +       +    -       -     -       -    +
POST   /api/v1/environments/{project}/{name}/drift                -    -      -       -    +       -     -       -    +
POST   /api/v1/environments/{project}/{name}/review               -    -      -       -    +       -     -       -    +
GET    /api/v1/environments/{project}/{name}/drift/decisions      -    +      +       +    -       -     -       -    +
POST   /api/v1/environments/{project}/{name}/drift/decisions      -    -      +       -    -       -     +       -    -
GET    /api/v1/environments/{project}/{name}/costs                -    +      +       +    -       -     -       -    +
GET    /api/v1/environments/{project}/{name}/lease                -    +      +       +    -       -     -       -    +
DELETE /api/v1/environments/{project}/{name}/lease                -    -      +       -    -       -     +       -    +
PUT    /api/v1/environments/{project}/{name}/models/{model}/{version} - -     -       -    -       +     -       -    +
PUT    /api/v1/environments/{project}/{name}/plans/{digest}       -    -      -       -    +       -     -       +    +
GET    /api/v1/environments/{project}/{name}/pulls                -    +      +       +    -       -     -       -    +
PUT    /api/v1/environments/{project}/{name}/pulls/{number}       -    -      -       -    +       -     -       -    +
GET    /api/v1/environments/{project}/{name}/pulls/{number}/conflicts - +     +       +    +       -     -       +    +
GET    /api/v1/environments/{project}/{name}/releases             -    +      +       +    -       -     -       -    +
GET    /api/v1/environments/{project}/{name}/review               -    +      +       +    -       -     -       -    +
GET    /api/v1/environments/{project}/{name}/releases/{number}    -    +      +       +    -       -     -       -    +
PUT    /api/v1/environments/{project}/{name}/releases/{number}    -    -      -       -    -       +     -       -    +
GET    /api/v1/deliveries                                         -    +      +       +    -       -     -       -    +
GET    /api/v1/history                                            -    +      +       +    -       -     -       -    +
GET    /api/v1/history/export                                     -    +      +       +    -       -     -       -    +
GET    /api/v1/leases                                             -    +      +       +    -       -     -       -    +
GET    /api/v1/models                                             -    +      +       +    -       -     -       -    +
GET    /api/v1/plans/{digest}                                     -    +      +       +    -       -     -       -    +
GET    /api/v1/runs                                               -    +      +       +    -       -     -       -    +
POST   /api/v1/runs                                               -    -      -       -    -       +     -       -    +
GET    /api/v1/runs/{run}                                         -    +      +       +    -       -     -       -    +
POST   /api/v1/runs/{run}/end                                     -    -      -       -    -       +     -       -    +
GET    /api/v1/runs/{run}/events                                  -    +      +       +    -       -     -       -    +
POST   /api/v1/runs/{run}/events                                  -    -      -       -    -       +     -       -    +
POST   /api/v1/runs/{run}/lease                                   -    -      -       -    -       +     -       -    +
POST   /api/v1/runs/{run}/plan                                    -    -      -       -    -       +     -       -    +
"""  # noqa: E501 - a table
VALUES = {
    "project": "shop", "name": "prod", "run": "none", "number": "1", "digest": "0" * 64, "mark": "none",
    "model": "product", "version": "1",
}  # fmt: skip
ROWS = {(line.split()[0], line.split()[1]): line.split()[2:] for line in MATRIX.strip().splitlines()[1:]}


def endpoints(service: FastAPI) -> set[tuple[str, str]]:
    """All that the service answers to."""

    def walk(routes: Any, prefix: str) -> Iterator[tuple[str, str]]:
        for route in routes:
            if hasattr(route, "methods"):
                yield from ((method, prefix + route.path) for method in route.methods - {"HEAD"})
            else:
                yield from walk(route.original_router.routes, prefix + route.include_context.prefix)

    return set(walk(service.routes, ""))


def send(client: httpx.Client, word: str, method: str, path: str) -> httpx.Response:
    """A request as a page or a script makes it; ``word`` is the page's."""
    if method == "GET":
        return client.get(path)
    if path.startswith("/api/"):
        return client.request(method, path, json={}, headers={"x-csrf-token": word})
    return client.post(path, data={"csrf": mask_token(word), "address": "a.b", "deed": "accept"})


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiService]:
    store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('access')}/state.db")
    issuer = FakeIssuer()
    with run_api_service(store, issuer.fetch_keys, **SIGN_IN_SETTINGS, **SETTINGS) as made:
        made.issuer = issuer  # type: ignore[attr-defined]
        yield made


@pytest.fixture(scope="module")
def everybody(house: ApiService) -> dict[str, Callable[[str, str], httpx.Response]]:
    """How each role asks: a person's forms and requests bear the page's word."""

    def machine(client: httpx.Client) -> Callable[[str, str], httpx.Response]:
        return lambda method, path: send(client, "", method, path)

    def person(role: Any) -> Callable[[str, str], httpx.Response]:
        usual = house.sign_in(role, role)

        def ask(method: str, path: str) -> httpx.Response:
            who = house.sign_in(f"leaving-{role}", role) if path == "/auth/sign-out" else usual
            return send(*who, method, path)

        return ask

    def job(**claims: Any) -> httpx.Client:
        token = house.issuer.sign_token(**claims)  # type: ignore[attr-defined]
        traded = house.open_client().post("/api/v1/token", headers={"Authorization": f"Bearer {token}"})
        return house.open_client(authorization=f"Bearer {traded.json()['token']}")

    scopes = ("read", "propose", "write", "operate")
    return {
        "anonymous": machine(house.open_client()),
        "viewer": person("viewer"),
        "operator": person("operator"),
        **{scope: machine(house.open_client(scope)) for scope in scopes},
        "plan": machine(job(event_name="pull_request", ref="refs/pull/7/merge", environment=None)),
        "deploy": machine(job()),
    }


def test_every_endpoint_is_in_the_matrix() -> None:
    """A new one cannot be forgotten."""
    service = app.create_app(Settings(**SIGN_IN_SETTINGS), store=Store(None))  # type: ignore[arg-type]

    assert endpoints(service) == set(ROWS)


@pytest.mark.parametrize("endpoint", ROWS, ids=" ".join)
def test_who_may(endpoint: tuple[str, str], everybody: dict[str, Callable[[str, str], httpx.Response]]) -> None:
    """Whoever may not is told 401 where nobody is known, and 403 otherwise; whoever may is told anything else."""
    method, template = endpoint
    path = template.format(**VALUES)
    answers = {role: everybody[role](method, path).status_code for role in ROLES}
    expected = dict(zip(ROLES, ROWS[endpoint], strict=True))

    assert {role: "-" if status in {401, 403} else "+" for role, status in answers.items()} == expected
    assert {status for status in answers.values() if status >= 500} == set()
