"""Read AWS's service authorization reference: on which types of resources an action is authorised.

``service_reference.json`` is generated (``python -m tests.bootstrap.service_authorization``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("service_reference.json")


def resource_types(action: str) -> tuple[str, ...]:
    """Return the types that an action is authorised on: the required ones, or else the optional ones; () if none."""
    return _load_types().get(action.lower(), ())


def wildcard_arns(action: str, account: str, region: str) -> list[str]:
    """Return the ARNs on which a request is authorised that names no resource."""
    templates = _load_templates()[action.partition(":")[0]] if resource_types(action) else {}
    arns = [
        templates[kind].replace("{account}", account).replace("{region}", region) for kind in resource_types(action)
    ]
    return arns or ["*"]


@cache
def _load() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    reference: Mapping[str, Mapping[str, Mapping[str, str]]] = json.loads(_FILE.read_text(encoding="utf-8"))
    return reference


@cache
def _load_types() -> Mapping[str, tuple[str, ...]]:
    return {
        f"{service}:{action}".lower(): tuple(types.split())
        for service, entry in _load().items()
        for types, actions in entry["actions"].items()
        for action in actions.split()
    }


@cache
def _load_templates() -> Mapping[str, Mapping[str, str]]:
    return {service: entry["resources"] for service, entry in _load().items()}
