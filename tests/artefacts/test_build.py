"""A site's own build command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.artefacts.collect import collect_artefacts
from orchestrator.artefacts.sites.build_command import build_site
from orchestrator.problems import Position, Problems
from orchestrator.vocabulary import Component


def component(folder: Path, script: str, **more: object) -> Component:
    """A bucket whose site is built by a Python script."""
    spa = {"dir": "dist", "folder": ".", "build": [sys.executable, "-c", script], "env": {}, **more}
    return Component("Bucket", "web", {"spa": spa}, Position(str(folder / "web.yaml")))


WRITES = (
    "import os, pathlib; pathlib.Path('dist').mkdir(); pathlib.Path('dist/index.html').write_text(os.environ['MODE'])"
)


def test_it_runs_beside_the_manifest_with_its_variables(tmp_path: Path) -> None:
    found = component(tmp_path, WRITES, env={"MODE": "production"})
    build_site(found)

    assert (tmp_path / "dist" / "index.html").read_text() == "production"
    assert list(collect_artefacts([found]).sites["bucket.web"].files) == ["index.html"]


def test_a_failed_build_shows_the_end_of_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(Problems) as failed:
        build_site(component(tmp_path, "print('no such module: vue'); raise SystemExit(3)"))

    (problem,) = failed.value.problems
    assert "the build of bucket.web failed" in problem.message
    assert "exited with status 3" in problem.message
    assert "no such module: vue" in problem.message
    assert str(tmp_path) in str(problem.hint)


def test_looking_never_builds(tmp_path: Path) -> None:
    """A site that is not built is left as it is, and the plan says so."""
    found = collect_artefacts([component(tmp_path, WRITES)])

    assert found.sites == {}
    assert list(tmp_path.iterdir()) == []
    (note,) = found.notes
    assert note.startswith("bucket.web: the site is not built (dist does not exist)")


def test_a_site_that_nobody_builds_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(Problems, match=r"the folder .*dist does not exist"):
        collect_artefacts([component(tmp_path, WRITES, build=None)])
