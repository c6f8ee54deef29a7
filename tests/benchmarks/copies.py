"""The stack of manifests/ many times over: the same documents with other names.

The account's own things (project, budget) stay single, and App Runner's quota ends the copies of the service first.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

COPIES = 16
SERVICES = 9
"""AWS allows 10 scaling configurations and 10 VPC connectors in a region."""
MANY_ALARMS = 1000
"""Ten are free, and validation holds the stack to that."""
SINGLE = frozenset({"Project", "Budget"})
NAMED = ("name", "repository")


def write(source: Path, target: Path, copies: int = COPIES, services: int = SERVICES) -> None:
    """Write manifests like those of ``source``, ``copies`` times, into the new folder ``target``."""
    texts = [path.read_text() for path in sorted(source.glob("*.yaml"))]
    documents = [text for whole in texts for text in re.split(r"^---$", whole, flags=re.MULTILINE)]
    handles = [_handle(yaml.safe_load(text)) for text in documents]
    made = [
        _copy(text, handles, number)
        for text in documents
        for number in range(_times(yaml.safe_load(text)["kind"], copies, services))
    ]
    target.mkdir(parents=True)
    (target / "stack.yaml").write_text(yaml.safe_dump_all(made, sort_keys=False))
    environments = target / "environments"
    environments.mkdir()
    for overlay in (source / "environments").glob("*.yaml"):
        (environments / overlay.name).write_text(overlay.read_text())


def _times(kind: str, copies: int, services: int) -> int:
    if kind in SINGLE:
        return 1
    return services if kind == "ContainerService" else copies


def _handle(document: dict[str, Any]) -> str:
    return f"{document['kind'].lower()}.{document['metadata']['name']}"


def _copy(text: str, handles: list[str], number: int) -> dict[str, Any]:
    if number == 0:
        return _settled(yaml.safe_load(text), "")
    for handle in handles:
        if handle.partition(".")[0].capitalize() not in SINGLE:
            text = re.sub(rf"\b{re.escape(handle)}\b", f"{handle}-{number}", text)
    return _settled(yaml.safe_load(text), f"-{number}")


def _settled(document: dict[str, Any], suffix: str) -> dict[str, Any]:
    if document["kind"] == "Project":
        document["spec"]["alerts"]["maxAlarms"] = MANY_ALARMS
    document["metadata"]["name"] += suffix
    for holder in (document["spec"], document["spec"].get("image", {})):
        for key in NAMED:
            if document["kind"] not in SINGLE and key in holder:
                holder[key] += suffix
    return document
