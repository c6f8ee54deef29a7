"""A site's packages: installed by the lock file that the repository has, as on a runner that has never seen it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.artefacts.build_process import BuildLog
from orchestrator.artefacts.sites import node_packages
from orchestrator.artefacts.sites.build_command import build_site, find_install_command
from orchestrator.problems import Position, Problems
from orchestrator.vocabulary import Component

LOCKS = Path(__file__).parent / "node_projects"
"""Lock files as each package manager wrote them, for one package in the repository itself (`file:`)."""
PACKAGE = {"name": "web", "version": "1.0.0", "private": True, "devDependencies": {"pages": "file:./vendor/pages"}}
DOCUMENTED = {
    "npm": ["npm", "ci"],  # docs.npmjs.com/cli/commands/npm-ci
    "pnpm": ["pnpm", "install", "--frozen-lockfile"],  # pnpm.io/cli/install
    "yarn": ["yarn", "install", "--frozen-lockfile"],  # classic.yarnpkg.com/en/docs/cli/install
    "berry": ["yarn", "install", "--immutable"],  # yarnpkg.com/cli/install
    "bun": ["bun", "install", "--frozen-lockfile"],  # bun.sh/docs/cli/install
}
"""What each package manager's documentation asks for in CI."""


def project(folder: Path, manager: str, **more: object) -> Path:
    """A project whose build is a program of one of its packages."""
    shutil.copytree(LOCKS / manager, folder, dirs_exist_ok=True)
    if (folder / "yarnrc.yml").exists():
        (folder / "yarnrc.yml").rename(folder / ".yarnrc.yml")
    shutil.copytree(LOCKS / "vendor", folder / "vendor")
    (folder / "package.json").write_text(json.dumps({**PACKAGE, "scripts": {"build": "pages"}, **more}))
    return folder


def site(folder: Path, program: str, **more: object) -> Component:
    spa = {"dir": "dist", "folder": ".", "build": [program, "run", "build"], "env": {}, **more}
    return Component("Bucket", "web", {"spa": spa}, Position(str(folder / "web.yaml")))


SLOW_IF_FETCHED = [pytest.param(name, marks=[pytest.mark.slow] * (name != "npm")) for name in DOCUMENTED]


@pytest.mark.parametrize("manager", SLOW_IF_FETCHED)
def test_a_fresh_checkout_is_built(manager: str, tmp_path: Path) -> None:
    """No node_modules, and of the package managers maybe only npm: really installed, really built, and once."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    folder, program = project(tmp_path, manager), DOCUMENTED[manager][0]
    if program != "npm" and shutil.which(program) is None and subprocess.run(["npm", "ping"], check=False).returncode:
        pytest.skip("needs the npm registry")
    web = site(folder, program)

    build_site(web, BuildLog("bucket.web"))

    assert (folder / "dist" / "index.html").read_text() == "built"
    found = node_packages.find_project(folder, folder)
    assert found is not None
    assert found.is_installed()
    os.utime(found.lock_file)
    assert not found.is_installed() or found.lock_file.stat().st_mtime == 0


@pytest.mark.parametrize("manager", DOCUMENTED)
def test_the_lock_file_is_obeyed(manager: str, tmp_path: Path) -> None:
    """With the command that the package manager's documentation has for CI."""
    command = find_install_command(site(project(tmp_path, manager), "npm"))

    assert command[-len(DOCUMENTED[manager]) :] == DOCUMENTED[manager]
    assert command == DOCUMENTED[manager] or command[:2] == ["npx", "--yes"]


def test_a_stale_lock_file_stops_the_deploy(tmp_path: Path) -> None:
    """A package that the lock file does not have: npm says so, and nothing is shipped."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    folder = project(tmp_path, "npm", dependencies={"left": "file:./vendor/left"})

    with pytest.raises(Problems, match=r"installing the packages of bucket.web failed[\s\S]*npm ci[\s\S]*nothing"):
        build_site(site(folder, "npm"), BuildLog("bucket.web"))
    assert not (folder / "dist").exists()


def test_the_lock_file_of_a_workspace_counts(tmp_path: Path) -> None:
    """It lies above the site; a lock file above a project that is no member says nothing about it."""
    member = tmp_path / "apps" / "web"
    member.mkdir(parents=True)
    (member / "package.json").write_text("{}")
    (tmp_path / "package-lock.json").write_text("{}")
    (tmp_path / "package.json").write_text("{}")
    assert node_packages.find_project(member, tmp_path) is None

    (tmp_path / "package.json").write_text('{"workspaces": ["apps/*"]}')
    found = node_packages.find_project(member, tmp_path)
    assert found is not None
    assert found.root == tmp_path
    assert node_packages.find_project(member, member) is None, "nothing above the repository is asked"


def test_the_version_is_the_one_that_the_project_names(tmp_path: Path) -> None:
    """`packageManager`, as Node's documentation has it; Yarn 1 refuses what later versions wrote."""
    folder = project(tmp_path, "berry", packageManager="yarn@4.9.2+sha512.abc")
    command = find_install_command(site(folder, "npm"))

    assert command == ["npx", "--yes", "--package=@yarnpkg/cli-dist@4.9.2", "--", "yarn", "install", "--immutable"]


def test_the_manifest_may_say_otherwise(tmp_path: Path) -> None:
    """A command of one's own, or none."""
    folder = project(tmp_path, "npm")

    assert find_install_command(site(folder, "npm", install=["make", "packages"])) == ["make", "packages"]
    assert find_install_command(site(folder, "npm", install=[])) == []
