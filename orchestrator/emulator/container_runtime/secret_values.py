"""Resolve RuntimeEnvironmentSecrets from the emulated Secrets Manager and Parameter Store."""

from __future__ import annotations

import json
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.service_base import EmulatorState

_SECRET_ARN_PARTS = 7


class SecretError(Exception):
    """A secret that has no value to inject; the message names the secret and never its value."""


def resolve_secret(state: EmulatorState, reference: str, region: str) -> str:
    """Return the value of ``arn:aws:secretsmanager:…:secret:NAME[:KEY:STAGE:VERSION]``, or of an SSM parameter.

    Raises SecretError.
    """
    parts = reference.split(":")
    secret_region = parts[3] if len(parts) > _SECRET_ARN_PARTS - 2 else region
    try:
        if ":ssm:" in reference or not reference.startswith("arn:"):
            name = reference.partition(":parameter")[2] or reference
            response = state.call("ssm", "GetParameter", secret_region, Name=name, WithDecryption=True)
            return str(response["Parameter"]["Value"])
        json_key, stage, version = (*parts[_SECRET_ARN_PARTS:], "", "", "")[:3]
        query_params = {"SecretId": ":".join(parts[:_SECRET_ARN_PARTS]), "VersionStage": stage, "VersionId": version}
        response = state.call(
            "secretsmanager",
            "GetSecretValue",
            secret_region,
            **{parameter: argument for parameter, argument in query_params.items() if argument},
        )
    except AwsError as error:
        raise SecretError(f"cannot read {reference}: {error.code}") from None
    return _read_json_key(str(response.get("SecretString", "")), json_key, reference)


def _read_json_key(secret_text: str, json_key: str, reference: str) -> str:
    if not json_key:
        return secret_text
    try:
        member: Any = json.loads(secret_text)[json_key]
    except (ValueError, KeyError, TypeError):
        raise SecretError(f"{reference}: the secret has no key {json_key}") from None
    return member if isinstance(member, str) else json.dumps(member)
