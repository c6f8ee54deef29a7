"""The values of RuntimeEnvironmentSecrets, out of the emulated Secrets Manager and Parameter Store."""

from __future__ import annotations

import json
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.service_base import World

_PARTS_OF_AN_ARN = 7


class SecretError(Exception):
    """A secret that has no value to inject; the message names the secret and never its value."""


def value_of(world: World, reference: str, region: str) -> str:
    """The value of ``arn:aws:secretsmanager:…:secret:NAME[:KEY:STAGE:VERSION]``, or of an SSM parameter.

    Raises SecretError.
    """
    parts = reference.split(":")
    where = parts[3] if len(parts) > _PARTS_OF_AN_ARN - 2 else region
    try:
        if ":ssm:" in reference or not reference.startswith("arn:"):
            name = reference.partition(":parameter")[2] or reference
            found = world.call("ssm", "GetParameter", where, Name=name, WithDecryption=True)
            return str(found["Parameter"]["Value"])
        key, stage, version = (*parts[_PARTS_OF_AN_ARN:], "", "", "")[:3]
        asked = {"SecretId": ":".join(parts[:_PARTS_OF_AN_ARN]), "VersionStage": stage, "VersionId": version}
        found = world.call("secretsmanager", "GetSecretValue", where, **{k: v for k, v in asked.items() if v})
    except AwsError as error:
        raise SecretError(f"{reference} could not be read: {error.code}") from None
    return _member(str(found.get("SecretString", "")), key, reference)


def _member(text: str, key: str, reference: str) -> str:
    if not key:
        return text
    try:
        found: Any = json.loads(text)[key]
    except (ValueError, KeyError, TypeError):
        raise SecretError(f"{reference}: the secret has no key {key}") from None
    return found if isinstance(found, str) else json.dumps(found)
