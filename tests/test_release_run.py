"""The release workflow, whole, under act: what it builds and tests is real; what publishes and signs is recorded.

The stand-ins of the actions refuse what the real ones refuse: no subject, a missing file, a digest of nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from orchestrator import __version__
from tests.github import workflow_runner

ROOT = Path(__file__).parent.parent
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
TAG = f"v{__version__}"
IMAGE_DIGEST = f"sha256:{'5f' * 32}"
AUTHOR = ["-c", "user.name=ana", "-c", "user.email=ana@shop.example"]

pytestmark = [pytest.mark.slow, pytest.mark.real_parts, pytest.mark.timeout(900)]


def composite(inputs: str, script: str) -> str:
    """Return an action of one step; its script finds the input ``sbom-path`` in IN_SBOM_PATH."""
    names = inputs.split()
    step = {
        "shell": "bash",
        "env": {f"IN_{name.upper().replace('-', '_')}": f"${{{{ inputs.{name} }}}}" for name in names},
        "run": f"set -euo pipefail\n{script}",
    }
    action = {"name": "stand-in", "inputs": {name: {"default": ""} for name in names}}
    return yaml.safe_dump({**action, "runs": {"using": "composite", "steps": [step]}}, sort_keys=False)


CHECKOUT = 'git clone -q "$STAND_IN_GIT" . && git checkout -q "$GITHUB_SHA" && ln -sfn "$STAND_IN_VENV" .venv'
UPLOAD = """
mkdir -p "$STAND_IN_ARTIFACTS/$IN_NAME"
for pattern in $IN_PATH; do
  compgen -G "$pattern" > /dev/null || [ "$IN_IF_NO_FILES_FOUND" != error ]
  cp -r $pattern "$STAND_IN_ARTIFACTS/$IN_NAME/"
done
"""
DOWNLOAD = 'mkdir -p "$IN_PATH" && cp -r "$STAND_IN_ARTIFACTS/$IN_NAME/." "$IN_PATH"'
ATTEST = """
[ -n "$ACTIONS_ID_TOKEN_REQUEST_URL" ]
[ -z "$IN_SBOM_PATH" ] || grep --quiet '"bomFormat": *"CycloneDX"' "$IN_SBOM_PATH"
if [ -n "$IN_SUBJECT_PATH" ]; then
  sha256sum $IN_SUBJECT_PATH | sed "s|^|attest ${IN_SBOM_PATH:-provenance} |" >> "$STAND_IN_LOG"
else
  [[ $IN_SUBJECT_DIGEST == sha256:* ]]
  echo "attest image $IN_SUBJECT_NAME@$IN_SUBJECT_DIGEST" >> "$STAND_IN_LOG"
