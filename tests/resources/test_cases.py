"""Every case of every resource type: what differs, what it takes, and whether an emulated AWS agrees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator.planning.diff import diff
from orchestrator.steps import ApiCall, Step, Steps, execute_steps, is_read
from orchestrator.values import to_plain
from orchestrator.vocabulary import Action, LiveResource
from tests.resources import call_validation, cases
from tests.resources.cases import SCOPE, Case, format_change
from tests.resources.conftest import Aws

CASES = cases.load_all()
EMULATED = [case for case in CASES if case.emulated]
BACKENDS = [
    pytest.param(name, id=name, marks=pytest.mark.xdist_group(f"resources-{name}")) for name in ("moto", "ministack")
]


def said(case: Case) -> str:
    return f"{case.type}: {case.description}"


def holds(found: Any, wanted: Any) -> bool:
    """Whether everything that ``wanted`` says is in ``found``."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(holds(found.get(key), each) for key, each in wanted.items())
    return bool(found == wanted)


@pytest.mark.parametrize("case", CASES, ids=said)
class TestCase:
    def test_the_action_is_the_one_expected(self, case: Case) -> None:
        """Desired and live side lead to one kind of change."""
        assert case.computed_action == case.action

    def test_the_fields_are_the_ones_expected(self, case: Case) -> None:
        """The plan names each field that differs, and no other."""
        fields = [format_change(change) for change in case.fields]
        is_optional = case.action not in {Action.UPDATE, Action.REPLACE}  # the action says whether there are any

        assert fields == case.expected.get("fields", fields if is_optional else "missing")

    def test_the_steps_are_the_ones_expected(self, case: Case) -> None:
        """The plan shows the very calls, in order."""
        assert [step.action for step in case.steps] == case.expected["steps"]

    def test_the_parameters_hold_what_is_expected(self, case: Case) -> None:
        """What a call must say, it says; a case that changes something says it of one call at least."""
        expected = case.expected.get("parameters", {})
        found = {index: to_plain(case.steps[index].parameters) for index in expected}
        is_said = bool(expected) or case.action in {Action.NONE, Action.DELETE} or not changes_something(case)

        assert {index: found[index] for index, wanted in expected.items() if not holds(found[index], wanted)} == {}
        assert is_said, "write down the parameters of the calls that change something"

    def test_a_call_for_one_version_can_be_refreshed(self, case: Case) -> None:
        """Somebody may change it between the read and the write: only the deletion of a distribution stops then."""
        calls = [call for call in case.calls if call.service == "cloudfront" and "IfMatch" in call.parameters]
        is_deletion = case.desired is None and case.type == "cloudfront_distribution"
        versioned = [] if is_deletion else calls
        assert [call.operation for call in versioned if call.refresh is None] == []

    def test_aws_would_take_every_call(self, case: Case) -> None:
        """botocore's own validation has nothing against the parameters."""
        found = {f"{call.service}:{call.operation}": call_validation.find_violations(call) for call in case.calls}

        assert {name: complaint for name, complaint in found.items() if complaint} == {}

    def test_no_secret_shows(self, case: Case) -> None:
        """What is marked as a secret is in no field and no step of the plan."""
        assert [secret for secret in case.secrets if secret in case.render_plan_text()] == []


@pytest.mark.both_backends
@pytest.mark.parametrize("running", BACKENDS, indirect=True)
@pytest.mark.parametrize("case", EMULATED, ids=said)
class TestEmulated:
    def test_what_was_made_shows_no_difference(self, case: Case, aws: Aws) -> None:
        """Made, and planned again: nothing to do; what the creation told others is what a later plan reads."""
        told = do(aws, create(case))
        live = read(case, aws)

        assert live is not None
        assert {name: live.outputs.get(name) for name in told} == told
        assert difference(case, aws) == []

    def test_it_can_be_made_again(self, case: Case, aws: Aws) -> None:
        """A run that was killed does the same calls once more."""
        first = do(aws, create(case))
        again = do(aws, create(case))

        assert (again, difference(case, aws)) == (first, [])

    def test_it_bears_our_mark_from_the_first_call_on(self, case: Case, aws: Aws) -> None:
        """A run that was killed after its first change left nothing that is nobody's."""
        first_call_only(aws, create(case))
        live = read(case, aws)

        assert live is not None
        assert live.owner == SCOPE.owner

    def test_what_was_half_made_is_finished(self, case: Case, aws: Aws) -> None:
        """A run that was killed after its first change is finished by the next one, as an update."""
        first_call_only(aws, create(case))
        live = read(case, aws)
        assert live is not None
        changed = frozenset(change.path[0] for change in diff(case.spec, live.spec))
        do(aws, case.module.update(SCOPE, case.name, case.spec, live, changed))

        assert difference(case, aws) == []

    def test_it_can_be_deleted_twice(self, case: Case, aws: Aws) -> None:
        """What is gone is gone; to delete it again is no error."""
        do(aws, create(case))
        live = read(case, aws)
        assert live is not None
        do(aws, case.module.delete(SCOPE, case.name, live))
        do(aws, case.module.delete(SCOPE, case.name, live))

        assert nothing_left(read(case, aws), case)


def create(case: Case) -> Steps:
    return case.module.create(SCOPE, case.name, case.spec)


def do(aws: Aws, steps: Steps) -> Mapping[str, Any]:
    return dict(execute_steps(steps, aws.actuator.perform))


def first_call_only(aws: Aws, steps: Steps) -> None:
    """Perform the steps of a change up to the first call that changes AWS, and forget the rest."""
    step = next(steps)
    while not is_change(step):
        step = steps.send(aws.actuator.perform(step))
    aws.actuator.perform(step)
    steps.close()


def is_change(step: Step) -> bool:
    return isinstance(step, ApiCall) and not is_read(step.operation)


def changes_something(case: Case) -> bool:
    return any(isinstance(step, ApiCall) and is_change(step) and step.parameters for step in case.recording.steps)


def read(case: Case, aws: Aws) -> LiveResource | None:
    assert case.desired is not None
    return case.module.read(aws.reader(), SCOPE, case.name, case.desired)


def difference(case: Case, aws: Aws) -> list[str]:
    live = read(case, aws)
    assert live is not None
    return [format_change(change) for change in diff(case.spec, live.spec)]


def nothing_left(live: LiveResource | None, case: Case) -> bool:
    """Gone, or on its way; an aspect of something else is there, without what was said of it."""
    return live is None or live.status == "deleting" or bool(diff(case.spec, live.spec))
