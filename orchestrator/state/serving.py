"""What a process of the service is begun with: settings from all their sources, and its log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

from orchestrator.logs import Format
from orchestrator.state.settings import REGION, SECRET, Settings, gather, parsed


def settle(environ: Mapping[str, str], **given: object) -> Settings:
    """The settings, the secret in Secrets Manager included.

    Raises Problems.  API: Secrets Manager GetSecretValue.
    """
    arn = next((value for name, value in environ.items() if name.upper() == SECRET), "")
    return gather(environ, parsed(_fetch(arn, environ)) if arn else None, **given)


def log(stream: TextIO, form: Format, *, verbose: bool) -> Any:
    """The service's log: one line a request."""
    from orchestrator import logs

    return logs.configure(stream, form, verbose=verbose)


def _fetch(arn: str, environ: Mapping[str, str]) -> str:
    from orchestrator.aws import AwsError, Clients
    from orchestrator.problems import Problems

    region = arn.split(":")[3] if arn.startswith("arn:") else environ.get(REGION, "")
    try:
        answer = Clients(region).call("secretsmanager", "get_secret_value", {"SecretId": arn})
    except AwsError as error:
        raise Problems.one(f"the service's secret cannot be read: {error}") from None
    return str(answer["SecretString"])
