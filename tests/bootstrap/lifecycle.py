"""The whole life of the full stack on the emulated AWS, recorded: which calls a plan and a deploy make in each stage.

Plans and deploys run as sessions of the roles that `bootstrap github` makes, and the emulated account refuses them what
the roles' policies do not allow.  The account holds things of others of every kind, so that a call about one of them is
recorded as well.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from orchestrator.emulator import Faults
from orchestrator.model_registry import publish_checks, registry
from orchestrator.model_registry.registry import Verdict
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.release import checkout, rollback
from orchestrator.release.deploy import Deployment
from orchestrator.release.ledger_entry import Origin
from orchestrator.storage.s3 import S3FileStorage
from orchestrator.vocabulary import DesiredState
from tests import performed_calls
from tests.bootstrap import full_stack, role_sessions
from tests.bootstrap.iam_requests import Environment
from tests.bootstrap.policy_evaluator import Request
from tests.bootstrap.recording_clients import RecordingClients
from tests.proofs import real_stack
from tests.storage.test_model_registry import version

RUNTIMES = ("app-runner", "ecs-express")
ENVIRONMENT = Environment("shop", "prod", keys=full_stack.KEYS)


@dataclass(frozen=True)
class Stage:
    """One stage: the manifests for which the roles were made, and what the roles asked."""

    name: str
    desired: DesiredState
    plan: RecordingClients = field(default_factory=RecordingClients)
    deploy: RecordingClients = field(default_factory=RecordingClients)

    def requests(self, role: str) -> list[Request]:
        recorded = self.plan if role == "plan" else self.deploy
        return list(ENVIRONMENT.iter_requests(recorded.calls))


@cache
def record(runtime: str) -> tuple[Stage, ...]:
    """Record the life of the stack in one runtime, once a process."""
    faults = Faults(enforce_policies=True)
    with tempfile.TemporaryDirectory() as folder, real_stack.emulated_aws(faults=faults):
        return tuple(_live(Path(folder), runtime))


def _live(folder: Path, runtime: str) -> Iterator[Stage]:
    _make_things_of_others()
    full_stack.write_first(folder, runtime)
    _build_site(folder, "one")
    yield _deploy("first deploy", folder)
    yield _deploy("nothing to do", folder)
    full_stack.write_second(folder, runtime)
    _build_site(folder, "two")
    _publish_model(folder / "models", "m1")
    yield _deploy("everything updated", folder)
    _publish_model(folder / "models", "m2")
    yield _deploy("another model", folder)
    yield _roll_back("rollback of the model", folder, 2)
    yield _roll_back("rollback of everything", folder, 1)
    full_stack.write_second(folder, runtime, f"network: {{subnets: [{', '.join(_default_subnets()[:2])}]}}")
    yield _apply("other subnets", folder)
    call = real_stack.clients().call
    call("s3", "create_multipart_upload", {"Bucket": "shop-web", "Key": "unfinished"})
    everything = pipeline.load_desired(folder, "prod", include_artefacts=False)
    full_stack.write_without(folder, runtime, "cdn", "budget", "secret", "databases", runtime, "web")
    yield _deploy("components removed", folder, everything)
    yield _destroy("destroy", folder, everything)


def _start_stage(name: str, desired: DesiredState) -> Stage:
    """Make the roles for the manifests of a stage, and clients that act as them."""
    role_sessions.make_roles(desired)
    stage = Stage(name, desired)
    for role, clients in (("plan", stage.plan), ("deploy", stage.deploy)):
        with role_sessions.session(desired, role):
            clients.call("sts", "get_caller_identity", {})
    return stage


def _deploy(name: str, folder: Path, desired: DesiredState | None = None) -> Stage:
    stage = _start_stage(name, desired or pipeline.load_desired(folder, "prod", include_artefacts=False))
    pipeline.plan(checkout.load(folder, "prod", stage.plan).desired, clients=stage.plan)
    candidate = checkout.load(folder, "prod", stage.deploy)
    planned = pipeline.plan(candidate.desired, clients=stage.deploy)
    if planned.plan.is_vetoed:
        planned = pipeline.plan(candidate.desired, clients=stage.deploy, allow=planned.plan.token)
    assert not planned.plan.is_vetoed, [veto.name for veto in planned.plan.vetoes]
    result = _deployment(folder, stage.deploy).deploy(planned, candidate, lambda cause: None)
    assert result.status in {"released", "unchanged"}, (name, result.status)
    return stage


def _apply(name: str, folder: Path) -> Stage:
    stage = _start_stage(name, pipeline.load_desired(folder, "prod", include_artefacts=False))
    planned = pipeline.plan(checkout.load(folder, "prod", stage.deploy).desired, clients=stage.deploy)
    assert real_stack.list_failures(performed_calls.apply(planned, ignore_event, clients=stage.deploy)) == []
    return stage


def _roll_back(name: str, folder: Path, number: int) -> Stage:
    stage = _start_stage(name, pipeline.load_desired(folder, "prod", include_artefacts=False))
    store = checkout.require_store(pipeline.validate(folder, "prod"), stage.deploy)
    ledger = store.read()
    target = rollback.prepare(ledger, rollback.choose_release(ledger, number), (), store)
    planned = pipeline.plan(target.candidate.desired, clients=stage.deploy)
    if planned.plan.is_vetoed:
        planned = pipeline.plan(target.candidate.desired, clients=stage.deploy, allow=planned.plan.token)
    result = _deployment(folder, stage.deploy).rollback(planned, target, "", lambda cause: None)
    assert result.status in {"rolled back", "released"}, (name, result.status)
    return stage


def _destroy(name: str, folder: Path, desired: DesiredState) -> Stage:
    stage = _start_stage(name, desired)
    now = pipeline.load_desired(folder, "prod", include_artefacts=False)
    token = pipeline.plan(now, clients=stage.deploy, destroying=True).plan.token
    planned = pipeline.plan(now, clients=stage.deploy, destroying=True, allow=token)
    assert real_stack.list_failures(performed_calls.apply(planned, ignore_event, clients=stage.deploy)) == []
    return stage


def _deployment(folder: Path, clients: RecordingClients) -> Deployment:
    store = checkout.require_store(pipeline.validate(folder, "prod"), clients)
    return Deployment(store, Origin("ana", "c0ffee"), clients, ignore_event, prober=lambda *_: ())


def _build_site(folder: Path, text: str) -> None:
    site = folder / "dist"
    site.mkdir(exist_ok=True)
    for old in site.iterdir():
        old.unlink()
    (site / "index.html").write_text(f"<script src=app-{text}.js>")
    (site / f"app-{text}.js").write_text(text)


def _publish_model(folder: Path, name: str) -> None:
    folder.mkdir(exist_ok=True)
    storage = S3FileStorage(real_stack.clients(), "shop-files")
    before = registry.read_pointer(storage)
    described = replace(version(folder / name, name), verdict=Verdict("same", before.version if before else ""))
    registry.publish(
        storage, folder / name, publish_checks.check_publishable(described, before, "", validate_command=""), before
    )


def _default_subnets() -> list[str]:
    response = real_stack.clients().call("ec2", "describe_subnets", {})
    return sorted(subnet["SubnetId"] for subnet in response["Subnets"])


def _make_things_of_others() -> None:
    call = real_stack.clients().call
    for bucket in ("shop-access-logs", full_stack.LOG_BUCKET, "payroll"):
        location: Mapping[str, Any] = {"LocationConstraint": "eu-west-1"}
        call("s3", "create_bucket", {"Bucket": bucket, "CreateBucketConfiguration": location})
    call("ecr", "create_repository", {"repositoryName": "other"})
    call("sns", "create_topic", {"Name": "other"})
    call("secretsmanager", "create_secret", {"Name": "other", "SecretString": "x"})
    image = {"ImageIdentifier": "public.ecr.aws/other/app:1", "ImageRepositoryType": "ECR_PUBLIC"}
    source = {"ImageRepository": image, "AutoDeploymentsEnabled": False}
    call("apprunner", "create_service", {"ServiceName": "other", "SourceConfiguration": source})
    vpc = call("ec2", "describe_vpcs", {})["Vpcs"][0]["VpcId"]
    call("ec2", "create_security_group", {"GroupName": "other", "Description": "other", "VpcId": vpc})
