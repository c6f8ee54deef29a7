"""Pass the master password from the secret that holds it to RDS; it is never shown or stored here."""

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
    """Return the parameters that set the password: managed by RDS, or read from a secret.

    ``stop_managing``: RDS has managed the password until now and must stop.
    """
    if credentials.get("managed"):
        return {"ManageMasterUserPassword": True}
    request = {"SecretId": credentials["secret"]}
    if "version" in credentials:  # a rollback restores it
        request["VersionId"] = credentials["version"].value
    response = yield ApiCall("secretsmanager", "get_secret_value", request, is_sensitive=True)
    password = yield Compute("password", extract_value, (response, credentials["key"]))
    return {"MasterUserPassword": password, **({"ManageMasterUserPassword": False} if stop_managing else {})}


def read_password(
    credentials: Mapping[str, Value], private: Mapping[str, Any]
) -> Generator[Step, Any, dict[str, Value]]:
    """Return the master password, from the secret of the manifests or of RDS, as ``password``."""
    is_managed = bool(credentials.get("managed"))
    request = {"SecretId": private.get("managed_secret") if is_managed else credentials["secret"]}
    response = yield ApiCall("secretsmanager", "get_secret_value", request, is_sensitive=True)
    key = "password" if is_managed else credentials["key"]
    password = yield Compute("password", extract_value, (response, key))
    return {"password": password}


def extract_value(response: Mapping[str, Any], key: str) -> str:
    """Return the value of one key of a secret.

    Raises Problems if it is missing.
    """
    try:
        document = json.loads(response.get("SecretString") or "{}")
    except ValueError:
        document = {}
    if not isinstance(document, dict) or key not in document:
        hint = f"remove the secret's tag `orchestrator:generated:{key}` and apply again"
        raise Problems.from_message(f"the secret has no value for {key}", hint=hint)
    return str(document[key])
