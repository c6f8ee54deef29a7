"""Run the two compared programs, orchestrator and Terraform: apply, plan and count resources."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.benchmarks.emulator_process import EmulatorProcess
from tests.benchmarks.process import Sample, measure

ROOT = Path(__file__).parents[2]
PEER_FOLDER = Path(__file__).parent / "peer"
ORCHESTRATOR_PATH = Path(sys.executable).with_name("orchestrator")
MIRROR_VARIABLE = "TF_PROVIDER_MIRROR"
CONFIG_VARIABLE = "TF_CLI_CONFIG_FILE"
PROVIDER_PATH = Path("registry.terraform.io/hashicorp/aws/5.100.0")
NEUTRAL_ENVIRONMENT = {
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "NO_COLOR": "1",
    "CHECKPOINT_DISABLE": "1",
    "TF_IN_AUTOMATION": "1",
}


class ToolError(Exception):
    """A measured program failed, so its numbers are meaningless."""


class ToolUnavailableError(Exception):
    """A tool cannot be measured on this machine; the message says why."""


def run_measured(
    aws: EmulatorProcess, command: list[str], cwd: Path, environment: Mapping[str, str] | None = None
) -> Sample:
    """Measure one command against ``aws``, and count its calls."""
    aws.forget_calls()
    sample = measure(command, cwd=cwd, environment={**NEUTRAL_ENVIRONMENT, **aws.environment, **(environment or {})})
    return replace(sample, calls=len(aws.calls()))


@dataclass(frozen=True, slots=True)
class Orchestrator:
    """The orchestrator, with a folder of manifests."""

    manifests: Path
    name: str = "orchestrator"

    def apply(self, aws: EmulatorProcess) -> Sample:
        return self._run(aws, "apply", "--auto-approve")

    def plan(self, aws: EmulatorProcess) -> Sample:
        return self._run(aws, "plan", "--detailed-exitcode")

    def count_resources(self, aws: EmulatorProcess) -> int:
        plan_sample = self._run(aws, "plan", "--format", "json")
        return len(json.loads(plan_sample.output[plan_sample.output.index("{") :])["changes"])

    def _run(self, aws: EmulatorProcess, verb: str, *options: str) -> Sample:
        return run_measured(aws, [str(ORCHESTRATOR_PATH), verb, "-f", str(self.manifests), *options], self.manifests)


@dataclass(frozen=True, slots=True)
class Terraform:
    """Terraform, in its own working folder, with its default parallelism; ``variables`` set the number of copies."""

    folder: Path
    configuration: str
    variables: tuple[str, ...] = ()
    name: str = "terraform"

    def apply(self, aws: EmulatorProcess, *options: str) -> Sample:
        return self._run(aws, "apply", "-auto-approve", *options)

    def plan(self, aws: EmulatorProcess) -> Sample:
        return self._run(aws, "plan", "-detailed-exitcode")

    def count_resources(self, aws: EmulatorProcess) -> int:
        command = ["terraform", "state", "list"]
        addresses = run_measured(aws, command, self.folder, {CONFIG_VARIABLE: self.configuration}).output.splitlines()
        return len([address for address in addresses if address and not address.startswith("data.")])

    def _run(self, aws: EmulatorProcess, verb: str, *options: str) -> Sample:
        command = ["terraform", verb, "-no-color", "-input=false", *options, *self.variables]
        return run_measured(aws, command, self.folder, {CONFIG_VARIABLE: self.configuration})


def prepare_terraform(folder: Path, variables: tuple[str, ...] = ()) -> Terraform:
    """Initialise Terraform with the configuration of ``peer/`` in ``folder``.

    Raises ToolUnavailableError if Terraform or its provider is missing.
    """
    if shutil.which("terraform") is None:
        raise ToolUnavailableError("terraform is not on PATH")
    folder.mkdir(parents=True, exist_ok=True)
    for file in PEER_FOLDER.glob("*.tf"):
        shutil.copy(file, folder)
    configuration = _find_configuration(folder)
    environment = {**os.environ, **NEUTRAL_ENVIRONMENT, CONFIG_VARIABLE: configuration}
    completed = subprocess.run(
        ["terraform", "init", "-no-color", "-input=false"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode:
        raise ToolUnavailableError(f"terraform init failed: {completed.stderr.strip().splitlines()[0]}")
    return Terraform(folder, configuration, variables)


def _find_configuration(folder: Path) -> str:
    """Return the path of a CLI configuration with a local provider mirror; nothing is downloaded."""
    mirror = os.environ.get(MIRROR_VARIABLE, "")
    if mirror and (Path(mirror) / PROVIDER_PATH).is_dir():
        config_file = folder / "terraform.rc"
        config_file.write_text(f'provider_installation {{\n  filesystem_mirror {{ path = "{mirror}" }}\n}}\n')
        return str(config_file)
    config_path = os.environ.get(CONFIG_VARIABLE, "")
    if config_path and Path(config_path).is_file():
        return config_path
    raise ToolUnavailableError(
        f"no provider for terraform: set {MIRROR_VARIABLE} to a folder that contains {PROVIDER_PATH}"
    )
