"""Every error code, state and time limit of every resource type's calls, against what is written down in ``outcomes/``.

A fake AWS answers each call with exactly the written error or state, and with ones that are nearly that: another code,
another message, another state, the message in upper case.  An attribute that no file mentions fails, and so does a
mention that no call honours.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator import resources
from orchestrator.aws.error_catalogue import MISSING_ERRORS, TEMPORARY_ERRORS
from orchestrator.steps import ApiCall, Wait, is_read, to_operation_name
from tests.resources import call_outcomes, call_validation
from tests.resources.call_outcomes import Outcomes
from tests.resources.cases import SCOPE

TYPES = resources.list_types()
RESOURCES = Path(resources.__file__).parent
ATTRIBUTES = {"ok_codes", "exists_codes", "retry_codes", "timeout_seconds"}
CALL_KEYS, WAIT_KEYS = ("done", "exists", "retried", "failed"), ("gone", "retried")
DEFAULT_CALL_SECONDS, DEFAULT_WAIT_SECONDS = 150.0, 900.0


def list_calls(resource_type: str) -> list[ApiCall]:
    """Return the calls of all cases of a type."""
    return [step for step in call_outcomes.list_steps(resource_type) if isinstance(step, ApiCall)]


def list_waits(resource_type: str) -> list[Wait]:
    """Return the waits of all cases of a type."""
    return [step for step in call_outcomes.list_steps(resource_type) if isinstance(step, Wait)]


def name_wait(wait: Wait) -> str:
    """Return the name of a wait in the files."""
    return f"{call_outcomes.name_of(wait.call)} (wait)"


def list_probes(variants: list[dict[str, Any]], keys: tuple[str, ...]) -> list[str]:
    """Return every error of the variants, and the same codes with another message and another code."""
    written = [probe for variant in variants for key in keys for probe in variant.get(key, ())]
    codes = [probe.partition(": ")[0] for probe in written]
    return list(dict.fromkeys([*written, *codes, *(f"{code}x" for code in codes), "ValidationException"]))


def expect(variant: dict[str, Any], keys: tuple[str, ...]) -> Outcomes:
    """Return the outcomes that a variant writes down; everything else fails."""
    return {probe: key for key in keys if key != "failed" for probe in variant.get(key, ())}


def is_written(error: str, probes: list[str]) -> bool:
    """Return whether a probe is an error that an attribute names."""
    return any(call_outcomes.is_like(probe, error) for probe in probes)


def number_variants(entries: Mapping[str, list[dict[str, Any]]], *, is_wait: bool) -> set[tuple[str, int]]:
    """Return every variant of the calls, or of the waits, as name and number."""
    chosen = {name: variants for name, variants in entries.items() if ("(wait)" in name) == is_wait}
    return {(name, index) for name, variants in chosen.items() for index in range(len(variants))}


@pytest.mark.parametrize("resource_type", TYPES)
class TestCalls:
    def test_every_error_has_the_outcome_written_down(self, resource_type: str) -> None:
        """Each call behaves like one of its variants, completely; each variant is met."""
        entries = call_outcomes.load(resource_type)
        wrong: list[Any] = []
        met: set[tuple[str, int]] = set()
        for call in list_calls(resource_type):
            name = call_outcomes.name_of(call)
            variants = entries.get(name, [{}])
            probes = list_probes(variants, CALL_KEYS)
            unwritten = call_outcomes.errors_of(call) - set(probes)
            unwritten = {
                error for error in unwritten if not any(call_outcomes.is_like(probe, error) for probe in probes)
            }
            observed = call_outcomes.observe_call(call, probes)
            matching = [index for index, variant in enumerate(variants) if expect(variant, CALL_KEYS) == observed]
            met |= {(name, index) for index in matching}
            if unwritten or not matching:
                wrong.append((name, sorted(unwritten), observed))
        written = {
            (name, index)
            for name, variants in entries.items()
            if "(wait)" not in name
            for index in range(len(variants))
        }

        assert wrong == []
        assert written - met == set()

    def test_a_call_is_retried_for_the_time_written_down(self, resource_type: str) -> None:
        """Until the last attempt before its end, none later."""
        entries = call_outcomes.load(resource_type)
        for call in list_calls(resource_type):
            variants = entries.get(call_outcomes.name_of(call), [{}])
            for variant in variants:
                for probe in variant.get("retried", ()):
                    if call_outcomes.observe_call(call, [probe]) == {probe: "retried"}:
                        limits = [other.get("seconds", DEFAULT_CALL_SECONDS) for other in variants]
                        waited = call_outcomes.measure_retries(call, probe)
                        assert any(limit - call_outcomes.LONGEST_DELAY <= waited <= limit for limit in limits), probe

    def test_every_error_code_is_one_of_awss(self, resource_type: str) -> None:
        """In botocore's model of the operation, or with a source: a code with a typing error matches nothing, ever."""
        sources, unknown = call_outcomes.load_sources(), []
        for name, variants in call_outcomes.load(resource_type).items():
            service, operation = name.removesuffix(" (wait)").split(":")
            known = call_outcomes.modelled_codes(service, operation) | sources.get(service, {}).keys()
            for variant in variants:
                errors = [
                    error
                    for key in (*CALL_KEYS, "gone")
                    if not (key == "failed" and "(wait)" in name)
                    for error in variant.get(key, ())
                ]
                unknown += [(name, error) for error in errors if error.partition(": ")[0] not in known]

        assert unknown == []


