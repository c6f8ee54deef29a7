"""The two programs that are compared: how each is told to apply and to plan, and how each counts its resources."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.benchmarks.emulated import Emulated
from tests.benchmarks.process import Sample, measure

ROOT = Path(__file__).parents[2]
PEER = Path(__file__).parent / "peer"
ORCHESTRATOR = Path(sys.executable).with_name("orchestrator")
MIRROR = "TF_PROVIDER_MIRROR"
CONFIGURATION = "TF_CLI_CONFIG_FILE"
PROVIDER = Path("registry.terraform.io/hashicorp/aws/5.100.0")
NEUTRAL = {
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "NO_COLOR": "1",
    "CHECKPOINT_DISABLE": "1",
    "TF_IN_AUTOMATION": "1",
}


class Failed(Exception):  # noqa: N818 - a sentence that ends the run
    """A tool or a program that did not do its work: its numbers would mean nothing."""


class Unfit(Exception):  # noqa: N818 - a sentence for the table, not an error of the program
    """A tool that cannot be measured here; says why."""


def run(aws: Emulated, command: list[str], cwd: Path, environment: Mapping[str, str] | None = None) -> Sample:
    """One measured command against ``aws``, with its calls counted."""
    aws.forget_calls()
    sample = measure(command, cwd=cwd, environment={**NEUTRAL, **aws.environment, **(environment or {})})
    return replace(sample, calls=len(aws.calls()))


@dataclass(frozen=True, slots=True)
class Orchestrator:
    """This program, on a folder of manifests."""

    manifests: Path
    name: str = "orchestrator"

    def apply(self, aws: Emulated) -> Sample:
        return self._run(aws, "apply", "--auto-approve")

    def plan(self, aws: Emulated) -> Sample:
        return self._run(aws, "plan", "--detailed-exitcode")

    def resources(self, aws: Emulated) -> int:
        shown = self._run(aws, "plan", "--format", "json")
        return len(json.loads(shown.output[shown.output.index("{") :])["changes"])

    def _run(self, aws: Emulated, verb: str, *options: str) -> Sample:
        return run(aws, [str(ORCHESTRATOR), verb, "-f", str(self.manifests), *options], self.manifests)


@dataclass(frozen=True, slots=True)
class Terraform:
    """terraform, in a working folder of its own; ``variables`` say how many copies.

    ``parallelism`` is terraform's default, as its users have it.
    """

    folder: Path
    configuration: str
    variables: tuple[str, ...] = ()
    name: str = "terraform"

    def apply(self, aws: Emulated, *options: str) -> Sample:
        return self._run(aws, "apply", "-auto-approve", *options)

    def plan(self, aws: Emulated) -> Sample:
        return self._run(aws, "plan", "-detailed-exitcode")

    def resources(self, aws: Emulated) -> int:
        command = ["terraform", "state", "list"]
        listed = run(aws, command, self.folder, {CONFIGURATION: self.configuration}).output.splitlines()
        return len([address for address in listed if address and not address.startswith("data.")])

    def _run(self, aws: Emulated, verb: str, *options: str) -> Sample:
        command = ["terraform", verb, "-no-color", "-input=false", *options, *self.variables]
        return run(aws, command, self.folder, {CONFIGURATION: self.configuration})


def terraform(workplace: Path, variables: tuple[str, ...] = ()) -> Terraform:
    """terraform with the peer's configuration, initialised in ``workplace``.

    Raises Unfit where terraform, or a place that has its provider, is missing.
    """
    if shutil.which("terraform") is None:
        raise Unfit("terraform is not on PATH")
    workplace.mkdir(parents=True, exist_ok=True)
    for file in PEER.glob("*.tf"):
        shutil.copy(file, workplace)
    configuration = _configuration(workplace)
    environment = {**os.environ, **NEUTRAL, CONFIGURATION: configuration}
    initialised = subprocess.run(
        ["terraform", "init", "-no-color", "-input=false"],
        cwd=workplace,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if initialised.returncode:
        raise Unfit(f"terraform init failed: {initialised.stderr.strip().splitlines()[0]}")
    return Terraform(workplace, configuration, variables)


def _configuration(workplace: Path) -> str:
    """A CLI configuration that finds the provider on this machine; nothing is downloaded."""
    mirror = os.environ.get(MIRROR, "")
    if mirror and (Path(mirror) / PROVIDER).is_dir():
        written = workplace / "terraform.rc"
        written.write_text(f'provider_installation {{\n  filesystem_mirror {{ path = "{mirror}" }}\n}}\n')
        return str(written)
    given = os.environ.get(CONFIGURATION, "")
    if given and Path(given).is_file():
        return given
    raise Unfit(f"no provider for terraform: {MIRROR} has to name a folder that holds {PROVIDER}")
