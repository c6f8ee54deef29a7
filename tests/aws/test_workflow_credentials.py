"""A workflow's run renews its credentials with tokens of GitHub, against an account that ends sessions.

The token endpoint answers as GitHub's documents say ("OpenID Connect reference": ``{"value": TOKEN}``, the audience in
the query, the request token as bearer).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchestrator.aws import AwsError, Clients
from orchestrator.aws.workflow_credentials import fetch_token
from orchestrator.bootstrap import workflow_roles
from orchestrator.emulator import Emulator, Faults
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.vocabulary import DesiredState
from tests import performed_calls
from tests.bootstrap import full_stack, role_sessions
from tests.proofs import real_stack

REQUEST_TOKEN = "request-token-of-the-job"


@dataclass
class TokenEndpoint:
    """GitHub's endpoint: what it was asked, and the status with which it answers."""

    url: str = ""
    status: int = 200
    requests: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenEndpoint]:
    endpoint = TokenEndpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            endpoint.requests.append((self.path, self.headers["Authorization"]))
            body = json.dumps({"value": role_sessions.token_for("deploy", "prod")}).encode()
            self.send_response(endpoint.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint.url = f"http://127.0.0.1:{server.server_port}/token?api-version=2.0"
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", endpoint.url)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN)
    yield endpoint
    server.shutdown()
    server.server_close()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Emulator, DesiredState]]:
    """An account with the roles of a stack, and a job that deploys it."""
    with real_stack.emulated_aws() as running:
        full_stack.write_first(tmp_path, "ecs-express")
        desired = pipeline.load_desired(tmp_path, "prod", include_artefacts=False)
        role_sessions.make_roles(desired)
        running.faults = Faults(enforce_policies=True)
        role = workflow_roles.role_arn(desired.scope, workflow_roles.DEPLOY_ROLE)
        monkeypatch.setenv("ORCHESTRATOR_SESSION_ROLE", role)
        monkeypatch.setenv("ORCHESTRATOR_SESSION_SECONDS", str(workflow_roles.SESSION_SECONDS))
        yield running, desired


def count_sessions(aws: Emulator) -> int:
    return sum(call.operation == "AssumeRoleWithWebIdentity" for call in aws.calls)


def test_a_run_acts_as_the_role_with_one_session(github: TokenEndpoint, shop: tuple[Emulator, DesiredState]) -> None:
    """As long as it lasts; the token is asked for with the audience and the job's request token."""
    aws, _ = shop
    clients = Clients("eu-west-1")

    identities = [clients.call("sts", "get_caller_identity", {})["Arn"] for _ in range(3)]

    assert {arn.partition(":assumed-role/")[2].partition("/")[0] for arn in identities} == {"shop-prod-deploy"}
    assert count_sessions(aws) == 1
    assert github.requests == [("/token?api-version=2.0&audience=sts.amazonaws.com", f"Bearer {REQUEST_TOKEN}")]


def test_work_that_takes_longer_than_a_session_is_done(
    github: TokenEndpoint, shop: tuple[Emulator, DesiredState]
) -> None:
    """The sessions of this account last three seconds, and the database takes four to be created."""
    aws, desired = shop
    settings: dict[str, Any] = {"enforce_policies": True, "session_expires_after_seconds": 3}
    aws.faults = Faults(**settings, settle_seconds={"rds": 4})
    clients = Clients("eu-west-1", attempts=2)
    only_data = ("database.main", "secret.app")
    targets = tuple(item.address for item in desired.resources if item.component in only_data)

    outcomes = performed_calls.apply(
        pipeline.plan(desired, targets=targets, clients=clients), ignore_event, clients=clients
    )

    assert "rds_instance.main" in {outcome.address for outcome in outcomes}
    assert real_stack.list_failures(outcomes) == []
    assert count_sessions(aws) > 1


def test_without_a_token_the_credentials_of_the_workflow_serve(
    github: TokenEndpoint, shop: tuple[Emulator, DesiredState]
) -> None:
    """A job without `id-token: write` works as before, as long as its own session lasts."""
    github.status = 403

    identity = Clients("eu-west-1").call("sts", "get_caller_identity", {})

    assert "assumed-role" not in identity["Arn"]


def test_a_role_that_does_not_trust_the_job_is_not_taken(
    github: TokenEndpoint, shop: tuple[Emulator, DesiredState], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan role trusts pull requests; without credentials of the workflow the denial is said."""
    _, desired = shop
    role = workflow_roles.role_arn(desired.scope, workflow_roles.PLAN_ROLE)
    monkeypatch.setenv("ORCHESTRATOR_SESSION_ROLE", role)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)

    with pytest.raises(AwsError, match="Not authorized to perform sts:AssumeRoleWithWebIdentity"):
        Clients("eu-west-1").call("sts", "get_caller_identity", {})


def test_credentials_that_are_new_and_have_expired_are_said_to_be_a_wrong_clock(
    github: TokenEndpoint, shop: tuple[Emulator, DesiredState]
) -> None:
    """botocore raises a RuntimeError then; a clock that is hours ahead does this with real sessions."""
    aws, _ = shop
    aws.faults = Faults(enforce_policies=True, session_expires_after_seconds=0)

    with pytest.raises(AwsError, match="check this machine's clock") as refused:
        Clients("eu-west-1").call("s3", "list_buckets", {})

    assert refused.value.code == "NoCredentials"


def test_a_refusal_of_github_names_the_permission_and_no_secret(github: TokenEndpoint) -> None:
    """After three attempts, with pauses."""
    github.status = 500
    pauses: list[float] = []
    environ = {"ACTIONS_ID_TOKEN_REQUEST_URL": github.url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN}

    with pytest.raises(Exception, match="id-token: write") as refused:
        fetch_token(environ, pauses.append)

    assert len(github.requests) == len(pauses) == 3
    assert REQUEST_TOKEN not in str(refused.value)
    assert github.url not in str(refused.value)
