"""Environments: which one is meant, and what its layer makes of the base."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator import manifest
from orchestrator.manifest import check, load, overlay, schema
from orchestrator.manifest.document import Document
from orchestrator.manifest.load import Layer
from orchestrator.planning import pipeline
from orchestrator.problems import Problems

BASE = Path(__file__).parent / "base"
HEAD = "apiVersion: orchestrator/v1\nkind: {kind}\nmetadata:\n  name: {name}\nspec:\n"


def checked(folder: Path, name: str | None = None, **layers: str) -> check.Manifest:
    """The base with one file an environment."""
    shutil.copytree(BASE, folder, dirs_exist_ok=True)
    (folder / "environments").mkdir(exist_ok=True)
    for layer, text in layers.items():
        (folder / "environments" / f"{layer}.yaml").write_text(text)
    return check.check(load.load(folder), name)


def schema_lists(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every list of a schema, by its dotted path."""
    for name, member in node.get("properties", {}).items():
        member_path = f"{path}.{name}" if path else name
        if member.get("type") == "array":
            yield member_path, member
            yield from schema_lists(member.get("items", {}), member_path)
        yield from schema_lists(member, member_path)


def layer(kind: str, name: str, spec: str) -> str:
    return HEAD.format(kind=kind, name=name) + spec


@pytest.mark.parametrize(
    ("layers", "said", "chosen"),
    [
        ({}, None, "prod"),
        ({}, "prod", "prod"),
        ({"prod": ""}, None, "prod"),
        ({"staging": ""}, "staging", "staging"),
        ({"staging": ""}, "prod", "prod"),
        ({"production": ""}, None, "production"),
        ({"prod": "", "staging": ""}, "staging", "staging"),
    ],
)
def test_which_is_meant(tmp_path: Path, layers: dict[str, str], said: str | None, chosen: str) -> None:
    """The one that is said, else the only one. Adding one takes none away: `prod` needs no file."""
    assert checked(tmp_path, said, **layers).environment == chosen


@pytest.mark.parametrize(
    ("layers", "said", "message"),
    [
        ({"staging": "", "test": ""}, None, "no environment selected\n.*one of: prod, staging, test"),
        ({"staging": ""}, None, "no environment selected\n.*-e NAME.*one of: prod, staging"),
        ({"prod": "", "staging": ""}, None, "no environment selected\n.*one of: prod, staging"),
        ({"production": ""}, "prod", "unknown environment `prod`\n.*available environments: production"),
        ({"prod": "", "staging": ""}, "stagin", "unknown environment `stagin`\n.*did you mean `staging`"),
        ({}, "staging", "unknown environment `staging`\n.*environments/staging.yaml \\(an empty file is valid\\)"),
        ({"prod": ""}, "Prod", "unknown environment `Prod`\n.*did you mean `prod`"),
        ({}, "x!", "invalid environment name `x!`\n.*use lower-case letters, digits and single hyphens"),
    ],
)
def test_when_none_is_meant(tmp_path: Path, layers: dict[str, str], said: str | None, message: str) -> None:
    """An environment is never guessed, and never made by a slip of the hand."""
    with pytest.raises(Problems, match=message):
        checked(tmp_path, said, **layers)


def test_names_are_listed(tmp_path: Path) -> None:
    """What has a file, sorted, and prod, which needs none."""
    for name in ("prod.yaml", "dev.yml", ".hidden.yaml", "notes.txt"):
        (tmp_path / "environments").mkdir(exist_ok=True)
        (tmp_path / "environments" / name).write_text("")

    assert overlay.list_names(tmp_path) == ("dev", "prod")
    assert overlay.list_names(tmp_path / "nowhere") == ("prod",)


def test_layers_are_merged(tmp_path: Path) -> None:
    """Mappings key by key, lists whole, null removes, and what is left unsaid stays."""
    text = layer("ContainerService", "api", "  access: [bucket.web]\n  secrets: null\n  instances: {max: 4}\n")
    found = checked(tmp_path, prod=text)
    spec = next(each for each in found.components if each.handle == "containerservice.api").spec

    assert spec["access"] == ["bucket.web"]
    assert spec["secrets"] == []
    assert spec["instances"]["max"] == 4
    assert spec["instances"]["min"] == 1
    assert spec["port"] == 8080


