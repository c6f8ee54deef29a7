"""What becomes of a setting whose field is removed from its manifest: for every optional property of every schema.

A plan compares only what the manifests set.  So a field that is removed must leave its documented default in the
desired state, or its description says that the setting is left unchanged, and the plan names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from orchestrator import resources
from orchestrator.manifest import explain
from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.values import Value, WriteOnly
from orchestrator.vocabulary import Resource
from tests.proofs import manifest_sets
from tests.proofs.manifest_sets import Document, Example, ManifestSet

LEFT_AS_IT_IS = {
    "Bucket.spec.accessLog",
    "Bucket.spec.notifications",
    "Bucket.spec.tags",
    "Budget.spec.tags",
    "Cdn.spec.firewall",
    "Cdn.spec.geo",
    "Cdn.spec.logs",
    "Cdn.spec.tags",
    "Database.spec.availabilityZone",
    "Database.spec.caCertificate",
    "Database.spec.storage.kmsKey",
    "Project.spec.permissionsBoundary",
    "Project.spec.tags",
    "Project.spec.tags{}",
}
"""Fields whose description says that AWS keeps the setting."""
PARTS = {
    "Bucket.spec.encryption": "a bucket key means nothing with AES256",
    "Cdn.spec.paths": "an origin goes with the last path to it (test_cloudfront_distribution)",
    "Cdn.spec.paths[]": "as above",
    "Cdn.spec.paths[].origin": "as above",
    "Database.spec.storage.sizeGb": "storage never shrinks, so what a large one may do stays",
    "Database.spec.performanceInsights": "its retention goes with Performance Insights",
    "Database.spec.performanceInsights.enabled": "as above",
    "Database.spec.monitoring": "the role means nothing without an interval",
    "Database.spec.monitoring.role": "as above",
    "Project.spec.network.subnets": "where new things are made, no setting of AWS",
    "Database.spec.backups.drillEveryDays": "plans note it, no setting of AWS",
    "Secret.spec.data{}.generate.keepPrevious": "the key stays like any that no manifest names (`unknownKeys`)",
    "Secret.spec.unknownKeys": "part of the fingerprint",
}
"""Fields of which a part is missing afterwards, and why nothing is left behind."""


def examples() -> Iterator[Example]:
    """One example for each place of each schema's spec."""
    seen = set()
    for kind in manifest_sets.KIND_NAMES.values():
        for example in manifest_sets.iter_examples(kind):
            is_field = example.path[:1] == (("member", "spec"),) and len(example.path) > 1
            if is_field and example.path[-1][0] != "form" and (example.location, str(example.value)) not in seen:
                seen.add((example.location, str(example.value)))
                yield example


def without(manifest: Document, example: Example) -> Document:
    """The manifest without the example's field."""
    manifest = deepcopy(manifest)
    *parents, (step, name) = [part for part in example.path if part[0] != "form"]
    value: Any = manifest
    for parent_step, parent_name in parents:
        value = value[0] if parent_step == "item" else value[parent_name]
    del value[0 if step == "item" else name]
    return manifest


def expand(folder: Path, manifest: Document, kind: str) -> dict[str, Resource] | None:
    """The desired resources by address, or None if the manifest is not valid."""
    ManifestSet([manifest, *manifest_sets.companion_documents(kind)]).write(folder)
    try:
        return {resource.address: resource for resource in pipeline.load_desired(folder).resources}
    except Problems:
        return None


def leaves(value: Value, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all settings."""
    value = value.value if isinstance(value, WriteOnly) else value
    if isinstance(value, Mapping) and value:
        for key, member in value.items():
            yield from leaves(member, (*path, str(key)))
    else:
        yield path


def find_forgotten(before: Mapping[str, Resource], after: Mapping[str, Resource]) -> dict[str, list[str]]:
    """The settings that the desired state does not mention any more, by the address of a resource that stays."""
    forgotten: dict[str, list[str]] = {}
    for address in before.keys() & after.keys():
        normalise = resources.load(before[address].type).normalise
        if before[address].physical == after[address].physical:
            kept = set(leaves(normalise(after[address].spec)))
            gone = [path for path in leaves(normalise(before[address].spec)) if not _is_covered(path, kept)]
            forgotten |= {address: sorted(".".join(path) for path in gone)} if gone else {}
    return forgotten


def _is_covered(path: tuple[str, ...], kept: set[tuple[str, ...]]) -> bool:
    return path in kept or any(other == path[: len(other)] for other in kept)


@pytest.mark.parametrize("kind", manifest_sets.KIND_NAMES.values())
def test_a_removed_field_leaves_its_default_or_says_that_it_does_not(tmp_path: Path, kind: str) -> None:
    """Every optional property of the kind's schema: set it, remove it, and compare what is desired."""
    compared = 0
    forgotten: dict[str, dict[str, list[str]]] = {}
    for example in (item for item in examples() if item.kind == kind):
        manifest = manifest_sets.make_document(example, "x")
        before, after = expand(tmp_path, manifest, kind), expand(tmp_path, without(manifest, example), kind)
        if before is not None and after is not None:
            compared += 1
            if example.location not in LEFT_AS_IT_IS | PARTS.keys():
                forgotten |= {str(example): found for found in [find_forgotten(before, after)] if found}

    assert compared > 3
    assert forgotten == {}


@pytest.mark.parametrize("location", sorted(LEFT_AS_IT_IS))
def test_what_is_left_as_it_is_says_so(location: str) -> None:
    """`explain` tells it where people look."""
    assert "left unchanged" in " ".join(explain.explain(location.removesuffix("{}")).split())
