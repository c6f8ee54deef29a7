"""Environments: which one is meant, and what its layer makes of the base."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from orchestrator import manifest
from orchestrator.manifest import check, load, overlay
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


def layer(kind: str, name: str, spec: str) -> str:
    return HEAD.format(kind=kind, name=name) + spec


@pytest.mark.parametrize(
    ("layers", "said", "chosen"),
    [
        ({}, None, "prod"),
        ({}, "prod", "prod"),
        ({"prod": ""}, None, "prod"),
        ({"staging": ""}, None, "staging"),
        ({"prod": "", "staging": ""}, None, "prod"),
        ({"prod": "", "staging": ""}, "staging", "staging"),
    ],
)
def test_which_is_meant(tmp_path: Path, layers: dict[str, str], said: str | None, chosen: str) -> None:
    """The one that is said, else the only one, else prod."""
    assert checked(tmp_path, said, **layers).environment == chosen


@pytest.mark.parametrize(
    ("layers", "said", "message"),
    [
        ({"staging": "", "test": ""}, None, "no environment selected\n.*one of: staging, test"),
        ({"prod": "", "staging": ""}, "stagin", "unknown environment `stagin`\n.*did you mean `staging`"),
        ({}, "staging", "unknown environment `staging`\n.*environments/staging.yaml; it may be empty"),
        ({"prod": ""}, "Prod", "unknown environment `Prod`\n.*did you mean `prod`"),
        ({}, "x!", "invalid environment name `x!`\n.*use lower-case letters, digits and single hyphens"),
    ],
)
def test_when_none_is_meant(tmp_path: Path, layers: dict[str, str], said: str | None, message: str) -> None:
    """An environment is never guessed, and never made by a slip of the hand."""
    with pytest.raises(Problems, match=message):
        checked(tmp_path, said, **layers)


def test_names_are_listed(tmp_path: Path) -> None:
    """What has a file, sorted; nothing where there is no folder."""
    for name in ("prod.yaml", "dev.yml", ".hidden.yaml", "notes.txt"):
        (tmp_path / "environments").mkdir(exist_ok=True)
        (tmp_path / "environments" / name).write_text("")

    assert overlay.list_names(tmp_path) == ("dev", "prod")
    assert overlay.list_names(tmp_path / "nowhere") == ()


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
