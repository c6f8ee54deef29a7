"""The secrets that the runtime puts into a service's environment: which, under which name, found where.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.components import Stack
from orchestrator.values import Ref, Text, Value
from orchestrator.vocabulary import Component

KEY = re.compile(r"(secret\.[a-z][a-z0-9-]*)\[(.+)\]")


def variables(component: Component, stack: Stack) -> dict[str, Value]:
    """Environment variable -> where the runtime reads it: the secret's ARN and the key, named without a colon."""
    wanted = component.spec["secrets"]
    if isinstance(wanted, Mapping):
        chosen = [(variable, *key(text)) for variable, text in wanted.items()]
    else:
        chosen = [(plain(key), handle, key) for handle in wanted for key in stack.components[handle].spec["data"]]
    return {variable: Text((secret_arn(handle), f":{plain(key)}::")) for variable, handle, key in chosen}


def fingerprints(component: Component) -> dict[str, Value]:
    """A variable a secret, which changes with it: secrets are read only when a deployment starts."""
    names = [handle.partition(".")[2] for handle in injected(component)]
    return {
        f"ORCHESTRATOR_{name.upper().replace('-', '_')}_FINGERPRINT": Ref(f"secretsmanager_value.{name}", "fingerprint")
        for name in names
    }


def injected(component: Component) -> list[str]:
    """Handles of the secrets of which a service is given anything."""
    wanted = component.spec["secrets"]
    handles = [key(text)[0] for text in wanted.values()] if isinstance(wanted, Mapping) else wanted
    return list(dict.fromkeys(handles))


def key(text: str) -> tuple[str, str]:
    """``secret.app[Jwt:Key]`` as handle and key; the schema has seen to its form."""
    match = KEY.fullmatch(text)
    return (match[1], match[2]) if match else (text, "")


def plain(key: str) -> str:
    """A key as a variable's name, and as AWS can be asked for it: it takes a colon for a separator."""
    return key.replace(":", "__")


def secret_arn(handle: str) -> Ref:
    """The ARN of the Secret that a handle names."""
    return Ref(f"secretsmanager_secret.{handle.partition('.')[2]}", "arn")
