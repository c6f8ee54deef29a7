"""The real workflow files, run by ``act`` on this machine: a runner, stand-ins for actions, and what came of it.

Stand-ins are made from the ``uses:`` lines, so a version that changes cannot leave one behind: an action without one
makes ``act`` fail.  What GitHub knows and this ``act`` does not is in ``NEWER``, and is replaced in a copy.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.github.fake_github import WRITE_TOKEN

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github" / "workflows"
TOOL_REPOSITORY = "orchestrator/orchestrator"
TOOL_COMMIT = "0123456789abcdef0123456789abcdef01234567"
"""The commit at which workflows of `orchestrator init` call the ones of this repository."""
ACT_PATH = Path(sys.executable).parent / "act"

UNSUPPORTED_SYNTAX = (
    (r"uses: \$/\.github/actions/", f"uses: {TOOL_REPOSITORY}/.github/actions/", "@here"),
    (r"\n +queue: max", "", ""),
    (r"\n +deployment: false.*", "", ""),
)
"""A pattern, what stands for it, and what is added at the end of its line."""

STUB_ACTIONS = {
    "actions/checkout": """
name: checkout
inputs: {ref: {default: ""}, path: {default: "."}, persist-credentials: {required: true}, fetch-depth: {default: "1"}}
runs:
  using: composite
  steps:
    - shell: bash
      env: {REF: "${{ inputs.ref }}", INTO: "${{ inputs.path }}"}
      run: |
        rm -rf "$INTO/.git" && git init -q "$INTO" && cd "$INTO"
        git fetch -q "$STAND_IN_GIT" "${REF:-$STAND_IN_SHA}" && git checkout -q -f FETCH_HEAD
""",
    "actions/setup-python": """
name: python
inputs: {python-version: {required: true}}
outputs: {python-version: {value: "3.12.0"}}
runs: {using: composite, steps: [{shell: bash, run: "true"}]}
""",
    "actions/setup-node": """
name: node
inputs: {node-version: {default: ""}, node-version-file: {default: ""}, package-manager-cache: {required: true}}
runs:
  using: composite
  steps:
    - shell: bash
      env: {VERSION: "${{ inputs.node-version }}", FILE: "${{ inputs.node-version-file }}"}
      run: test -n "$VERSION" || test -f "$FILE"
""",
    "actions/cache": """
name: cache
inputs: {path: {required: true}, key: {required: true}, restore-keys: {default: ""}}
runs:
  using: composite
  steps:
    - if: "!startsWith(inputs.key, 'orchestrator-node-')"
      shell: bash
      env: {INTO: "${{ inputs.path }}"}
      run: ln -sfn "$STAND_IN_VENV" "$INTO"
""",
    "actions/cache/restore": """
name: restore
inputs: {path: {required: true}, key: {required: true}, restore-keys: {default: ""}}
runs:
  using: composite
  steps:
    - shell: bash
      env: {INTO: "${{ inputs.path }}"}
      run: if [ -e "$STAND_IN_ARTIFACTS/../cached" ]; then cp "$STAND_IN_ARTIFACTS/../cached" "$INTO"; fi
""",
    "actions/cache/save": """
name: save
inputs: {path: {required: true}, key: {required: true}}
runs:
  using: composite
  steps:
    - shell: bash
      env: {FROM: "${{ inputs.path }}"}
      run: cp "$FROM" "$STAND_IN_ARTIFACTS/../cached"
""",
    "actions/upload-artifact": """
name: upload
inputs:
  name: {required: true}
  path: {required: true}
  retention-days: {default: "90"}
  include-hidden-files: {default: "false"}
  compression-level: {default: "6"}
  if-no-files-found: {default: warn}
runs:
  using: composite
  steps:
    - shell: bash
      env: {NAME: "${{ inputs.name }}", FROM: "${{ inputs.path }}"}
      run: |
        if [ -e "$FROM" ]; then mkdir -p "$STAND_IN_ARTIFACTS/$NAME"; cp -r "$FROM/." "$STAND_IN_ARTIFACTS/$NAME"; fi
""",
    "actions/download-artifact": """