fi
"""
PUBLISH = """
[ -n "$ACTIONS_ID_TOKEN_REQUEST_URL" ] && [ "$IN_ATTESTATIONS" = true ]
sha256sum dist/* | sed 's/^/publish /' >> "$STAND_IN_LOG"
"""
STAND_INS = {
    "actions/checkout": composite("persist-credentials fetch-depth fetch-tags", CHECKOUT),
    "actions/setup-python": composite("python-version", "true"),
    "actions/upload-artifact": composite("name path if-no-files-found", UPLOAD),
    "actions/upload-pages-artifact": composite("path", 'cp -r "$IN_PATH" "$STAND_IN_ARTIFACTS/../pages"'),
    "actions/download-artifact": composite("name path", DOWNLOAD),
    "actions/attest": composite(
        "subject-path subject-name subject-digest sbom-path push-to-registry create-storage-record", ATTEST
    ),
    "pypa/gh-action-pypi-publish": composite("attestations", PUBLISH),
    "actions/deploy-pages": composite("token", 'echo "deploy pages" >> "$STAND_IN_LOG"'),
}
DOCKER = f"""#!/usr/bin/env bash
set -euo pipefail
echo "docker $*" >> "$STAND_IN_LOG"
if [ "$1" = login ]; then [ -n "$(cat)" ]; fi
while [ $# -gt 0 ]; do
  if [ "$1" = --metadata-file ]; then echo '{{"containerimage.digest": "{IMAGE_DIGEST}"}}' > "$2"; fi
  shift
done
"""
GH = """#!/usr/bin/env bash
set -euo pipefail
echo "gh $*" >> "$STAND_IN_LOG"
if [ "$1 $2" = "release create" ]; then
  for word in "$@"; do case $word in artifacts/*) test -s "$word" ;; esac; done
fi
"""


@dataclass(frozen=True)
class ReleaseRun:
    """What a run of the workflow for a tag has left: its steps, and what it asked the outside for, line by line."""

    result: workflow_runner.WorkflowResult
    requests: list[str]
    folder: Path

    def requested(self, begin: str) -> list[str]:
        return [line.removeprefix(begin).strip() for line in self.requests if line.startswith(begin)]


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *AUTHOR, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def copy_repository(folder: Path) -> Path:
    """A bare repository with this checkout as its only commit, tagged; the changelog has the version's section."""
    work, bare = folder / "work", folder / "bare.git"
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines():
        if (ROOT / name).is_file():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, work / name)
    changelog = (work / "CHANGELOG.md").read_text()
    (work / "CHANGELOG.md").write_text(changelog.replace("## [Unreleased]", f"## [{__version__}]", 1))
    git(work, "init", "-q", "-b", "main")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", f"Release {__version__}")
    git(work, "tag", "-a", TAG, "-m", TAG)
    git(folder, "clone", "-q", "--bare", str(work), str(bare))
    return work


def write_stand_ins(folder: Path) -> list[str]:
    """Return the options by which act takes the stand-ins for the actions."""
    options = []
    for action in set(re.findall(r"uses: ([\w./-]+@\w+)", WORKFLOW.read_text())):
        path = folder / "actions" / action.partition("@")[0]
        path.mkdir(parents=True, exist_ok=True)
        (path / "action.yml").write_text(STAND_INS[action.partition("@")[0]])
        options += ["--local-repository", f"{action}={path}"]
    for name, text in (("docker", DOCKER), ("gh", GH)):
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    return options


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> ReleaseRun:
    """A run for the tag of this version, in the repository Team/Orchestrator."""
    if missing := workflow_runner.missing_requirement():
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("release")
    work, options = copy_repository(folder), write_stand_ins(folder)
    for name in ("artifacts", "home", "temp"):
        (folder / name).mkdir()
    event = {"ref": f"refs/tags/{TAG}", "repository": {"full_name": "Team/Orchestrator"}}
    (folder / "event.json").write_text(json.dumps(event))
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    variables = {
        "PATH": path,
        "ACTIONS_ID_TOKEN_REQUEST_URL": "http://127.0.0.1:9/oidc",
        "GITHUB_REPOSITORY": "Team/Orchestrator",
        "STAND_IN_GIT": str(folder / "bare.git"),
        "STAND_IN_VENV": sys.prefix,
        "STAND_IN_ARTIFACTS": str(folder / "artifacts"),
        "STAND_IN_LOG": str(folder / "requests.log"),
    }
    options += [option for name, value in variables.items() for option in ("--env", f"{name}={value}")]
    options += ["-e", str(folder / "event.json"), "-s", "GITHUB_TOKEN=token", "-P", "ubuntu-latest=-self-hosted"]
    options += ["--action-cache-path", str(folder / "home" / "cache"), "--env-file", "/dev/null"]
    done = subprocess.run(
        [str(workflow_runner.ACT_PATH), "push", "-W", str(work / ".github" / "workflows" / "release.yml"), "--json",
         "--no-skip-checkout", "--no-cache-server", *options],
        cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=800,
        env={"PATH": path, "HOME": str(folder / "home"), "TMPDIR": str(folder / "temp")},
    )  # fmt: skip
    requests = (folder / "requests.log").read_text().splitlines()
    return ReleaseRun(workflow_runner.parse_output(done.returncode, done.stdout), requests, folder)


def test_what_was_tested_is_what_is_published_and_attested(release: ReleaseRun) -> None:
    """By its digest: the wheel and the sdist that the tests have installed, and nothing else."""
    files = sorted((release.folder / "artifacts" / "dist").iterdir())
    digests = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {{}}/{path.name}" for path in files]

    assert release.result.code == 0, release.result.log[-6000:]
    assert sorted(path.suffix for path in files) == [".gz", ".whl"]
    assert release.requested("publish") == [line.format("dist") for line in digests]
    assert release.requested("attest provenance") == [line.format("artifacts/dist") for line in digests]
    listing = "artifacts/statements/gitops-orchestrator.cdx.json"
    assert release.requested(f"attest {listing}") == [line.format("artifacts/dist") for line in digests]
    assert re.search(r"\d+ passed", release.result.log), "the tests of the artefacts ran"


def test_the_image_is_built_attested_and_tagged_by_its_digest(release: ReleaseRun) -> None:
    name = "ghcr.io/team/orchestrator"
    commands = release.requested("docker buildx")
    minor = TAG[1:].rpartition(".")[0]

    assert f"--tag {name}:{__version__}" in commands[1]
    assert release.requested("attest image") == [f"{name}@{IMAGE_DIGEST}"]
    assert commands[2:] == [
        f"imagetools create --tag {name}:{version} {name}@{IMAGE_DIGEST}"
        for version in (minor.partition(".")[0], minor)
    ]


def test_the_release_comes_last_with_every_file(release: ReleaseRun) -> None:
    """The tags of workflows move to the commit that was built; the release has the wheel, the sdist and their list."""
    bare = release.folder / "bare.git"
    minor = TAG.rpartition(".")[0]
    [created] = release.requested("gh release create")

    assert {git(bare, "rev-parse", name) for name in (minor, minor.partition(".")[0])} == {
        git(bare, "rev-parse", "main")
    }
    assert all(f"artifacts/dist/{path.name}" in created for path in (release.folder / "artifacts" / "dist").iterdir())
    assert "artifacts/statements/gitops-orchestrator.cdx.json" in created
    assert (release.folder / "artifacts" / "statements" / "notes.md").read_text().strip()
    assert (release.folder / "pages" / "index.html").is_file()
    assert "deploy pages" in release.requests
    assert release.requests.index(f"gh release create {created}") > max(
        position for position, line in enumerate(release.requests) if line.startswith(("publish", "attest"))
    )
