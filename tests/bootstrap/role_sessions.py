"""Sessions of the generated roles in an emulated account, taken as a workflow takes them: with a token of GitHub."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from orchestrator.bootstrap import workflow_roles
from orchestrator.bootstrap.workflow_roles import Repository
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.vocabulary import DesiredState
from tests.proofs import real_stack

REPOSITORY = Repository("shop/shop", 7, 3)


def make_roles(desired: DesiredState) -> None:
    """Make the roles for these manifests, as an administrator."""
    planned = pipeline.plan(workflow_roles.expand(desired, REPOSITORY), clients=real_stack.clients())
    assert real_stack.list_failures(pipeline.apply(planned, ignore_event, clients=real_stack.clients())) == []


def github_token(subject: str, **claims: str) -> str:
    """A token of GitHub Actions; the emulator does not check its signature."""
    payload = {
        "iss": f"https://{workflow_roles.OIDC_ISSUER}",
        "aud": workflow_roles.OIDC_AUDIENCE,
        "sub": f"repo:{REPOSITORY.name}:{subject}",
        "repository_id": str(REPOSITORY.id),
        "ref": "refs/heads/main",
        **claims,
    }
    header, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in ({"alg": "RS256"}, payload)
    )
    return f"{header}.{body}.signature"


def token_for(role: str, environment: str) -> str:
    """The token of a job that may take a role: a pull request plans, a job with an environment deploys."""
    if role == "plan":
        return github_token("pull_request")
    return github_token(f"environment:{environment}", environment=environment)


@contextmanager
def session(desired: DesiredState, role: str) -> Iterator[Mapping[str, str]]:
    """Make clients that are created in the block act as a role."""
    request: dict[str, Any] = {
        "RoleArn": workflow_roles.role_arn(desired.scope, role),
        "RoleSessionName": "run",
        "WebIdentityToken": token_for(role, desired.scope.environment),
    }
    keys = real_stack.clients().call("sts", "assume_role_with_web_identity", request)["Credentials"]
    variables = {
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield variables
    finally:
        os.environ.clear()
        os.environ.update(before)