name: download
inputs: {name: {default: ""}, pattern: {default: ""}, path: {required: true}}
runs:
  using: composite
  steps:
    - if: inputs.name
      shell: bash
      env: {NAME: "${{ inputs.name }}", INTO: "${{ inputs.path }}"}
      run: mkdir -p "$INTO" && cp -r "$STAND_IN_ARTIFACTS/$NAME/." "$INTO"
    - if: inputs.pattern
      shell: bash
      env: {PATTERN: "${{ inputs.pattern }}", INTO: "${{ inputs.path }}"}
      run: |
        mkdir -p "$INTO"
        for folder in "$STAND_IN_ARTIFACTS"/$PATTERN; do if [ -e "$folder" ]; then cp -r "$folder" "$INTO"; fi; done
""",
    "aws-actions/configure-aws-credentials": """
name: credentials
inputs:
  role-to-assume: {required: true}
  aws-region: {required: true}
  allowed-account-ids: {default: ""}
  mask-aws-account-id: {default: ""}
  role-duration-seconds: {default: ""}
runs:
  using: composite
  steps:
    - shell: bash
      env: {ROLE: "${{ inputs.role-to-assume }}", REGION: "${{ inputs.aws-region }}"}
      run: |
        asked="$ACTIONS_ID_TOKEN_REQUEST_URL&audience=sts.amazonaws.com"
        token=$(curl -sSf -H "Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" "$asked")
        [[ $token == *oidc.sts.amazonaws.com.token* ]]
        keys=(AWS_ACCESS_KEY_ID=assumed AWS_SECRET_ACCESS_KEY=assumed AWS_SESSION_TOKEN="$ROLE")
        printf '%s\\n' "${keys[@]}" AWS_REGION="$REGION" AWS_DEFAULT_REGION="$REGION" >> "$GITHUB_ENV"
