"""Tokens of GitHub Actions: each claim forged in turn, keys that change, and a token that comes twice."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from orchestrator.problems import Problems
from orchestrator.state.server import oidc
from orchestrator.state.server.access import TokenGrant
from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store
from tests.state.api_service import ApiService, run_api_service
from tests.state.fake_issuer import ISSUER_URL, SETTINGS, FakeIssuer

TIMES = ("iat", "nbf", "exp")
TOLD = Settings(**SETTINGS)
FORGED: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"iss": "https://token.actions.example"}, "issuer"),
    "an issuer that only begins so": ({"iss": f"{ISSUER_URL}.evil.example"}, "issuer"),
    "no issuer": ({"iss": None}, "iss"),
    "another audience": ({"aud": "https://github.com/shop"}, "[Aa]udience"),
    "no audience": ({"aud": None}, "aud"),
    "expired": ({"iat": -400, "nbf": -400, "exp": -100}, "expired"),
    "expired, beyond the skew": ({"iat": -200, "exp": -oidc.CLOCK_SKEW_SECONDS - 5}, "expired"),
    "no expiry": ({"exp": None}, "exp"),
    "not valid yet": ({"nbf": 300}, "not yet valid"),
    "made in the future": ({"iat": 300}, "not yet valid"),
    "no time of making": ({"iat": None}, "iat"),
    "for a day": ({"exp": 86_400}, "lifetime exceeds 600 seconds"),
    "another repository": ({"repository_id": "4712"}, "repository_id"),
    "our name, another repository": ({"repository": "shop/shop", "repository_id": "9"}, "repository_id"),
    "no repository": ({"repository_id": None}, "repository_id"),
    "a pull request of strangers": ({"event_name": "pull_request_target"}, "event_name"),
    "a comment": ({"event_name": "issue_comment"}, "event_name"),
    "no event": ({"event_name": None}, "event_name"),
    "no ref": ({"ref": None}, "ref"),
    "no id of its own": ({"jti": None}, "jti"),
}


def told(**changed: Any) -> dict[str, Any]:
    """Claims whose times are seconds from now, when they are used: hours may lie between collecting and running."""
    now = int(time.time())
    return {name: now + value if name in TIMES and value is not None else value for name, value in changed.items()}


@pytest.fixture(scope="module")
def issuer() -> FakeIssuer:
    return FakeIssuer()


@pytest.fixture
def keys(issuer: FakeIssuer) -> oidc.JwksCache:
    return oidc.JwksCache(ISSUER_URL, issuer.fetch_keys)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, issuer: FakeIssuer) -> Iterator[ApiService]:
    store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('oidc')}/state.db")
    with run_api_service(store, issuer.fetch_keys, **SETTINGS) as made:
        yield made


def test_a_deploy_job_may_write_to_its_environment(issuer: FakeIssuer, keys: oidc.JwksCache) -> None:
    claims = oidc.verify_token(TOLD, keys, issuer.sign_token())

    assert oidc.grant_for_claims(TOLD, claims) == TokenGrant(("read", "propose", "write"), "*/prod", "ana")


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_claim_is_refused(forged: str, issuer: FakeIssuer, keys: oidc.JwksCache) -> None:
    """Each is signed as it should be, and says one thing that is not ours."""
    changed, why = FORGED[forged]
    with pytest.raises(Problems, match=why):
        oidc.verify_token(TOLD, keys, issuer.sign_token(**told(**changed)))


def test_clocks_may_differ_a_little(issuer: FakeIssuer, keys: oidc.JwksCache) -> None:
    """Half a minute either way."""
    slow = told(iat=oidc.CLOCK_SKEW_SECONDS - 10, nbf=oidc.CLOCK_SKEW_SECONDS - 10, exp=300)
    fast = told(iat=-300, nbf=-300, exp=-oidc.CLOCK_SKEW_SECONDS + 10)

    assert oidc.verify_token(TOLD, keys, issuer.sign_token(**slow))["actor"] == "ana"
    assert oidc.verify_token(TOLD, keys, issuer.sign_token(**fast))["actor"] == "ana"


LESS: dict[str, dict[str, Any]] = {
    "a pull request": {"event_name": "pull_request", "ref": "refs/pull/7/merge", "environment": None},
    "a pull request that names the environment": {"event_name": "pull_request", "ref": "refs/pull/7/merge"},
    "a pull request that says it is main": {"event_name": "pull_request", "ref": "refs/heads/main"},
    "a branch": {"ref": "refs/heads/feature"},
    "a branch that only ends so": {"ref": "refs/heads/x/main"},
    "a tag of that name": {"ref": "refs/tags/main"},
    "main, in no environment": {"environment": None},
}


@pytest.mark.parametrize("job", LESS)
def test_others_may_only_propose(job: str, issuer: FakeIssuer, keys: oidc.JwksCache) -> None:
    """Writing takes the main branch and the environment's own approval, both."""
    claims = oidc.verify_token(TOLD, keys, issuer.sign_token(**LESS[job]))

    assert oidc.grant_for_claims(TOLD, claims).scopes == ("propose",)


def test_without_a_repository_nobody_is_let_in(issuer: FakeIssuer, keys: oidc.JwksCache) -> None:
    """A service that was not told whose it is does not guess."""
    for claim in ("4711", "", None):
        with pytest.raises(Problems, match="repository_id"):
            oidc.verify_token(Settings(), keys, issuer.sign_token(repository_id=claim))


