"""What the release workflow publishes beside the wheel: the list of its parts, the moving tags and the notes.

The steps that are shell run here as they are in the workflow, in repositories of their own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import orchestrator

ROOT = Path(__file__).parent.parent
WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
PIN = re.compile(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def script(job: str, name: str) -> str:
    [found] = [step["run"] for step in WORKFLOW["jobs"][job]["steps"] if step.get("name") == name]
    return str(found)


def run(text: str, folder: Path, **environment: str) -> str:
    """Run a step's script as GitHub does, and return what it wrote into GITHUB_OUTPUT."""
    output = folder / "output"
    output.write_text("")
    values = {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "GITHUB_OUTPUT": str(output),
    }
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text],
        cwd=folder / "repository", env={**values, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return output.read_text()


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with its versions, its remote, and a `gh` that has nothing to set up."""
    folder = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "remote")], check=True)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    git(folder, "remote", "add", "origin", str(tmp_path / "remote"))
    for version in ("v1.2.9", "v1.2.10", "v1.9.0", "v1.10.0", "v2.0.0", "v1.3.0-rc1"):
        git(folder, "commit", "-q", "--allow-empty", "-m", version)
        git(folder, "tag", "-a", version, "-m", version)
    git(folder, "tag", "v1")
    git(folder, "push", "-q", "origin", "v1")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gh").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "gh").chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("tag", "moving"),
    [
        ("v1.2.10", "v1.2"),  # 1.10.0 is newer, so v1 stays there
        ("v1.2.9", ""),  # a fix of an older version moves nothing back
        ("v1.10.0", "v1 v1.10"),  # 10 comes after 9
        ("v2.0.0", "v2 v2.0"),
    ],
)
def test_only_the_newest_version_moves_a_tag(repository: Path, tag: str, moving: str) -> None:
    selected = run(script("tags", "Select the tags that must point to this version"), repository.parent, TAG=tag)

    assert selected == f"moving={moving}\n"
    run(script("tags", "Move the tags of the workflows and actions"), repository.parent, TAG=tag, MOVING=moving)
    remote = repository.parent / "remote"
    for name in moving.split():
        assert git(remote, "rev-parse", name) == git(repository, "rev-parse", f"{tag}^{{commit}}")


def test_the_notes_are_the_section_of_the_version(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    (folder / "dist").mkdir(parents=True)
    (folder / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n- later\n\n## [1.2.3] - 2026-12-01\n\n### Added\n\n- this\n\n"
        "## [1.2.2]\n\n- before\n"
    )
    run(script("build", "Write the release notes"), tmp_path, TAG="v1.2.3")

    assert (folder / "dist" / "notes.md").read_text().split() == ["###", "Added", "-", "this"]


@pytest.mark.slow
def test_the_list_of_parts_has_every_locked_package_with_its_hashes(tmp_path: Path) -> None:
    """CycloneDX's own validator accepts it."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    command = [
        "make",
        "--no-print-directory",
        "sbom",
        "DEV_READY=",
        f"BIN={Path(sys.executable).parent}",
        f"DIST={tmp_path}",
    ]
    subprocess.run(command, cwd=ROOT, check=True)
    text = (tmp_path / "gitops-orchestrator.cdx.json").read_text()
    document = json.loads(text)
    hashes = {
        f"{item['name']}=={item['version']}": {
            digest["content"] for reference in item["externalReferences"] for digest in reference["hashes"]
        }
        for item in document["components"]
    }
    locked: dict[str, set[str]] = {}
    for line in (ROOT / "requirements" / "core.lock").read_text().splitlines():
        if match := re.match(r"[\w.-]+==[^\s;]+", line):
            locked[match[0]] = package_hashes = set()
        elif match := re.search(r"sha256:([0-9a-f]{64})", line):
            package_hashes.add(match[1])

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert document["metadata"]["component"]["name"] == "gitops-orchestrator"
    assert document["metadata"]["component"]["version"] == orchestrator.__version__
    assert len(locked) > 25
    assert hashes == locked
    assert [path.name for path in tmp_path.iterdir()] == ["gitops-orchestrator.cdx.json"]


def test_every_action_is_pinned_by_version_and_hash() -> None:
    """In every workflow and action; `$/` is this repository at the commit of the workflow."""
    files = [*(ROOT / ".github").rglob("*.yml")]
    uses = [match for path in files for match in re.findall(r"^\s*(?:- )?uses: (.*)$", path.read_text(), re.MULTILINE)]
    external = [item for item in uses if not item.startswith(("$/", "./"))]

    assert len(external) > 30
    assert [item for item in external if not PIN.fullmatch(item)] == []


def test_the_packages_that_sign_and_list_go_before_the_release() -> None:
    """Nobody finds a release whose files are not all there."""
    assert set(WORKFLOW["jobs"]["tags"]["needs"]) == {"publish", "attest", "image"}
    steps = WORKFLOW["jobs"]["attest"]["steps"]
    assert [step["with"].get("sbom-path", "") for step in steps if "attest@" in step["uses"]] == [
        "",
        "artifacts/statements/gitops-orchestrator.cdx.json",
    ]
    build = script("image", "Build and push, with BuildKit's SBOM (SPDX) and provenance")
    assert "--sbom=true --provenance=mode=max" in build
