"""What an export holds is judged by those who take it over: Terraform, its AWS provider, and AWS's resource schemas."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from orchestrator import resources
from orchestrator.cli.main import main
from orchestrator.eject import cloudformation, owned_resources, terraform
from orchestrator.eject.owned_resources import OwnedResource
from orchestrator.eject.terraform_language import Block, render
from orchestrator.emulator import Emulator
from orchestrator.planning.snapshot import Snapshot
from orchestrator.problems import Position
from orchestrator.vocabulary import DesiredState, LiveResource, Resource
from tests.proofs import real_stack
from tests.resources import cases

pytestmark = pytest.mark.xdist_group("whole-stack")
PROVIDER = Path("registry.terraform.io/hashicorp/aws")
MIRRORS = ("~/.terraform.d/plugins", "/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins", "/opt/*")
"""Folders where machines keep the provider: Terraform's implied local mirrors, and those of images."""


@pytest.fixture(scope="module")
def export(whole_aws: Emulator, whole_stack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an export of the whole stack; it was written without a call that changes anything."""
    folder = tmp_path_factory.mktemp("export") / "ejected"
    whole_aws.clear_calls()

    with real_stack.aws_environment(whole_aws):
        assert main(["eject", "-f", str(whole_stack), "--to", str(folder)]) == 0
    assert {call.access for call in whole_aws.calls} == {"read"}
    return folder


def load(folder: Path, name: str) -> Any:
    return json.loads((folder / "cloudformation" / name).read_text())


def test_every_type_is_exported_or_has_a_reason() -> None:
    exported = set(resources.list_types()) - owned_resources.REASONS.keys()

    assert len(exported) > 20
    assert {kind for kind in exported if kind not in terraform.EXPORTED_TYPES} == set()
    assert {kind for kind in exported if kind not in cloudformation.EXPORTED_TYPES} == {"s3_bucket_cors"}


def test_the_stack_holds_every_type(export: Path) -> None:
    """Otherwise the tests below would pass for a type that nobody asked."""
    kinds = {item["Type"] for item in load(export, "template.json")["Resources"].values()}

    assert len(kinds) == len(cloudformation.EXPORTED_TYPES) + 1  # and log groups


def test_cloudformation_takes_the_template(export: Path) -> None:
    """cfn-lint: every property against AWS's resource provider schemas, required ones included."""
    from cfnlint.api import lint
    from cfnlint.config import ManualArgs

    template = (export / "cloudformation" / "template.json").read_text()
    matches = lint(template, config=ManualArgs(regions=["eu-west-1"], ignore_checks=["W"]))

    assert [f"{match.rule.id} {match.message} {match.path}" for match in matches] == []


def test_every_resource_is_named_by_its_primary_identifier(export: Path) -> None:
    """CreateChangeSet refuses another property, and a type without a handler that reads."""
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    resources_ = load(export, "template.json")["Resources"]
    imported = load(export, "resources-to-import.json")

    assert {item["LogicalResourceId"] for item in imported} == resources_.keys()
    for item in imported:
        schema: Any = PROVIDER_SCHEMA_MANAGER.get_resource_schema("eu-west-1", item["ResourceType"]).schema
        assert [f"/properties/{name}" for name in item["ResourceIdentifier"]] == schema["primaryIdentifier"]
        assert "read" in schema["handlers"]
        assert all(item["ResourceIdentifier"].values())
        assert resources_[item["LogicalResourceId"]]["DeletionPolicy"] == "Retain"


def test_terraform_imports_all_and_adds_and_destroys_nothing(export: Path, whole_aws: Emulator) -> None:
    """The real Terraform with the real provider; what it changes in place is its own: no tag, no setting of AWS."""
    folder = export / "terraform"
    leave_express_out(folder)
    environment = prepare_terraform(folder, whole_aws)
    formatted = run_terraform(folder, environment, "fmt", "-check", "-diff")
    planned = run_terraform(folder, environment, "plan", "-input=false", "-generate-config-out=generated.tf")

    assert formatted.stdout == ""
    assert planned.returncode == 0, planned.stdout + planned.stderr
    counts = re.search(r"Plan: (\d+) to import, (\d+) to add, (\d+) to change, (\d+) to destroy", planned.stdout)
    assert counts is not None, planned.stdout
    assert int(counts[1]) == (folder / "imports.tf").read_text().count("import {") > 40
    assert (counts[2], counts[4]) == ("0", "0")
    changed = re.findall(r"^\s+[~+-] (\w+)\s+= (?!\(known)", planned.stdout, re.MULTILINE)
    assert set(changed) <= TERRAFORM_ONLY | {"minimum_protocol_version"}, planned.stdout  # AWS tells it, moto does not


TERRAFORM_ONLY = {
    "apply_immediately", "final_snapshot_identifier", "force_overwrite_replica_secret", "publish",
    "recovery_window_in_days", "retain_on_delete", "skip_final_snapshot", "wait_for_deployment",
}  # fmt: skip
"""Arguments that are in Terraform's state and not in AWS (AWS provider's documentation)."""


def leave_express_out(folder: Path) -> None:
    """Remove the one type that a provider before 6.23 does not have; machines keep older ones."""
    imports, versions = folder / "imports.tf", folder / "versions.tf"
    blocks = imports.read_text().split("\n\n")
    kept = [block for block in blocks if "aws_ecs_express_gateway_service" not in block]
    assert len(kept) == len(blocks) - 1
    assert terraform.EXPRESS_PROVIDER_VERSION in versions.read_text()
    imports.write_text("\n\n".join(kept))
    versions.write_text(versions.read_text().replace(terraform.EXPRESS_PROVIDER_VERSION, terraform.PROVIDER_VERSION))


def prepare_terraform(folder: Path, emulator: Emulator) -> dict[str, str]:
    """Return the environment in which Terraform finds its provider on this machine, and the emulated AWS."""
    program = shutil.which("terraform")
    mirrors = [path for pattern in MIRRORS for path in Path("/").glob(str(Path(pattern).expanduser()).lstrip("/"))]
    mirror = next((path for path in mirrors if (path / PROVIDER).is_dir()), None)
    if program is None or mirror is None:
        pytest.skip("no Terraform with an AWS provider on this machine; neither is in a package registry")
    (folder / "terraform.rc").write_text(f'provider_installation {{\n  filesystem_mirror {{ path = "{mirror}" }}\n}}\n')
    (folder / "emulated_override.tf").write_text('provider "aws" {\n  s3_use_path_style = true\n}\n')
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "CHECKPOINT_DISABLE": "true",
        "TF_CLI_CONFIG_FILE": str(folder / "terraform.rc"),
        **emulator.environment,
    }
    initialised = run_terraform(folder, environment, "init", "-input=false")
    assert initialised.returncode == 0, initialised.stderr
    return environment


