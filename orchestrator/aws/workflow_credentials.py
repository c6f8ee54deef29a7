"""Renew the credentials of a GitHub workflow in this process, so that a run may take longer than they last.

A deploy may take 90 minutes and a session of a role an hour.  With the role in ``ORCHESTRATOR_SESSION_ROLE``, and in a
job that may ask GitHub for tokens (``id-token: write``), botocore assumes the role itself, again and again before the
session ends.  API: GitHub Actions' token endpoint, STS AssumeRoleWithWebIdentity.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.request import getproxies

from botocore.awsrequest import AWSRequest
from botocore.credentials import (
    AssumeRoleWithWebIdentityCredentialFetcher,
    CredentialProvider,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError, HTTPClientError
from botocore.httpsession import URLLib3Session
from botocore.session import Session

from orchestrator import interruption
from orchestrator.quantities import parse_count

ROLE_VARIABLE: Final = "ORCHESTRATOR_SESSION_ROLE"
DURATION_VARIABLE: Final = "ORCHESTRATOR_SESSION_SECONDS"
TOKEN_URL_VARIABLE, TOKEN_VARIABLE = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
AUDIENCE: Final = "sts.amazonaws.com"
DEFAULT_DURATION_SECONDS: Final = 3600
"""How long a session may last of which nobody said how long it may."""
_PAUSES_SECONDS: Final = (1.0, 3.0)
_ENVIRONMENT_VALID_SECONDS: Final = 960
"""Seconds after which the role is tried again if the workflow's own credentials had to serve."""
_METHOD: Final = "github-workflow"


def install(session: Session, region: str, environ: Mapping[str, str] = os.environ) -> None:
    """Make a botocore session assume the workflow's role, if the environment names one and GitHub gives tokens."""
    if environ.get(ROLE_VARIABLE) and environ.get(TOKEN_URL_VARIABLE):
        provider = WorkflowCredentialProvider(session, region, environ)
        session.get_component("credential_provider").insert_before("env", provider)


class WorkflowCredentialProvider(CredentialProvider):  # type: ignore[misc]
    """Provides credentials that renew themselves with a new token of GitHub."""

    METHOD = _METHOD
    CANONICAL_NAME = "GitHubWorkflow"

    def __init__(self, session: Session, region: str, environ: Mapping[str, str]) -> None:
        self._environ = environ
        duration = environ.get(DURATION_VARIABLE) or str(DEFAULT_DURATION_SECONDS)
        self._fetcher = AssumeRoleWithWebIdentityCredentialFetcher(
            client_creator=lambda service, **options: session.create_client(service, region_name=region, **options),
            web_identity_token_loader=lambda: fetch_token(environ),
            role_arn=environ[ROLE_VARIABLE],
            extra_args={
                "RoleSessionName": f"orchestrator-{environ.get('GITHUB_RUN_ID', 'run')}",
                "DurationSeconds": parse_count(duration) or DEFAULT_DURATION_SECONDS,
            },
        )

    def load(self) -> DeferredRefreshableCredentials:
        """Return credentials that are asked for at the first request."""
        return DeferredRefreshableCredentials(refresh_using=self._fetch, method=_METHOD)

    def _fetch(self) -> dict[str, Any]:
        """Return the credentials of a new session; those of the workflow if GitHub or STS refuses."""
        try:
            credentials: dict[str, Any] = self._fetcher.fetch_credentials()
        except (BotoCoreError, ClientError):
            if not self._environ.get("AWS_ACCESS_KEY_ID"):
                raise
            until = datetime.now(UTC) + timedelta(seconds=_ENVIRONMENT_VALID_SECONDS)
            return {
                "access_key": self._environ["AWS_ACCESS_KEY_ID"],
                "secret_key": self._environ["AWS_SECRET_ACCESS_KEY"],
                "token": self._environ.get("AWS_SESSION_TOKEN"),
                "expiry_time": until.isoformat(),
            }
        return credentials


def fetch_token(environ: Mapping[str, str], pause: Callable[[float], None] = interruption.pause) -> str:
    """Return a token of GitHub for AWS.  It is a secret.

    Raises CredentialRetrievalError, without the URL and its token, if GitHub does not give one.
    """
    url = environ[TOKEN_URL_VARIABLE]
    request = AWSRequest(
        method="GET",
        url=f"{url}{'&' if '?' in url else '?'}audience={AUDIENCE}",
        headers={"Authorization": f"Bearer {environ.get(TOKEN_VARIABLE, '')}"},
    ).prepare()
    problem = ""
    for pause_seconds in (*_PAUSES_SECONDS, 0.0):
        try:
            response = URLLib3Session(timeout=10, proxies=getproxies()).send(request)
            if response.status_code == 200:
                return str(json.loads(response.content)["value"])
            problem = f"HTTP {response.status_code}"
            if response.status_code < 500:
                break
        except (HTTPClientError, ValueError, KeyError) as error:
            problem = type(error).__name__
        pause(pause_seconds)
    message = f"GitHub did not issue a token for AWS ({problem}); grant the job the permission `id-token: write`"
    raise CredentialRetrievalError(provider=_METHOD, error_msg=message)
