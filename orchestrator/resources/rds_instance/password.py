"""The master password on its way from the secret that holds it to RDS; it is never shown and never stored here."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from typing import Any

from orchestrator.problems import Problems
from orchestrator.steps import ApiCall, Compute, Step
from orchestrator.values import Value


def password_parameters(
    credentials: Mapping[str, Value], *, stop_managing: bool = False
) -> Generator[Step, Any, dict[str, Value]]:
    """Parameters that set the password: by RDS itself, or from a secret.

    ``handed_back``: RDS has managed it until now and is to stop.
    """
    if credentials.get("managed"):
        return {"ManageMasterUserPassword": True}
    request = {"SecretId": credentials["secret"]}
    response = yield ApiCall("secretsmanager", "get_secret_value", request, is_sensitive=True)
    password = yield Compute("password", extract_value, (response, credentials["key"]))
    return {"MasterUserPassword": password, **({"ManageMasterUserPassword": False} if stop_managing else {})}


def extract_value(response: Mapping[str, Any], key: str) -> str:
    """The value of one key in a secret.

    Raises Problems when it is not there.
    """
    try:
        document = json.loads(response.get("SecretString") or "{}")
    except ValueError:
        document = {}
    if not isinstance(document, dict) or key not in document:
        message = f"the secret holds no value for {key}"
        raise Problems.from_message(message, hint=f"remove its tag `orchestrator:generated:{key}` and apply again")
    return str(document[key])