KEYED_LISTS = [
    (name, path, node)
    for name in schema.list_names()
    for path, node in schema_lists(schema.load(name))
    if "x-list-key" in node
]


@pytest.mark.parametrize(("name", "path", "node"), KEYED_LISTS, ids=[f"{one[0]}.{one[1]}" for one in KEYED_LISTS])
def test_a_list_of_objects_is_merged_by_its_key(name: str, path: str, node: dict[str, Any]) -> None:
    """Every list whose schema names a key: change one item, add one, remove one, replace all."""
    key, steps = node["x-list-key"][0], path.split(".")

    def document(items: list[Any]) -> Document:
        value: Any = items
        for step in reversed(steps):
            value = {step: value}
        value = {"apiVersion": "orchestrator/v1", "kind": schema.manifest_kind(name)} | value
        value["metadata"] = {"name": "one"} | value.get("metadata", {})
        return load.document_from_value(value, "f.yaml")

    def merged(overlay_items: list[Any]) -> Any:
        base = document([{key: "a", "x": 1, "y": 1}, {key: "b", "x": 1}])
        (declaration,) = overlay.merge((base,), Layer((document(overlay_items),)), [])
        value: Any = declaration.value
        for step in steps:
            value = value[step]
        return value

    assert merged([{key: "a", "x": 2}]) == [{key: "a", "x": 2, "y": 1}, {key: "b", "x": 1}]
    assert merged([{key: "c"}]) == [{key: "c"}, {key: "a", "x": 1, "y": 1}, {key: "b", "x": 1}]
    assert merged([{key: "a", "$patch": "delete"}]) == [{key: "b", "x": 1}]
    assert merged([{"$patch": "replace"}, {key: "b", "z": 1}]) == [{key: "b", "z": 1}]
    assert merged([{"x": 2}]) == [{"x": 2}]
    assert merged([{key: "gone", "$patch": "delete"}])[0]["$patch"] == "delete"


def test_every_list_of_objects_with_a_natural_key_names_it() -> None:
    """A list without a key is replaced as a whole: rules for origins and days, and queries, which have no name."""
    unkeyed = {
        f"{name}.{path}"
        for name in schema.list_names()
        if schema.manifest_kind(name)
        for path, node in schema_lists(schema.load(name))
        if "properties" in node.get("items", {}) and "x-list-key" not in node
    }
    rules = "bucket.spec.lifecycle.rules"
    assert unkeyed == {
        "bucket.spec.cors",
        f"{rules}.transitions",
        f"{rules}.oldVersionTransitions",
        "database.spec.fileReferences",
    }


def test_an_invalid_patch_is_a_problem_at_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A removal of what the base does not have, and a directive that nobody knows."""
    monkeypatch.chdir(tmp_path)
    for directive in ("delete", "remove"):
        text = layer("Cdn", "web", f"  paths:\n    - pattern: /gone/*\n      $patch: {directive}\n")
        with pytest.raises(Problems, match=r"m/environments/prod.yaml:8.*patch"):
            checked(Path("m"), prod=text)


def test_positions_follow_an_item_of_a_merged_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An item that is new is in the environment's file, another stays where the base has it."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(BASE, Path("m"))
    (Path("m") / "extra.yaml").write_text(
        layer("Cdn", "shop", "  origin: bucket.web\n  paths:\n    - pattern: /a/*\n    - pattern: /b/*\n")
    )
    text = layer("Cdn", "shop", "  paths:\n    - pattern: /b/*\n      compress: false\n    - pattern: /c/*\n")
    found = checked(Path("m"), prod=text)
    where = [str(found.where("cdn.shop", ("spec", "paths", index, "pattern"))) for index in range(3)]

    assert where == ["m/environments/prod.yaml:9:16", "m/extra.yaml:8:16", "m/environments/prod.yaml:7:16"]
    assert str(found.where("cdn.shop", ("spec", "paths", 2, "compress"))) == "m/environments/prod.yaml:8:17"


def test_the_difference_of_two_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each field with both values and where each comes from, and what only one of the two has."""
    monkeypatch.chdir(tmp_path)
    staging = layer("Database", "main", "  backups: {retentionDays: 3}\n") + "---\n"
    staging += layer("Bucket", "previews", "  name: shop-previews\n")
    prod, other = (checked(Path("m"), name, staging=staging) for name in ("prod", "staging"))

    lines = manifest.render_difference(prod, other).splitlines()
    assert lines[:3] == ["--- prod", "+++ staging", "  database.main"]
    assert "+   spec.backups.retentionDays: 3  # m/environments/staging.yaml:6" in lines
    assert any(line.startswith("-   spec.backups.retentionDays: ") for line in lines)
    assert "+ bucket.previews  # only in staging: m/environments/staging.yaml:8:1" in lines
    assert manifest.render_difference(prod, prod) == ""


