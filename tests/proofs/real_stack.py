"""Plan and apply the real stack on an emulated AWS, and inspect the result.

Independent of the product's internals: it plans and applies through ``pipeline``, and inspects AWS with its own list
calls.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.aws import Clients, Reader
from orchestrator.aws.clients import MAX_ATTEMPTS
from orchestrator.emulator import Emulator, Faults, start
from orchestrator.emulator.faults import Rule
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.planning.plan import PreparedPlan
from orchestrator.values import to_plain
from orchestrator.vocabulary import DesiredState, Outcome, Plan
from tests import performed_calls

MANIFESTS = Path(__file__).parents[2] / "manifests"
REGION = "eu-west-1"
ACCOUNT = "123456789012"
BACKENDS = ("moto", "ministack")

READ_ONLY_FAULTS = Faults(deny_writes=True, denied=("secretsmanager:GetSecretValue",))
"""The permissions of the plan role: reads, except secrets."""

Edit = Callable[[Path], None]


def unreliable_faults(failure_rate: float, seed: int) -> Faults:
    """Return faults that fail ``failure_rate`` of all calls: two thirds throttled, one third HTTP 503."""
    throttle_rate = failure_rate * 2 / 3
    error_rate = (failure_rate - throttle_rate) / (1 - throttle_rate)
    return Faults(
        seed, rules=(Rule("throttle", probability=throttle_rate), Rule("error", probability=error_rate, status=503))
    )


def lost_response_faults(failure_rate: float, seed: int) -> Faults:
    """Return faults that execute ``failure_rate`` of all writes but lose the response."""
    return Faults(seed, rules=(Rule("reset_after", access="write", probability=failure_rate),))


_IDLE_EMULATORS: dict[tuple[str, float], list[Emulator]] = defaultdict(list)
_RUNNING_EMULATORS = ExitStack()
atexit.register(_RUNNING_EMULATORS.close)


@contextmanager
def emulated_aws(
    backend: str = "moto", *, faults: Faults | None = None, settle_seconds: float = 0.0
) -> Iterator[Emulator]:
    """Provide an empty emulated account, and environment variables that point every client to it.

    The emulator keeps running and is reset for the next user in this process: starting one and creating its clients
    takes longer than most tests.
    """
    idle_emulators = _IDLE_EMULATORS[backend, settle_seconds]
    emulator = (
        idle_emulators.pop()
        if idle_emulators
        else _RUNNING_EMULATORS.enter_context(_start_emulator(backend, settle_seconds))
    )
    emulator.faults = faults or Faults()
    with aws_environment(emulator):
        yield emulator
    emulator.revive()
    emulator.faults = Faults()
    emulator.reset()
    emulator.clear_calls()
    idle_emulators.append(emulator)


@contextmanager
def aws_environment(emulator: Emulator) -> Iterator[Emulator]:
    """Set environment variables that point every client to the emulator."""
    previous_environment = dict(os.environ)
    os.environ.update(emulator.environment)
    try:
        yield emulator
    finally:
        os.environ.clear()
        os.environ.update(previous_environment)


def _start_emulator(backend: str, settle_seconds: float) -> Emulator:
    return start(backend=backend, settle_seconds=settle_seconds)  # type: ignore[arg-type]


def load_stack(folder: Path, *edits: Edit) -> DesiredState:
    """Copy the real manifests to ``folder``, edit them, and load the desired state."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(MANIFESTS, folder)
    for edit in edits:
        edit(folder)
    return pipeline.load_desired(folder, "prod")


def replace_text(file: str, *pairs: tuple[str, str]) -> Edit:
    """Return an edit that replaces text in one manifest; it fails if the text is missing."""

    def edit(folder: Path) -> None:
        path = folder / file
        text = path.read_text()
        for old, new in pairs:
            assert old in text, f"{file} has no {old!r}"
            text = text.replace(old, new)
        path.write_text(text)

    return edit


def remove_files(*files: str) -> Edit:
    """Return an edit that deletes manifests."""

    def edit(folder: Path) -> None:
        for file in files:
            (folder / file).unlink()

    return edit


EXHAUSTIVE = "ALL_PROOFS"
"""Environment variable: `true` kills at every moment and runs each proof on both emulators, as `make proofs` does.

Otherwise a sample of the moments is tried, and MiniStack runs the proofs of ``ON_BOTH`` only: the whole suite has to
end within 20 minutes on two processors.
"""
ON_BOTH = ("crash_anywhere", "faults", "generated", "no_state", "plan_writes_nothing", "whole_stack", "destroy_leaves")
"""Parts of the names of proofs that run on both emulators every time."""


def is_exhaustive() -> bool:
    """Return whether every proof runs on both emulators, and a run is killed at every moment."""
    return os.environ.get(EXHAUSTIVE) == "true"


@cache
def _cached_clients(_endpoint: str, _region: str, attempts: int) -> Clients:
    return Clients(REGION, account=ACCOUNT, attempts=attempts)


