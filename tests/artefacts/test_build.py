"""A site's own build command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.artefacts.build_process import BuildLog
from orchestrator.artefacts.collect import collect_artefacts
from orchestrator.artefacts.sites.build_command import build_site, check_built
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
    build_site(found, BuildLog("bucket.web"))

    assert (tmp_path / "dist" / "index.html").read_text() == "production"
    assert list(collect_artefacts([found]).sites["bucket.web"].files) == ["index.html"]


def test_a_failed_build_shows_the_end_of_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(Problems) as failed:
        build_site(component(tmp_path, "print('no such module: vue'); raise SystemExit(3)"), BuildLog("x"))

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


@pytest.mark.parametrize("stale", [False, True])
def test_a_build_that_writes_elsewhere_fails_the_deploy_before_it_starts(tmp_path: Path, stale: bool) -> None:
    """Vite writes dist/, ``dir`` says build/: a deploy once built, shipped nothing and ended well.

    The folder that the build did write is named. Source: vite's `build.outDir`; create-react-app writes `build`.
    """
    found = component(tmp_path, WRITES, dir="build", env={"MODE": "x"})
    if stale:
        (tmp_path / "build").mkdir()
    with pytest.raises(Problems) as failed:
        build_site(found, BuildLog("x"))

    (problem,) = failed.value.problems
    assert problem.where == found.where
    assert ("contains no index.html" if stale else "does not exist") in problem.message
    assert "the build wrote index.html to dist" in str(problem.hint)


def test_a_site_that_was_not_built_is_not_skipped(tmp_path: Path) -> None:
    """`deploy --no-build` ships the files that exist; a plan may leave out those that do not, a deploy may not."""
    with pytest.raises(Problems, match="the site is not built"):
        check_built(component(tmp_path, WRITES))


@pytest.mark.parametrize("path", ["../outside", "/etc", "link", ".git"])
@pytest.mark.parametrize("field", ["dir", "folder", "context", "dockerfile"])
def test_paths_stay_in_the_repository(tmp_path: Path, field: str, path: str) -> None:
    """A pull request could otherwise publish files of the deploying machine; links count as what they point to."""
    repository = tmp_path / "repository"
    (tmp_path / "outside").mkdir()
    (repository / ".git").mkdir(parents=True)
    (repository / "link").symlink_to(tmp_path / "outside")
    spa: dict[str, object] = {"dir": ".", "folder": ".", "build": None, "env": {}}
    build: dict[str, object] = {
        "context": ".",
        "dockerfile": "Dockerfile",
        "args": {},
        "platform": "",
        "resolveBases": False,
        "sbom": False,
    }
    fields = spa if field in spa else build
    fields[field] = path
    if field == "folder":
        spa["build"] = ["true"]
    spec = {"spa": spa} if fields is spa else {"image": {"build": build}}
    found = Component("Bucket", "web", spec, Position(str(repository / "web.yaml")))
    with pytest.raises(Problems) as refused:
        build_site(found, BuildLog("x")) if field == "folder" else collect_artefacts([found])

    (problem,) = refused.value.problems
    assert problem.where == found.where
    assert f"`{field}: {path}` is " in problem.message


def test_paths_in_the_repository_may_go_up(tmp_path: Path) -> None:
    """A manifest folder beside the site, as every example has it."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "web").mkdir()
    (tmp_path / "manifests").mkdir()
    (tmp_path / "web" / "index.html").write_text("x")
    found = component(tmp_path / "manifests", "", dir="../web", build=None)

    assert list(collect_artefacts([found]).sites) == ["bucket.web"]