""",
}


@dataclass
class WorkflowResult:
    """What one run of a workflow came to."""

    code: int
    log: str
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    steps: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


class Runner:
    """A machine that runs jobs: folders of its own, and where its GitHub and its AWS are."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.artifacts = folder / "artifacts"
        self.environment = dict(environment)
        for name in ("home", "temp", "artifacts"):
            (folder / name).mkdir(parents=True)
        self._stub_options = [option for action in list_used_actions() for option in self._stub_option(action)]

    def start(self, repository: Path, workflow: str, event: str, payload: Mapping[str, Any], **more: Any) -> Any:
        """Begin a run; the process."""
        path = self.folder / "event.json"
        path.write_text(json.dumps(payload))
        options = [
            option for name, value in more.get("inputs", {}).items() for option in ("--input", f"{name}={value}")
        ]
        options += [option for name, value in more.get("vars", {}).items() for option in ("--var", f"{name}={value}")]
        job_environment = {**self.environment, **more.get("environment", {})}
        options += [option for name, value in job_environment.items() for option in ("--env", f"{name}={value}")]
        options += ["-s", f"GITHUB_TOKEN={more.get('token', WRITE_TOKEN)}"]
        command = [
            str(ACT_PATH),
            event,
            "-W",
            str(self._choose_workflow(repository, workflow, job_environment.get("STAND_IN_SHA", "HEAD"))),
            "-e",
            str(path),
            "--json",
        ]
        command += ["-P", "ubuntu-latest=-self-hosted", "--no-skip-checkout", "--no-cache-server"]
        command += ["--defaultbranch", "main", *options]  # by the clock the payload names no repository
        home = self.folder / "home"
        command += ["--action-cache-path", str(home / "cache"), "--env-file", "/dev/null", *self._stub_options]
        environ = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(self.folder / "temp")}
        return subprocess.Popen(
            command,
            cwd=repository,
            env=environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(
        self, repository: Path, workflow: str, event: str, payload: Mapping[str, Any], **more: Any
    ) -> WorkflowResult:
        """Run a workflow to its end."""
        process = self.start(repository, workflow, event, payload, **more)
        output, _ = process.communicate(timeout=300)
        return parse_output(process.returncode, output)

    def _choose_workflow(self, repository: Path, workflow: str, commit: str) -> Path:
        """The workflow file; a copy whose `build` job succeeds at once if the commit has nothing to build.

        On a runner that job takes seconds to find nothing; `test_build_job` and the tests of sites let it run.
        """
        path = repository / ".github/workflows" / workflow
        command = ["git", f"--git-dir={self.environment['STAND_IN_GIT']}", "grep", "-q", "build:", commit]
        has_builds = subprocess.run([*command, "--", "manifests"], check=False, capture_output=True).returncode != 1
        content = yaml.safe_load(path.read_text())
        if has_builds or "build" not in content["jobs"]:
            return path
        content["on"] = content.pop(True)  # YAML 1.1 reads `on` as true
        content["jobs"]["build"] |= {"steps": [{"run": "true"}], "outputs": {}}
        copy = self.folder / "without-builds" / workflow
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(yaml.safe_dump(content, sort_keys=False))
        return copy

    def _stub_option(self, action: str) -> list[str]:
        """The option by which ``act`` takes a folder of ours for an action."""
        name, _, ref = action.partition("@")
        if name == TOOL_REPOSITORY:
            return ["--local-repository", f"{action}={self._copy_tool()}"]
        folder = self.folder / "actions" / name
        parts = {action: text for action, text in STUB_ACTIONS.items() if f"{action}/".startswith(f"{name}/")}
        for action, text in parts.items():  # an action may have more below it, such as cache/restore
            part = self.folder / "actions" / action
            part.mkdir(parents=True, exist_ok=True)
            (part / "action.yml").write_text(text.lstrip())
        return ["--local-repository", f"{name}@{ref}={folder}"]

    def _copy_tool(self) -> Path:
        """This repository without what a checkout would not have: ``act`` copies it for every run."""
        folder = self.folder / "tool"
        if folder.exists():
            return folder
        folder.mkdir()
        shutil.copytree(ROOT / ".github", folder / ".github")
        install_workflows(folder)
        for name in ("orchestrator", "requirements", "schemas"):
            (folder / name).symlink_to(ROOT / name)
        return folder


def kill_process_tree(process: subprocess.Popen[str]) -> None:
    """Kill a run with all that it started, as a machine that loses its power does."""
    members = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in members:
        with suppress(psutil.NoSuchProcess):
            member.kill()


def list_used_actions() -> list[str]:
    """``OWNER/NAME@REF`` of every action that the workflows of users or our own action use."""
    files = [path for path in WORKFLOWS.glob("*.yml") if path.stem != "release"]
    files = [*files, *(ROOT / ".github/actions").glob("*/action.yml")]
    pattern = r"uses: ([\w.-]+/[\w.-]+)(?:/[\w.-]+)*(@\w+)"
    actions = {"".join(found) for path in files for found in re.findall(pattern, path.read_text())}
    return [*sorted(actions), f"{TOOL_REPOSITORY}@here", f"{TOOL_REPOSITORY}@{TOOL_COMMIT}"]


def install_workflows(repository: Path) -> None:
    """Put the workflow files into a checkout, as this ``act`` reads them."""
    target = repository / ".github" / "workflows"
    target.mkdir(parents=True, exist_ok=True)
    for path in WORKFLOWS.glob("*.yml"):
        text = path.read_text()
        for pattern, replacement, suffix in UNSUPPORTED_SYNTAX:
            text = re.sub(f"({pattern})(.*)" if suffix else f"({pattern})()", rf"{replacement}\2{suffix}", text)
        yaml.safe_load(text)
        (target / path.name).write_text(text)


def parse_output(exit_code: int, output: str) -> WorkflowResult:
    """What ``act --json`` told, put together."""
    result = WorkflowResult(exit_code, "")
    lines = []
    for line in output.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            lines.append(line)
            continue
        match event.get("command"):
            case "set-output":
                result.outputs[event["name"]] = event["arg"]
            case "summary":
                result.summary += event["content"]
            case _:
                lines.append(str(event.get("msg", "")).rstrip("\n"))
        if "stepResult" in event:
            result.steps[str(event.get("step"))] = event["stepResult"]
        if event.get("stage") == "Main" and len(event.get("stepID", ())) == 1 and "executionTime" in event:
            result.seconds[str(event["step"])] = event["executionTime"] / 1e9
    result.log = "\n".join(lines)
    return result


def missing_requirement() -> str:
    """What is missing here for running workflows; empty when nothing is."""
    if not ACT_PATH.exists():
        return "needs act"
    return next((f"needs {tool}" for tool in ("git", "curl") if shutil.which(tool) is None), "")