def test_two_environments_never_share_a_name_in_aws(tmp_path: Path) -> None:
    """A name without the environment is a problem as soon as there is a second one, before anybody plans it."""
    checked(tmp_path / "m", "prod", staging="")
    with pytest.raises(Problems, match=r"has the same name in AWS in prod and staging.*\n.*\$\{project.environment\}"):
        pipeline.validate_all(tmp_path / "m")


def test_positions_follow_the_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says is looked up in its file, the rest in the base."""
    monkeypatch.chdir(tmp_path)
    found = checked(Path("m"), prod=layer("Database", "main", "  backups:\n    retentionDays: 14\n"))
    where = {
        path: str(found.where("database.main", ("spec", "backups", *path)))
        for path in ((), ("retentionDays",), ("window",), ("nothing",))
    }

    assert where == {
        (): "m/environments/prod.yaml:7:5",
        ("retentionDays",): "m/environments/prod.yaml:7:20",
        ("window",): "m/database.yaml:15:13",
        ("nothing",): "m/environments/prod.yaml:7:5",
    }


def test_an_environment_may_have_a_component_of_its_own(tmp_path: Path) -> None:
    """A complete document that the base does not know is a component of this environment only."""
    text = layer("Bucket", "previews", "  name: shop-previews\n")
    handles = {
        name: [c.handle for c in checked(tmp_path, name, prod="", test=text).components] for name in ("prod", "test")
    }

    assert "bucket.previews" in handles["test"]
    assert "bucket.previews" not in handles["prod"]


def test_a_broken_environment_does_not_break_the_others(tmp_path: Path) -> None:
    """Staging's typing error does not keep production from being planned."""
    assert checked(tmp_path, "prod", prod="", staging="a: [").environment == "prod"


def test_the_merged_result_is_a_manifest_again(tmp_path: Path) -> None:
    """What `render` prints means the same as what it was made of, and renders to itself."""
    spec = "  backups: {retentionDays: 14}\n  instanceClass: db.t4g.small\n"
    found = checked(tmp_path / "a", prod=layer("Database", "main", spec))
    text = manifest.render(found)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "all.yaml").write_text(text)
    again = check.check(load.load(tmp_path / "b"), None)

    assert [(c.handle, c.spec) for c in again.components] == [(c.handle, c.spec) for c in found.components]
    assert list(yaml.safe_load_all(manifest.render(again))) == list(yaml.safe_load_all(text))


def test_the_merged_result_says_who_said_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment names the environment's line, or the default; the base needs none."""
    monkeypatch.chdir(tmp_path)
    text = layer("Database", "main", "  instanceClass: db.t4g.small\n")
    lines = manifest.render(checked(Path("m"), prod=text)).splitlines()

    assert "  instanceClass: db.t4g.small  # m/environments/prod.yaml:6" in lines
    assert "  engine: postgres" in lines
    assert "  multiAz: false  # default" in lines
