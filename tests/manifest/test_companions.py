"""What the proof of the examples rests on: every example is in it, with no more beside it than it takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.manifest import explain, schema
from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from tests.proofs import manifest_sets


@pytest.mark.parametrize("kind", manifest_sets.KIND_NAMES.values())
def test_no_example_is_overlooked(kind: str) -> None:
    """Whatever stands under `examples` anywhere in the schema file is in a document of some set, or would be built."""
    examples = [json.dumps(value) for part in objects(schema.load(kind.lower())) for value in part.get("examples", ())]
    shipped = {json.dumps(value) for value in built(kind)}
    left_out = shipped | set(set_by_people(kind))
    written = [
        text
        for text in examples
        if text not in left_out and not manifest_sets.needs_checkout(text) and '"external"' not in text
    ]
    shown = [
        example for found in manifest_sets.make_sets(kind) for group in found.examples.values() for example in group
    ]

    assert set(written) <= {json.dumps(example.value) for example in shown}
    assert len(shown) >= len(written)


def set_by_people(kind: str) -> Iterator[str]:
    """The examples of fields that need a value which somebody sets, or something that exists: sets have neither."""
    places = {place.replace("{}", "") for place in manifest_sets.NEEDS_VALUE}
    for found in explain.describe_fields(kind):
        place = f"{kind}.{found.path}"
        needs_more = (*manifest_sets.NEEDS_EXISTING, *manifest_sets.NEEDS_ENVIRONMENT)
        if place in places or place.startswith(needs_more):
            yield from (*found.examples, *map(json.dumps, found.examples))


def built(kind: str) -> Iterator[Any]:
    """The examples of the parts that take a checkout."""
    root = schema.load(kind.lower())
    for place in manifest_sets.NEEDS_BUILD:
        owner, *names = place.split(".")
        if owner == kind:
            part: Any = root
            for name in names:
                part = schema.resolve_ref(root, part["properties"][name])
            yield from (value for found in objects(part) for value in found.get("examples", ()))


def objects(part: Any) -> Iterator[dict[str, Any]]:
    """Every mapping inside of a schema, without those inside of examples."""
    if isinstance(part, dict):
        yield part
        for name, member in part.items():
            if name != "examples":
                yield from objects(member)
    elif isinstance(part, list):
        for member in part:
            yield from objects(member)


@pytest.mark.parametrize("entry", manifest_sets.load_companions())
def test_every_companion_is_needed(tmp_path: Path, entry: str) -> None:
    """Without it the examples it belongs to are refused, in a sentence: no entry outlives its reason."""
    kind = entry.split(".", maxsplit=1)[0].split(":", maxsplit=1)[0]
    folders = (
        found.write(tmp_path / str(number)) for number, found in enumerate(manifest_sets.make_sets(kind, without=entry))
    )

    assert manifest_sets.load_companions()[entry]["because"]
    assert any(is_refused(folder) for folder in folders)


def is_refused(folder: Path) -> bool:
    try:
        pipeline.load_desired(folder)
    except Problems:
        return True
    return False
