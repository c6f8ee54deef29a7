"""`explain` knows every field there is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.manifest import schema
from orchestrator.manifest.explain import explain
from orchestrator.problems import Problems


def fields(name: str) -> Iterator[str]:
    """Every path of a schema, as a user would write it."""

    def walk(part: Any, path: str) -> Iterator[str]:
        for form in schema.iter_forms(schema.load(name), part):
            for key, sub in form.get("properties", {}).items():
                yield f"{path}.{key}"
                yield from walk(sub, f"{path}.{key}")
            for nested in (form.get("items"), form.get("additionalProperties")):
                if isinstance(nested, dict):
                    yield from walk(nested, path)

    yield name
    yield from walk(schema.load(name), name)


@pytest.mark.parametrize("name", schema.list_names())
def test_every_field_has_a_page(name: str) -> None:
    """Each field of each schema can be asked for, and has a description."""
    silent = [path for path in fields(name) if "DESCRIPTION:" not in explain(path)]

    assert silent == []


def test_a_page() -> None:
    """Type, description, default, what is allowed, an example."""
    page = explain("containerservice.spec.instances.min")

    assert page.startswith("KIND:     ContainerService\nFIELD:    spec.instances.min <integer>\n")
    for title in ("DESCRIPTION", "DEFAULT", "ALLOWED", "EXAMPLE"):
        assert f"\n{title}:\n" in page
    assert "at least 1" in page


def test_fields_below() -> None:
    """A mapping lists its fields, with `recursive` all of them."""
    assert "\n  health <object>" in explain("containerservice.spec")
    assert "intervalSeconds" not in explain("containerservice.spec")
    assert "\n    intervalSeconds <integer>" in explain("containerservice.spec", recursive=True)


def test_lists_are_looked_into() -> None:
    """The fields of a list are those of its items."""
    assert "before" in explain("plan.changes.fields")
    assert explain("plan.changes[].fields") == explain("plan.changes.fields")


def test_nothing_asked_lists_everything() -> None:
    """Without a path: what there is."""
    contents = explain("")

    assert [kind for kind in (*schema.manifest_kinds(), "plan") if f"{kind}\n" not in contents] == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("bukcet", "unknown kind or schema `bukcet`\n.*did you mean `Bucket`"),
        ("containerservice.spec.instancs", "ContainerService.spec has no field `instancs`\n.*did you mean `instances`"),
        ("plan.changes.xyzzy", "plan.changes has no field `xyzzy`\n.*available fields: action, address"),
    ],
)
def test_what_is_not_there(path: str, message: str) -> None:
    """The field that was probably meant, or those there are."""
    with pytest.raises(Problems, match=message):
        explain(path)
