"""The master password on its way from the secret that holds it to RDS; it is never shown and never stored here."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from typing import Any

from orchestrator.problems import Problems
from orchestrator.steps import Call, Compute, Step
from orchestrator.values import Value


def given(credentials: Mapping[str, Value], *, handed_back: bool = False) -> Generator[Step, Any, dict[str, Value]]:
    """Parameters that set the password: by RDS itself, or from a secret.

    ``handed_back``: RDS has managed it until now and is to stop.
    """
    if credentials.get("managed"):
        return {"ManageMasterUserPassword": True}
    source = {"SecretId": credentials["secret"]}
    answer = yield Call("secretsmanager", "get_secret_value", source, sensitive=True)
    password = yield Compute("password", pick, (answer, credentials["key"]))
    return {"MasterUserPassword": password, **({"ManageMasterUserPassword": False} if handed_back else {})}


def pick(answer: Mapping[str, Any], key: str) -> str:
    """The value of one key in a secret.

    Raises Problems when it is not there.
    """
    try:
        document = json.loads(answer.get("SecretString") or "{}")
    except ValueError:
        document = {}
    if not isinstance(document, dict) or key not in document:
        message = f"the secret holds no value for {key}"
        raise Problems.one(message, hint=f"remove its tag `orchestrator:generated:{key}` and apply again")
    return str(document[key])