@pytest.mark.parametrize("resource_type", TYPES)
class TestWaits:
    def test_every_state_has_the_outcome_written_down(self, resource_type: str) -> None:
        """A state ends the wait well, badly or not at all; nearly that state does not."""
        entries = call_outcomes.load(resource_type)
        wrong: list[Any] = []
        met: set[tuple[str, int]] = set()
        for wait in list_waits(resource_type):
            variants = entries.get(name_wait(wait), [{}])
            states = [state for variant in variants for key in ("reached", "failed") for state in variant.get(key, ())]
            observed, seconds = call_outcomes.observe_wait(
                wait, [*states, *(f"{state}X" for state in states)], list_probes(variants, WAIT_KEYS)
            )
            matching = [
                index
                for index, variant in enumerate(variants)
                if observed == self._expect(variant)
                and 0 <= variant.get("seconds", DEFAULT_WAIT_SECONDS) - seconds <= call_outcomes.LONGEST_DELAY
            ]
            met |= {(name_wait(wait), index) for index in matching}
            attributes = {*map(str, wait.target_values), *map(str, wait.failed_values)} - set(states)
            if attributes or not matching:
                wrong.append((name_wait(wait), attributes, observed, seconds))
        written = number_variants(entries, is_wait=True)

        assert wrong == []
        assert written - met == set()

    @staticmethod
    def _expect(variant: dict[str, Any]) -> Outcomes:
        states = {f"={state}": key for key in ("reached", "failed") for state in variant.get(key, ())}
        return {**states, **expect(variant, WAIT_KEYS)}

    def test_a_wait_names_what_it_waits_for(self, resource_type: str) -> None:
        """A read without parameters returns somebody's first resource."""
        assert [name_wait(wait) for wait in list_waits(resource_type) if not wait.call.parameters] == []

    def test_a_wait_that_may_time_out_says_what_to_check(self, resource_type: str) -> None:
        """ "still pending after 15m" alone helps nobody."""
        waits = [wait for wait in list_waits(resource_type) if wait.timeout_seconds > 300 and not wait.stuck_hint]

        assert [name_wait(wait) for wait in waits] == []