def unsigned(issuer: FakeIssuer, algorithm: str) -> str:
    """A token whose header says ``algorithm``, with nothing behind it."""
    parts = ({"alg": algorithm, "typ": "JWT", "kid": "first"}, issuer.make_claims())
    head, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{head}.{body}."


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", ""])
def test_a_token_without_signature_is_refused(algorithm: str, issuer: FakeIssuer, keys: oidc.JwksCache) -> None:
    with pytest.raises(Problems, match="RS256"):
        oidc.verify_token(TOLD, keys, unsigned(issuer, algorithm))


def test_our_public_key_is_no_password(issuer: FakeIssuer, keys: oidc.JwksCache) -> None:
    """HS256 with what everybody can read as its secret."""
    public = issuer.keys["first"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body, _ = unsigned(issuer, "HS256").split(".")
    import hmac

    seal = hmac.digest(public, f"{head}.{body}".encode(), "sha256")
    forged = f"{head}.{body}.{base64.urlsafe_b64encode(seal).decode().rstrip('=')}"
    with pytest.raises(Problems, match="RS256"):
        oidc.verify_token(TOLD, keys, forged)


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_another_algorithm_of_the_right_key_is_refused(
    algorithm: str, issuer: FakeIssuer, keys: oidc.JwksCache
) -> None:
    token = jwt.encode(issuer.make_claims(), issuer.keys["first"], algorithm, {"kid": "first"})
    with pytest.raises(Problems, match="RS256"):
        oidc.verify_token(TOLD, keys, token)


def test_a_changed_token_is_refused(issuer: FakeIssuer, keys: oidc.JwksCache) -> None:
    """The signature of one job under the claims of another; and a key of the forger's own."""
    head, _, seal = issuer.sign_token(environment="staging").split(".")
    body = issuer.sign_token().split(".")[1]
    stranger = FakeIssuer()
    for token in (f"{head}.{body}.{seal}", stranger.sign_token()):
        with pytest.raises(Problems, match=r"[Ss]ignature"):
            oidc.verify_token(TOLD, keys, token)


@pytest.mark.parametrize("word", ["", "x", "a.b.c", "ö.ö.ö", "." * 9, "e30.e30.e30", "[].[].[]"])
def test_what_is_no_token_is_refused(word: str, keys: oidc.JwksCache) -> None:
    with pytest.raises(Problems, match="the OIDC token of the workflow was rejected"):
        oidc.verify_token(TOLD, keys, word)


def test_an_unknown_key_is_looked_for_once() -> None:
    """Keys are kept; a new one is found by one more question, and a forger's cannot make us ask for each token."""
    issuer = FakeIssuer()
    keys = oidc.JwksCache(ISSUER_URL, issuer.fetch_keys)
    for _ in range(3):
        oidc.verify_token(TOLD, keys, issuer.sign_token())
    assert issuer.fetch_count == 1
    stranger = FakeIssuer()
    for number in range(5):
        stranger.add_key(f"mine-{number}")
        with pytest.raises(Problems, match="not signed with a key of the issuer"):
            oidc.verify_token(TOLD, keys, stranger.sign_token(f"mine-{number}"))
    assert issuer.fetch_count == 1  # within PATIENCE of the first question nobody makes us ask again


def test_a_key_that_was_rotated_in_is_found() -> None:
    """One question more, once the last one is long enough ago."""
    issuer = FakeIssuer()
    clock = [1000.0]
    keys = oidc.JwksCache(ISSUER_URL, issuer.fetch_keys, lambda: clock[0])
    oidc.verify_token(TOLD, keys, issuer.sign_token())
    issuer.add_key("second")
    clock[0] += oidc.JwksCache.REFRESH_INTERVAL_SECONDS + 1

    assert oidc.verify_token(TOLD, keys, issuer.sign_token("second"))["actor"] == "ana"
    assert oidc.verify_token(TOLD, keys, issuer.sign_token("second"))["actor"] == "ana"
    assert issuer.fetch_count == 2


def test_an_issuer_that_is_away_is_asked_again() -> None:
    """Keys that are known go on; an unknown one is neither refused nor forgotten."""
    issuer, clock = FakeIssuer(), [1000.0]
    keys = oidc.JwksCache(ISSUER_URL, issuer.fetch_keys, lambda: clock[0])
    issuer.is_unavailable = True
    for _ in range(5):
        with pytest.raises(oidc.JwksUnavailableError):
            oidc.verify_token(TOLD, keys, issuer.sign_token())
    assert issuer.fetch_count == 1
    issuer.is_unavailable = False
    clock[0] += oidc.JwksCache.RETRY_INTERVAL_SECONDS + 1
    assert oidc.verify_token(TOLD, keys, issuer.sign_token())["actor"] == "ana"


def test_a_token_is_traded_once(house: ApiService, issuer: FakeIssuer) -> None:
    """Who has seen it in a log cannot use it again; what it was traded for writes to its environment alone."""
    headers = {"Authorization": f"Bearer {issuer.sign_token()}"}
    first, again = (house.open_client().post("/api/v1/token", headers=headers) for _ in range(2))
    ours = house.open_client(authorization=f"Bearer {first.json()['token']}")
    put = {
        name: ours.put(f"/api/v1/environments/shop/{name}/releases/1", json={}).status_code for name in ("prod", "qa")
    }

    assert (first.status_code, again.status_code) == (200, 401)
    assert "already used" in again.json()["detail"]
    assert put == {"prod": 422, "qa": 403}


def test_the_issuers_silence_is_not_the_jobs_fault(tmp_path_factory: pytest.TempPathFactory) -> None:
    """503 and when to come again; a client tries that again."""
    issuer = FakeIssuer()
    issuer.is_unavailable = True
    store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('away')}/state.db")
    with run_api_service(store, issuer.fetch_keys, **SETTINGS) as made:
        answer = made.open_client().post("/api/v1/token", headers={"Authorization": f"Bearer {issuer.sign_token()}"})

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
