"""Map the secrets that a runtime injects to the environment variables of a service.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.components import Stack
from orchestrator.secret_rotation import list_keys
from orchestrator.values import Ref, TemplateString, Value
from orchestrator.vocabulary import Component

KEY_PATTERN = re.compile(r"(secret\.[a-z][a-z0-9-]*)\[(.+)\]")


def secret_variables(component: Component, stack: Stack) -> dict[str, Value]:
    """Return, by environment variable, where the runtime reads it: the secret's ARN and the key without a colon."""
    return locate_variables(list_variable_sources(component.spec["secrets"], stack))


def locate_variables(sources: list[tuple[str, str, str]]) -> dict[str, Value]:
    """Return where a runtime reads each variable of ``list_variable_sources``."""
    return {
        variable: TemplateString((secret_arn(handle), f":{to_variable_name(key)}::"))
        for variable, handle, key in sources
    }


def list_variable_sources(secrets_spec: Any, stack: Stack) -> list[tuple[str, str, str]]:
    """Return each environment variable of a `secrets` field with the handle of its secret and the key."""
    if isinstance(secrets_spec, Mapping):
        return [(variable, *parse_key_reference(text)) for variable, text in secrets_spec.items()]
    return [
        (to_variable_name(key), handle, key)
        for handle in secrets_spec
        for key in list_keys(stack.components[handle].spec["data"])
    ]


def fingerprint_variables(component: Component, stack: Stack) -> dict[str, Value]:
    """Return one variable per secret that changes with it: a runtime reads secrets only when a deployment starts."""
    return {
        _fingerprint_variable(stack.components[handle]): Ref(
            f"secretsmanager_value.{handle.partition('.')[2]}", "fingerprint"
        )
        for handle in list_injected_secrets(component)
    }


def _fingerprint_variable(secret: Component) -> str:
    return f"ORCHESTRATOR_{secret.aws_name.upper().replace('-', '_')}_FINGERPRINT"


def list_injected_secrets(component: Component) -> list[str]:
    """Return the handles of the secrets from which a service gets any key."""
    return list_secret_handles(component.spec["secrets"])


def list_secret_handles(secrets_spec: Any) -> list[str]:
    """Return the handles of the secrets that a `secrets` field names."""
    handles = (
        [parse_key_reference(text)[0] for text in secrets_spec.values()]
        if isinstance(secrets_spec, Mapping)
        else secrets_spec
    )
    return list(dict.fromkeys(handles))


def parse_key_reference(text: str) -> tuple[str, str]:
    """Split ``secret.app[Jwt:Key]`` into handle and key; the schema checks its format."""
    match = KEY_PATTERN.fullmatch(text)
    return (match[1], match[2]) if match else (text, "")


def to_variable_name(key: str) -> str:
    """Return a key as a variable name, and as AWS accepts it: a colon is a separator there."""
    return key.replace(":", "__")


def secret_arn(handle: str) -> Ref:
    """Return the ARN of the Secret that a handle names."""
    return Ref(f"secretsmanager_secret.{handle.partition('.')[2]}", "arn")
