"""Write a large stack: many copies of the documents in manifests/ under different names.

Project and budget stay single, and App Runner's quota limits the copies of the service.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

COPY_COUNT = 16
SERVICE_COUNT = 9
"""AWS allows 10 scaling configurations and 10 VPC connectors per region."""
MAX_ALARMS = 1000
"""Validation limits a stack to the ten free alarms by default."""
SINGLE_KINDS = frozenset({"Project", "Budget"})
NAME_KEYS = ("name", "repository")


def write_copies(source: Path, target: Path, copies: int = COPY_COUNT, services: int = SERVICE_COUNT) -> None:
    """Write ``copies`` copies of the manifests in ``source`` into the new folder ``target``."""
    texts = [path.read_text() for path in sorted(source.glob("*.yaml"))]
    documents = [text for stream in texts for text in re.split(r"^---$", stream, flags=re.MULTILINE)]
    handles = [_get_handle(yaml.safe_load(text)) for text in documents]
    copied = [
        _copy(text, handles, number)
        for text in documents
        for number in range(_count_copies(yaml.safe_load(text)["kind"], copies, services))
    ]
    target.mkdir(parents=True)
    (target / "stack.yaml").write_text(yaml.safe_dump_all(copied, sort_keys=False))
    environments = target / "environments"
    environments.mkdir()
    for overlay in (source / "environments").glob("*.yaml"):
        (environments / overlay.name).write_text(overlay.read_text())


def _count_copies(kind: str, copies: int, services: int) -> int:
    if kind in SINGLE_KINDS:
        return 1
    return services if kind == "ContainerService" else copies


def _get_handle(document: dict[str, Any]) -> str:
    return f"{document['kind'].lower()}.{document['metadata']['name']}"


def _copy(text: str, handles: list[str], number: int) -> dict[str, Any]:
    if number == 0:
        return _add_suffix(yaml.safe_load(text), "")
    for handle in handles:
        if handle.partition(".")[0].capitalize() not in SINGLE_KINDS:
            text = re.sub(rf"\b{re.escape(handle)}\b", f"{handle}-{number}", text)
    return _add_suffix(yaml.safe_load(text), f"-{number}")


def _add_suffix(document: dict[str, Any], suffix: str) -> dict[str, Any]:
    if document["kind"] == "Project":
        document["spec"]["alerts"]["maxAlarms"] = MAX_ALARMS
    document["metadata"]["name"] += suffix
    for section in (document["spec"], document["spec"].get("image", {})):
        for key in NAME_KEYS:
            if document["kind"] not in SINGLE_KINDS and key in section:
                section[key] += suffix
    return document
