"""Cases of resource types as data: ``TYPE.yaml`` beside this file is a list of

    it:          what the case expects, in one sentence
    name:        the physical name; ``shop-prod-main`` where it is left out
    desired:     a spec; null for a deletion
    live:        null, or {spec, outputs, private, status, health, deletable}
    action:      create | update | replace | delete | none
    fields:      ["path.to.field: before -> after", ...]; every update and replacement has them
    steps:       ["s3:CreateBucket", ...] as the plan shows them
    parameters:  {index of a step: what its parameters must hold at least}; every case that creates or changes has some
    emulated:    true where ``desired`` needs nothing else in AWS: then it is also made, read and deleted there

Text with ``${...}`` in it stands for what only AWS can tell, ``!secret text`` for a secret, ``!writeonly value`` for
what AWS never gives back.  Cases belong to project ``shop``, environment ``prod``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestrator import resources
from orchestrator.planning.diff import diff
from orchestrator.steps import ApiCall, Step, Steps, StepTrace, Sweep, Wait, to_planned_step, trace_steps
from orchestrator.values import Sensitive, Unknown, WriteOnly, to_plain
from orchestrator.vocabulary import Action, FieldChange, Health, LiveResource, PlannedStep, Scope

FOLDER = Path(__file__).parent
SCOPE = Scope("shop", "prod", "123456789012", "eu-west-1")
CASE_KEYS = frozenset(["it", "name", "desired", "live", "action", "fields", "steps", "parameters", "emulated"])


@dataclass(frozen=True)
class Case:
    """One case and what comes of it."""

    type: str
    description: str
    action: Action
    name: str
    desired: Mapping[str, Any] | None
    live: LiveResource | None
    expected: Mapping[str, Any]
    secrets: tuple[str, ...] = ()
    emulated: bool = False

    @property
    def fields(self) -> tuple[FieldChange, ...]:
        """What differs.  Found when a test asks, and each time: mutants are switched on after cases are loaded."""
        return diff(self.spec if self.desired is not None else {}, self.live.spec if self.live else {})

    @property
    def recording(self) -> StepTrace:
        """The steps of the change, and its outputs."""
        return trace_steps(f"{self.type}.main", self.generate_steps())

    @property
    def module(self) -> resources.ResourceType:
        return resources.load(self.type)

    @property
    def spec(self) -> Mapping[str, Any]:
        """The desired side as the plan compares it."""
        assert self.desired is not None
        return self.module.normalise(self.desired)

    @property
    def changed_fields(self) -> frozenset[str]:
        """The top-level fields that differ."""
        return frozenset(change.path[0] for change in self.fields)

    @property
    def computed_action(self) -> Action:
        """What becomes of the resource."""
        if self.desired is None:
            return Action.DELETE
        if self.live is None:
            return Action.CREATE
        if not self.fields:
            return Action.NONE
        immutable = any(change.path[0] in self.module.IMMUTABLE for change in self.fields)
        return Action.REPLACE if immutable else Action.UPDATE

    def generate_steps(self) -> Steps:
        match self.computed_action:
            case Action.CREATE:
                return (yield from self.module.create(SCOPE, self.name, self.spec))
            case Action.UPDATE:
                assert self.live is not None
                return (yield from self.module.update(SCOPE, self.name, self.spec, self.live, self.changed_fields))
            case Action.REPLACE:
                assert self.live is not None
                return (
                    yield from resources.replace(self.type, SCOPE, self.name, self.spec, self.live, self.changed_fields)
                )
            case Action.DELETE:
                assert self.live is not None
                return (yield from self.module.delete(SCOPE, self.name, self.live))
            case _:
                return {}

    @property
    def steps(self) -> list[PlannedStep]:
        return [to_planned_step(step) for step in self.recording.steps]

    @property
    def calls(self) -> Iterator[ApiCall]:
        """Every call that the steps make by themselves, reads of waits and sweeps among them."""
        for step in self.recording.steps:
            call = extract_call(step)
            if call is not None:
                yield call

    def render_plan_text(self) -> str:
        """All that a plan would show."""
        steps = [(step.action, step.parameters, step.note) for step in self.steps]
        return json.dumps([[to_plain(change.before), to_plain(change.after)] for change in self.fields]) + json.dumps(
            steps
        )


def extract_call(step: Step) -> ApiCall | None:
    """The call inside a step."""
    match step:
        case ApiCall():
            return step
        case Wait(call=inner) | Sweep(listing=inner):
            return inner
        case _:
            return None


def format_change(change: FieldChange) -> str:
    """One field change as the cases spell it."""
    return f"{'.'.join(change.path)}: {_format_value(change.before)} -> {_format_value(change.after)}"


def _format_value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def load_all() -> list[Case]:
    """Every case of every type."""
    return [case for path in sorted(FOLDER.glob("*.yaml")) for case in load_file(path)]


def load_file(path: Path) -> Iterator[Case]:
    """The cases of one type."""
    for raw in yaml.load(path.read_text(encoding="utf-8"), _Loader):
        assert raw.keys() <= CASE_KEYS, raw.keys() - CASE_KEYS
        secrets: list[str] = []
        values = _convert_values(raw, secrets)
        live = values.get("live")
        if live is not None:
            spec = resources.load(path.stem).normalise(live.get("spec", {}))
            extra = {key: live[key] for key in ("status", "deletable") if key in live}
            extra |= {"health": Health(live["health"])} if "health" in live else {}
            live = LiveResource(spec, live.get("outputs", {}), live.get("private", {}), owner=SCOPE.owner, **extra)
        yield Case(
            path.stem,
            raw["it"],
            Action(raw["action"]),
            raw.get("name", f"{SCOPE.name_prefix}-main"),
            values.get("desired"),
            live,
            raw,
            tuple(secrets),
            raw.get("emulated", False),
        )


@dataclass(frozen=True)
class _TaggedValue:
    tag: str
    value: Any


class _Loader(yaml.CSafeLoader):
    """YAML with ``!secret`` and ``!writeonly``."""


def _construct_tagged(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> _TaggedValue:
    if isinstance(node, yaml.ScalarNode):
        return _TaggedValue(tag, loader.construct_scalar(node))
    if isinstance(node, yaml.MappingNode):
        return _TaggedValue(tag, loader.construct_mapping(node, deep=True))
    assert isinstance(node, yaml.SequenceNode)
    return _TaggedValue(tag, loader.construct_sequence(node, deep=True))


_Loader.add_multi_constructor("!", _construct_tagged)


def _convert_values(raw: Any, secrets: list[str]) -> Any:
    match raw:
        case _TaggedValue("secret", value):
            secrets.append(value)
            return Sensitive(value)
        case _TaggedValue("writeonly", value):
            return WriteOnly(_convert_values(value, secrets))
        case str() if "${" in raw:
            return Unknown(raw)
        case dict():
            return {key: _convert_values(value, secrets) for key, value in raw.items()}
        case list():
            return [_convert_values(value, secrets) for value in raw]
        case _:
            return raw