def test_every_known_wording_is_met_by_a_call() -> None:
    """An entry of the table that no call of the product can meet is a dead one, or one with a typing error."""
    probes = {
        (call.service, call.operation, *probe.partition(": ")[::2])
        for resource_type in TYPES
        for step in call_outcomes.list_steps(resource_type)
        for call in [step.call if isinstance(step, Wait) else step]
        for name in (call_outcomes.name_of(call), f"{call_outcomes.name_of(call)} (wait)")
        for variant in call_outcomes.load(resource_type).get(name, [])
        for key in (*CALL_KEYS, "gone")
        for probe in variant.get(key, ())
    }
    unmet = [
        (entry.pattern.service, entry.pattern.operations, fragment)
        for entry in (*MISSING_ERRORS, *TEMPORARY_ERRORS)
        for fragment in entry.pattern.fragments or ("",)
        if not any(entry.pattern.matches(*probe) and fragment in probe[3].lower() for probe in probes)
    ]

    assert unmet == []


def test_every_call_with_attributes_is_in_a_case() -> None:
    """What no case reaches, nothing here checks."""
    reached = {
        (resource_type, call_outcomes.name_of(step.call if isinstance(step, Wait) else step))
        for resource_type in TYPES
        for step in call_outcomes.list_steps(resource_type)
    }
    written = {call for path in sorted(RESOURCES.rglob("*.py")) for call in find_calls_with_attributes(path)}
    calls = {call for _, call in reached}
    shared = {(module, call) for module, call in written if module.startswith("_") and call in calls}

    assert sorted(written - reached - shared) == []


def test_every_call_of_a_bucket_names_its_owner() -> None:
    """Bucket names are global: whoever gets a name after us would be written to, or read, without a complaint."""
    calls = {
        (name, name_of): step.call if isinstance(step, Wait) else step
        for name in TYPES
        for number, step in enumerate(call_outcomes.list_steps(name))
        for name_of in [f"{number} {call_outcomes.name_of(step.call if isinstance(step, Wait) else step)}"]
    }
    of_buckets = {
        key: call
        for key, call in calls.items()
        if call.service == "s3" and call.operation not in {"create_bucket", "list_buckets"}
    }

    assert len(of_buckets) > 30
    assert [
        key for key, call in of_buckets.items() if call.parameters.get("ExpectedBucketOwner") != SCOPE.account
    ] == []


@pytest.mark.parametrize("name", TYPES)
def test_aws_would_take_every_call(name: str) -> None:
    """Those of sites, sweeps and batches too, by botocore's own validation of parameters."""
    calls = [step.call if isinstance(step, Wait) else step for step in call_outcomes.list_steps(name)]
    sent = [
        replace(call, parameters={**call.parameters, "Body": b""}) if "Body" in call.parameters else call
        for call in calls
    ]
    violations = {f"{call.service}:{call.operation}": call_validation.find_violations(call) for call in sent}

    assert {action: text for action, text in violations.items() if text} == {}
    assert violations


REFUSED_DELETION = re.compile(r"InUse|State(Fault|Exception)?$|Conflict|Violation|NotEmpty|NotDisabled|Aborted")
DELETIONS = ("delete_", "remove_", "revoke_", "detach_", "batch_delete_", "abort_", "stop_")
UNMODELLED_REFUSALS = {
    "apprunner": ("InvalidRequestException: connector is being used by other services",),
    "ec2": ("DependencyViolation", "InvalidGroup.InUse", "OperationNotPermitted"),
    "s3": ("BucketNotEmpty", "OperationAborted"),
    "secretsmanager": ("InvalidRequestException: you must delete the replicas first",),
}
"""Sources: apprunner-roadmap issue 161; EC2 and S3 API references, error codes; Secrets Manager, DeleteSecret."""
DECIDED_BY_A_WAIT = {("ecs:StopServiceDeployment", "ConflictException")}
"""The deployment has ended meanwhile: the wait that follows says how."""


