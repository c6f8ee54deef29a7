"""What `validate` accepts in a field, botocore's model of the API accepts in the parameter where the value ends.

For every text and number of every schema, values at the limits of the schema and with unusual characters are put into a
small valid manifest.  If it is valid, the calls that create its resources are held against lengths, ranges, patterns
and enumerations of the service models, which botocore itself does not check.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator import resources
from orchestrator.manifest import schema
from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.steps import ApiCall, iter_mutations, trace_steps
from orchestrator.values import Unknown, resolve
from orchestrator.vocabulary import DesiredState
from tests.manifest import model_constraints
from tests.proofs import manifest_sets
from tests.proofs.manifest_sets import Example

LENGTHS = (1, 2, 3, 32, 33, 40, 41, 63, 64, 100, 101, 128, 129, 255, 256, 257, 512, 513, 1024, 1025, 2048, 2049, 4097)
CHARACTERS = " \t\n%\"'<>*?|&é宝\\/:;,@#!$^(){}[]~`=+._-"
NUMBERS = (-1, 0, 0.5, 1, 10**6, 2**31 - 1, 2**31, 10**13)


def list_examples(kind: str) -> Iterator[Example]:
    """The values, and keys of maps, that are tried: of every part of a kind's spec that needs no checkout."""
    root, validator = schema.load(kind.lower()), schema.get_validator(kind.lower())
    left_out = (*manifest_sets.NEEDS_BUILD, *manifest_sets.NEEDS_VALUE, *manifest_sets.NEEDS_ENVIRONMENT)
    seen = set()
    for path, part in manifest_sets._iter_parts(root, root, ()):
        location = Example(kind, path, None).location
        if path[:1] != (("member", "spec"),) or location.startswith(left_out) or location in seen:
            continue
        if part.get("type") in ("string", "integer", "number"):
            seen.add(location)
            yield from (Example(kind, path, value) for value in list_accepted(part, validator))
        elif "propertyNames" in part and isinstance(part.get("additionalProperties"), dict):
            seen.add(location)
            keys, value = {"type": "string", **part["propertyNames"]}, next(iter(part["examples"][0].values()))
            yield from (Example(kind, (*path, ("value", key)), value) for key in list_accepted(keys, validator))


def list_accepted(part: schema.Schema, validator: Any) -> list[Any]:
    """What a part of a schema accepts."""
    of_part = validator.evolve(schema=part)
    values = dict.fromkeys(list_values(part))
    return select([value for value in values if of_part.is_valid(value) and "${" not in str(value)])


def list_values(part: schema.Schema) -> list[Any]:
    """The members of an enumeration; numbers at the limits; texts of many lengths and with unusual characters."""
    if "enum" in part:
        return list(part["enum"])
    if part["type"] != "string":
        return [part[key] for key in ("minimum", "maximum") if key in part] + list(NUMBERS)
    examples = [value for value in part.get("examples", ()) if "${" not in value]
    start = examples[0] if examples else ""
    texts = [character * length for length in LENGTHS for character in "aA0"]
    texts += [start + "a" * (length - len(start)) for length in LENGTHS if length > len(start)]
    bases = (start, "a", "ab")
    texts += [base[:1] + character + base[1:] for base in bases for character in CHARACTERS]
    return texts + [base + character for base in bases for character in (*CHARACTERS, "")]


def select(accepted: list[Any]) -> list[Any]:
    """The lowest and the highest; the shortest and the longest, and one for each character that no other has."""
    if not accepted:
        return []
    if not isinstance(accepted[0], str):
        return sorted({min(accepted), max(accepted), *(value for value in accepted if value % 1)})
    by_length = sorted(accepted, key=len)
    selected = {by_length[0]: None, by_length[-1]: None}
    characters: set[str] = set("".join(selected))
    for text in by_length:
        if set(text) - characters:
            characters |= set(text)
            selected[text] = None
    return list(selected)


def list_calls(desired: DesiredState, handle: str) -> Iterator[ApiCall]:
    """The calls that create the resources of a component."""
    for resource in desired.resources:
        if resource.component == handle and resource.type != "ec2_vpc":  # which is only read
            module = resources.load(resource.type)
            spec = module.normalise(resolve(resource.spec, lambda ref: Unknown(f"{ref.address}.{ref.output}")))
            with suppress(Problems):  # an id in the manifest is of what exists, and is not created
                steps = module.create(desired.scope, resource.physical, spec)
                yield from iter_mutations(trace_steps(resource.address, steps).steps)


@pytest.mark.parametrize("kind", manifest_sets.KIND_NAMES.values())
def test_what_is_valid_is_valid_for_the_service(kind: str, tmp_path: Path) -> None:
    """A value that the model refuses is refused by the schema or by the kind's check."""
    tried = 0
    refused_by_model: dict[str, list[str]] = {}
    for example in list_examples(kind):
        manifest = manifest_sets.make_document(example, "x")
        documents = [manifest, *manifest_sets.companion_documents(kind)]
        try:
            desired = pipeline.load_desired(manifest_sets.ManifestSet(documents).write(tmp_path))
        except Problems:
            continue
        tried += 1
        calls = list_calls(desired, manifest_sets.get_handle(manifest))
        violations = [violation for call in calls for violation in model_constraints.find_violations(call)]
        if violations:
            refused_by_model[f"{example.location}: {str(example.path[-1][1])[:60]!r} {str(example.value)[:60]!r}"] = (
                violations
            )

    assert tried >= 20
    assert refused_by_model == {}
