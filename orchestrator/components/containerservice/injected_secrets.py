"""The secrets that the runtime puts into a service's environment: which, under which name, found where.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.components import Stack
from orchestrator.values import Ref, TemplateString, Value
from orchestrator.vocabulary import Component

KEY_PATTERN = re.compile(r"(secret\.[a-z][a-z0-9-]*)\[(.+)\]")


def secret_variables(component: Component, stack: Stack) -> dict[str, Value]:
    """Environment variable -> where the runtime reads it: the secret's ARN and the key, named without a colon."""
    secrets_spec = component.spec["secrets"]
    if isinstance(secrets_spec, Mapping):
        variable_sources = [(variable, *parse_key_reference(text)) for variable, text in secrets_spec.items()]
    else:
        variable_sources = [
            (to_variable_name(key), handle, key)
            for handle in secrets_spec
            for key in stack.components[handle].spec["data"]
        ]
    return {
        variable: TemplateString((secret_arn(handle), f":{to_variable_name(key)}::"))
        for variable, handle, key in variable_sources
    }


def fingerprint_variables(component: Component) -> dict[str, Value]:
    """A variable a secret, which changes with it: secrets are read only when a deployment starts."""
    secret_names = [handle.partition(".")[2] for handle in list_injected_secrets(component)]
    return {
        f"ORCHESTRATOR_{name.upper().replace('-', '_')}_FINGERPRINT": Ref(f"secretsmanager_value.{name}", "fingerprint")
        for name in secret_names
    }


def list_injected_secrets(component: Component) -> list[str]:
    """Handles of the secrets of which a service is given anything."""
    secrets_spec = component.spec["secrets"]
    handles = (
        [parse_key_reference(text)[0] for text in secrets_spec.values()]
        if isinstance(secrets_spec, Mapping)
        else secrets_spec
    )
    return list(dict.fromkeys(handles))


def parse_key_reference(text: str) -> tuple[str, str]:
    """``secret.app[Jwt:Key]`` as handle and key; the schema has seen to its form."""
    match = KEY_PATTERN.fullmatch(text)
    return (match[1], match[2]) if match else (text, "")


def to_variable_name(key: str) -> str:
    """A key as a variable's name, and as AWS can be asked for it: it takes a colon for a separator."""
    return key.replace(":", "__")


def secret_arn(handle: str) -> Ref:
    """The ARN of the Secret that a handle names."""
    return Ref(f"secretsmanager_secret.{handle.partition('.')[2]}", "arn")