def test_a_deletion_that_aws_refuses_is_never_done() -> None:
    """Every refusal in botocore's model of each deletion: a parameter group in use counted as deleted."""
    wrong: set[tuple[str, str]] = set()
    asked: set[tuple[str, str]] = set()
    for resource_type in TYPES:
        for call in list_calls(resource_type):
            if call.operation.startswith(DELETIONS):
                name = call_outcomes.name_of(call)
                modelled = call_outcomes.modelled_codes(call.service, name.partition(":")[2])
                refusals = [code for code in modelled if code and REFUSED_DELETION.search(code)]
                refusals += UNMODELLED_REFUSALS.get(call.service, ())
                asked |= {(name, code) for code in refusals}
                outcomes = call_outcomes.observe_call(call, refusals)
                wrong |= {(name, code) for code, outcome in outcomes.items() if outcome == "done"}

    assert wrong == DECIDED_BY_A_WAIT
    assert len(asked) > 40


EXISTING_IS_THE_SAME = {
    "budgets:CreateNotification": "a notification is all of its settings",
    "budgets:CreateSubscriber": "a subscriber is an address",
    "ec2:AuthorizeSecurityGroupEgress": "a rule is all of its settings",
    "ec2:AuthorizeSecurityGroupIngress": "a rule is all of its settings",
    "ec2:CreateDefaultVpc": "an account has one in a region",
    "logs:CreateLogGroup": "ECS and App Runner write there whoever has created it; only its retention is set",
    "s3:CopyObject": "the copied file has changed, so it is not what its hash says: nothing has to be kept",
    "s3:PutObject": "the key is the hash of the content",
}
"""Calls for which "already exists" counts as done, with the reason why nobody else's thing can be meant."""


def test_what_already_exists_is_read_except_where_its_name_is_all_of_it() -> None:
    """Continuing with somebody else's snapshot would leave a migration without one."""
    done = {
        call_outcomes.name_of(call)
        for resource_type in TYPES
        for call in list_calls(resource_type)
        if not call.operation.startswith(DELETIONS) and not is_read(call.operation)
        for code in call.ok_codes
        if re.search(r"Already|Exist|Duplicate|Precondition", code) and "NotExist" not in code
    }

    assert done == set(EXISTING_IS_THE_SAME)


OF_THE_ACCOUNT = {
    ("ec2_vpc", "create_default_vpc"): "an account has one in a region",
    ("ec2_vpc", "describe_vpcs"): "the default one",
    ("ecr_image", "get_authorization_token"): "of the account's registry",
    ("rds_subnet_group", "create_service_linked_role"): "an account has one for a service",
    ("migration", "create_cluster"): "the cluster `default`, which an account has once in a region",
    ("migration", "describe_clusters"): "the cluster `default`",
    ("migration", "stop_task"): "the task of this run, by the ARN that RunTask has returned",
}
IDENTIFIER = re.compile(r"shop|sg-0?\w|vpce-1|'[EP]1'|/E1'|token\.actions")
"""Part of every name in the cases, and of every id that AWS gives there."""


def test_every_call_names_what_it_is_about() -> None:
    """An account holds others of every type: a call without an identifier is about the first of them, or about all."""
    calls = [
        (name, step.call if isinstance(step, Wait) else step)
        for name in TYPES
        for step in call_outcomes.list_steps(name)
    ]
    unnamed = {
        (name, call.operation)
        for name, call in calls
        for text in [str(dict(call.parameters))]
        if not IDENTIFIER.search(text) and f"Unknown('{name}." not in text
    }

    assert len(calls) > 300
    assert unnamed == set(OF_THE_ACCOUNT)


def find_calls_with_attributes(path: Path) -> Iterator[tuple[str, str]]:
    """Yield type and name of each call in a source file that names errors or a time limit."""
    resource_type = path.relative_to(RESOURCES).parts[0].removesuffix(".py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ApiCall":
            constants = [str(item.value) for item in node.args[:2] if isinstance(item, ast.Constant)]
            if len(constants) == 2 and {keyword.arg for keyword in node.keywords} & ATTRIBUTES:
                yield resource_type, f"{constants[0]}:{to_operation_name(constants[1])}"
