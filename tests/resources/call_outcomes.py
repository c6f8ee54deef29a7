"""What follows from each response of AWS, as data: ``outcomes/TYPE.yaml`` maps each call of a resource type to

    done:      error codes after which the work counts as done
    exists:    error codes after which the existing resource is read
    retried:   error codes that end by themselves
    failed:    errors like the others that are none of them
    seconds:   for how long it is retried at most; 150 where it is left out

An error is a code, or ``Code: message`` where the message decides.  Calls that a wait repeats have ``(wait)`` after
their name, and

    reached, failed values:  values that end the wait well, or badly
    gone:      error codes that end it well
    retried:   error codes that do not end it
    seconds:   how long it waits; 900 where it is left out

A call with different attributes in different cases has a list of these.  Everything else fails the call at once.
``_sources.yaml`` names where an error code is recorded that botocore's model of the operation does not list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import botocore.session
import yaml
from msgspec.structs import replace

from orchestrator.aws import AwsError, StepExecutor, StepFailedError, WaitTimeoutError
from orchestrator.steps import ApiCall, Batch, Sweep, Wait, to_operation_name
from tests.aws.fake_clients import FakeClock, ScriptedCaller
from tests.resources import cases, site_steps

FOLDER = Path(__file__).parent / "outcomes"
RESPONSE = {"ok": True}
EXISTING = {"found": True}
OTHER_MESSAGE = "something else"
LONGEST_DELAY = 10.0
LISTINGS: Mapping[str, Any] = {
    "describe_security_groups": {
        "SecurityGroups": [
            {
                "GroupId": "sg-1",
                "IpPermissions": [
                    {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [{"GroupId": "sg-0main"}]}
                ],
                "Tags": [
                    {"Key": "orchestrator:project", "Value": "shop"},
                    {"Key": "orchestrator:environment", "Value": "prod"},
                ],
            }
        ]
    },
    "describe_vpc_endpoints": {"VpcEndpoints": [{"VpcEndpointId": "vpce-1", "State": "available"}]},
    "list_images": {"imageIds": [{"imageDigest": "sha256:1"}]},
    "list_policy_versions": {"Versions": [{"VersionId": f"v{n}", "IsDefaultVersion": n == 6} for n in range(1, 7)]},
    "list_attached_role_policies": {"AttachedPolicies": [{"PolicyArn": "arn:aws:iam::aws:policy/x"}]},
    "list_role_policies": {"PolicyNames": ["x"]},
    "list_object_versions": {"Versions": [{"Key": "a", "VersionId": "1"}]},
    "list_multipart_uploads": {"Uploads": [{"Key": "a", "UploadId": "1"}]},
}
"""A page of each listing that a sweep empties."""
STATES: Mapping[str, Any] = {
    "apprunner:DescribeService": lambda value: {"Service": {"Status": value}},
    "apprunner:ListOperations": lambda value: {"OperationSummaryList": [{"Id": "known", "Status": value}]},
    "cloudfront:GetDistribution": lambda value: {"Distribution": {"Status": value}},
    "ec2:DescribeSecurityGroups": lambda value: {"SecurityGroups": [{"GroupName": value}]},
    "ec2:DescribeVpcEndpoints": lambda value: {
        "deleted": {"VpcEndpoints": []},
        "kept": {"VpcEndpoints": [{"Tags": [{"Key": "orchestrator:used-by:other/prod"}], "State": "available"}]},
    }.get(value, {"VpcEndpoints": [{"State": value}]}),
    "ec2:DescribeVpcs": lambda value: {"Vpcs": [{"State": value}]},
    "ecs:DescribeClusters": lambda value: {"clusters": [{"status": value}]},
    "ecs:DescribeExpressGatewayService": lambda value: {"service": {"status": {"statusCode": value}}},
    "ecs:DescribeServiceDeployments": lambda value: {"serviceDeployments": [{"status": value}]},
    "ecs:ListServiceDeployments": lambda value: {
        "serviceDeployments": [{"targetServiceRevisionArn": "known" if value == "listed" else "another"}]
    },
    "rds:DescribeDBInstances": lambda value: {"DBInstances": [{"DBInstanceStatus": value}]},
    "rds:DescribeDBSnapshots": lambda value: {"DBSnapshots": [{"Status": value}]},
}
"""The response of each awaited read whose state is a value."""

Outcomes = dict[str, str]


def name_of(call: ApiCall) -> str:
    """The call as AWS and the file name it."""
    return f"{call.service}:{to_operation_name(call.operation)}"


def list_steps(resource_type: str) -> tuple[ApiCall | Wait, ...]:
    """Every call and wait of all cases of a type, with the removals of sweeps and the calls of batches."""
    return tuple(_iter_steps(resource_type))


def _iter_steps(resource_type: str) -> Iterator[ApiCall | Wait]:
    path = cases.FOLDER / f"{resource_type}.yaml"
    recorded = [case.recording.steps for case in cases.load_file(path)] if path.exists() else [site_steps.list_steps()]
    for step in chain.from_iterable(recorded):
        match step:
            case ApiCall() | Wait():
                yield step
            case Sweep():
                yield step.listing
                removal = step.remove(LISTINGS[step.listing.operation])
                assert removal is not None
                yield removal
            case Batch():
                yield from step.calls


def observe_call(call: ApiCall, probes: list[str]) -> Outcomes:
    """What follows from each probe; errors that fail the call are left out."""
    outcomes = {probe: _observe_error(call, probe) for probe in probes}
    return {probe: outcome for probe, outcome in outcomes.items() if outcome != "failed"}


def _observe_error(call: ApiCall, probe: str) -> str:
    code, _, message = probe.partition(": ")
    results = {
        _respond_once(call, code, text) for text in {message or OTHER_MESSAGE, (message or OTHER_MESSAGE).upper()}
    }
    assert len(results) == 1, f"{probe}: upper case makes a difference: {results}"
    return results.pop()


def _respond_once(call: ApiCall, code: str, message: str) -> str:
    caller = ScriptedCaller(
        lambda *_: AwsError(call.service, call.operation, code, message) if len(caller.calls) == 1 else RESPONSE
    )
    executor = StepExecutor(caller, FakeClock())
    try:
        step = replace(call, parameters={}, is_sensitive=False, read_existing=lambda *_: EXISTING)
        response = executor.perform(step)
    except StepFailedError:
        return "failed"
    if response == EXISTING:
        return "exists"
    return "retried" if response == RESPONSE else "done"


def measure_retries(call: ApiCall, probe: str) -> float:
    """For how long a call is retried that never succeeds."""
    code, _, message = probe.partition(": ")
    clock = FakeClock()
    caller = ScriptedCaller(lambda *_: AwsError(call.service, call.operation, code, message or OTHER_MESSAGE))
    with suppress(StepFailedError):
        StepExecutor(caller, clock).perform(replace(call, parameters={}))
    return clock.now


def errors_of(call: ApiCall) -> set[str]:
    """The errors that the attributes of a call name."""
    return {*call.ok_codes, *call.exists_codes, *call.retry_codes}


def is_like(probe: str, error: str) -> bool:
    """Whether a probe is an error that an attribute names as ``Code`` or ``Code: text``."""
    code, _, text = error.partition(": ")
    probe_code, _, message = probe.partition(": ")
    return code == probe_code and text.lower() in message.lower()


def observe_wait(wait: Wait, values: list[str], codes: list[str]) -> tuple[dict[str, str], float]:
    """What follows from each value and error, and how long nothing is waited for at most."""
    outcomes = {f"={value}": _respond_to_wait(wait, _state(wait, value))[0] for value in values}
    for probe in codes:
        code, _, message = probe.partition(": ")
        error = AwsError(wait.call.service, wait.call.operation, code, message or OTHER_MESSAGE)
        outcomes[probe] = _respond_to_wait(wait, error)[0]
    _, seconds = _respond_to_wait(wait, _state(wait, "no-such-value"), wait.timeout_seconds)
    return {probe: outcome for probe, outcome in outcomes.items() if outcome != "nothing"}, seconds


def _state(wait: Wait, value: str) -> Any:
    return STATES[name_of(wait.call)](value)


OBSERVED_SECONDS = 120
"""What a response leads to shows within this time, also in a wait of hours."""


def _respond_to_wait(wait: Wait, response: Any, max_seconds: float = OBSERVED_SECONDS) -> tuple[str, float]:
    clock = FakeClock()
    path = wait.path if isinstance(wait.path, str) else re.sub(r"\$\{[^}]*\}", "known", repr(wait.path)[9:-2])
    step = replace(
        wait,
        path=path.replace("\\'", "'"),
        call=replace(wait.call, parameters={}),
        log_group="",
        failure_call=None,
        timeout_seconds=min(wait.timeout_seconds, max_seconds),
    )
    is_error = isinstance(response, AwsError)
    try:
        StepExecutor(ScriptedCaller(lambda *_: response), clock).perform(step)
    except WaitTimeoutError as error:
        outcome, text = "retried" if is_error else "nothing", str(error)
    except StepFailedError as error:
        outcome, text = ("nothing", wait.stuck_hint) if is_error else ("failed", str(error))
    else:
        outcome, text = "gone" if is_error else "reached", wait.stuck_hint
    assert wait.stuck_hint in text, f"{name_of(wait.call)}: {text} does not say what to check"
    return outcome, clock.now


@cache
def _service_model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def modelled_codes(service: str, operation_name: str) -> set[str]:
    """The error codes that botocore's model gives for an operation, as names and as they are sent."""
    model = _service_model(service)
    names = {name.lower(): name for name in model.operation_names}
    operation = model.operation_model(names[operation_name.lower()])
    return {
        code for shape in operation.error_shapes for code in (shape.name, shape.metadata.get("error", {}).get("code"))
    }


@cache
def load(resource_type: str) -> Mapping[str, list[dict[str, Any]]]:
    """The file of a type, each call with the list of its variants."""
    path = FOLDER / f"{resource_type}.yaml"
    content = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader) if path.exists() else {}
    return {name: entry if isinstance(entry, list) else [entry or {}] for name, entry in content.items()}


@cache
def load_sources() -> Mapping[str, Mapping[str, str]]:
    """The sources of error codes that are not in botocore's models, by service and code."""
    sources: Mapping[str, Mapping[str, str]] = yaml.load(
        (FOLDER / "_sources.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader
    )
    return sources