def run_terraform(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["terraform", arguments[0], "-no-color", *arguments[1:]]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100
    )


def test_no_file_holds_a_secret_and_each_says_what_stays(export: Path, whole_aws: Emulator) -> None:
    with real_stack.aws_environment(whole_aws):
        values = real_stack.clients().call("secretsmanager", "get_secret_value", {"SecretId": "joiabagur-prod"})
    secrets = [value for value in json.loads(values["SecretString"]).values() if len(value) >= 32]
    files = [path.read_text() for path in export.rglob("*") if path.suffix in {".tf", ".json", ".md"}]
    readme = (export / "README.md").read_text()

    assert len(secrets) >= 2
    assert len(files) >= 6
    assert [secret for secret in secrets for text in files if secret in text] == []
    assert "* `ec2_vpc.network`: an existing network that the environment uses" in readme
    assert "* `secretsmanager_value.app`: its values would be in Terraform's state" in readme


def test_what_others_own_is_left_out() -> None:
    scope = cases.SCOPE
    owner = {"ours": scope.owner, "theirs": "shop/staging", "nobodys": None}
    desired = [bucket(name) for name in owner]
    live = {f"s3_bucket.{name}": LiveResource({}, owner=mark) for name, mark in owner.items()}
    inventory = owned_resources.list_owned(Snapshot(scope.account, live), DesiredState(scope, tuple(desired)))

    assert [item.label for item in inventory.resources] == ["ours"]
    assert [(item.address, item.reason) for item in inventory.skipped] == [
        ("s3_bucket.nobodys", "does not have this environment's ownership mark"),
        ("s3_bucket.theirs", "belongs to shop/staging"),
    ]


def bucket(name: str) -> Resource:
    return Resource("s3_bucket", name, f"shop-{name}", {}, f"bucket.{name}", Position("shop.yaml"))


def test_a_folder_with_files_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "main.tf").write_text("mine")

    assert main(["eject", "-f", str(real_stack.MANIFESTS), "--to", str(tmp_path)]) == 1
    assert "is not an empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["main.tf"]


def test_a_confirmed_subscription_is_imported_and_an_unconfirmed_one_is_not() -> None:
    arn = "arn:aws:sns:eu-west-1:123456789012:alerts"
    subscriptions = {"a@shop.example": f"{arn}:1f9c", "b@shop.example": "PendingConfirmation"}
    topic = OwnedResource(
        "sns_topic", "alerts", "alerts", cases.SCOPE, LiveResource({}, {"arn": arn}, {"subscriptions": subscriptions})
    )

    assert [(item.type, item.id) for item in terraform.list_imports(topic)] == [
        ("aws_sns_topic", arn),
        ("aws_sns_topic_subscription", f"{arn}:1f9c"),
    ]


def test_text_that_looks_like_a_template_stays_text() -> None:
    text = render([Block("locals", (), {"greeting": 'say "${name}" %{if}', "missing": None})])

    assert text == 'locals {\n  greeting = "say \\"$${name}\\" %%{if}"\n}\n'