def clients(attempts: int = MAX_ATTEMPTS) -> Clients:
    """Return cached clients for this environment: creating them takes longer than a run."""
    return _cached_clients(os.environ["AWS_ENDPOINT_URL"], os.environ["AWS_REGION"], attempts)


class SharedClients(Clients):
    """A base class for tests that override calls; shares the connections of the cached clients."""

    def __init__(self) -> None:
        vars(self).update(vars(clients()))


def make_plan(desired: DesiredState, **options: Any) -> Plan:
    """Return the plan."""
    return pipeline.plan(desired, clients=clients(), **options).plan


def plan_with_token(desired: DesiredState, **options: Any) -> PreparedPlan:
    """Return the prepared plan; a vetoed plan is made again with its own token."""
    first_plan = pipeline.plan(desired, clients=clients(), **options)
    if not first_plan.plan.is_vetoed:
        return first_plan
    return pipeline.plan(desired, clients=clients(), allow=first_plan.plan.token, **options)


def apply(
    desired: DesiredState, *, parallelism: int = 16, aws_clients: Any = None, **options: Any
) -> tuple[Outcome, ...]:
    """Plan and apply once, as a merge to main does; ``aws_clients`` replaces the default clients."""
    return performed_calls.apply(
        plan_with_token(desired, **options), ignore_event, parallelism=parallelism, clients=aws_clients or clients()
    )


def list_failures(outcomes: tuple[Outcome, ...]) -> list[str]:
    """Return a line for each outcome that is not successful and healthy."""
    failed = [item for item in outcomes if item.actuation in {"failed", "skipped"} or item.health != "healthy"]
    return [f"{outcome.address}: {outcome.actuation} {outcome.health}: {outcome.reason}" for outcome in failed]


def describe_changes(plan: Plan) -> list[str]:
    """Return a line for each pending change, for failure messages."""
    return [
        f"{change.action} {change.address} "
        + ", ".join(f"{'.'.join(field.path)}: {field.before} -> {field.after}" for field in change.fields)
        for change in plan.pending_changes
    ]


_RANDOM = re.compile(
    r"(?:sg|subnet|vpc|vpce|rtb)-[0-9a-f]+|\bE[A-Z0-9]{10,14}\b|-[A-Za-z0-9]{6}(?=[\"' :]|$)"
    r"|\b[0-9a-f]{16}\b|[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|ecs-express-gateway-alb-[0-9a-f]+(?:/[0-9a-z]{16})?|[a-z0-9]+\.cloudfront\.net|[0-9a-z]+\.eu-west-1\.awsapprunner\.com"
)


def read_state(planned: PreparedPlan) -> Mapping[str, str]:
    """Return the live state of every desired resource, with random ids masked."""
    return {address: _RANDOM.sub("*", repr(to_plain(live.spec))) for address, live in sorted(planned.live.items())}


LISTINGS: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    ("s3", "list_buckets", {}, "Buckets"),
    ("rds", "describe_db_instances", {}, "DBInstances"),
    ("rds", "describe_db_subnet_groups", {}, "DBSubnetGroups"),
    ("rds", "describe_db_snapshots", {"SnapshotType": "manual"}, "DBSnapshots"),
    ("secretsmanager", "list_secrets", {}, "SecretList"),
    ("ecr", "describe_repositories", {}, "repositories"),
    ("iam", "list_roles", {"PathPrefix": "/orchestrator/"}, "Roles"),
    ("ec2", "describe_security_groups", {}, "SecurityGroups"),
    ("ec2", "describe_vpc_endpoints", {}, "VpcEndpoints"),
    ("ec2", "describe_vpcs", {}, "Vpcs"),
    ("apprunner", "list_services", {}, "ServiceSummaryList"),
    ("apprunner", "list_auto_scaling_configurations", {}, "AutoScalingConfigurationSummaryList"),
    ("apprunner", "list_vpc_connectors", {}, "VpcConnectors"),
    ("ecs", "list_services", {"missing": ("ClusterNotFoundException",)}, "serviceArns"),
    ("cloudfront", "list_distributions", {}, "DistributionList.Items"),
    ("cloudfront", "list_origin_access_controls", {}, "OriginAccessControlList.Items"),
    ("cloudfront", "list_functions", {}, "FunctionList.Items"),
    ("cloudfront", "list_response_headers_policies", {"Type": "custom"}, "ResponseHeadersPolicyList.Items"),
    ("budgets", "describe_budgets", {"AccountId": "123456789012"}, "Budgets"),
    ("sns", "list_topics", {}, "Topics"),
    ("sns", "list_subscriptions", {}, "Subscriptions"),
    ("cloudwatch", "describe_alarms", {}, "MetricAlarms"),
)


STRANGER = "stranger"
"""Part of the name of every resource of ``foreign_account``."""


def count_resources() -> dict[str, int]:
    """Count all resources in the account by type, ours or not, but those of ``foreign_account``."""
    reader = Reader(clients())
    return {
        f"{service}:{operation}": sum(
            STRANGER not in str(item) for item in reader.all(service, operation, member, **parameters)
        )
        for service, operation, parameters, member in LISTINGS
    }
